//! The feed: every committed event once, in one order, for every node.

use crate::effects::{account_of, change_of};
use crate::{Ledger, Worker};
use account::{AccountId, Change, Mark, Millis, State};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use store::{Engine, Operation, Row, Store, StoreError, Tx};
use tokio::sync::watch;
use work::{Pace, Tick, work_through};

/// Signalled when there is something new to read.
pub(crate) const TOPIC: &str = "ledger.feed";
const PAGE: i64 = 500;
/// How many bytes of changes a page has at most, unless its first event alone has more.
const PAGE_BYTES: i64 = 1 << 20;
/// How long a tailer waits for a signal before it looks by itself.
const POLL: Duration = Duration::from_secs(1);

store::statements! {
    static HEAD = both("select epoch, heartbeat_at, coalesce((select max(position) from events), 0),
                        coalesce((select min(position) from events), 1) from feed");
    // First the sizes alone: what is too much for a page is not even looked at. Positions are dense, so a page is a range
    // of them; PostgreSQL takes that from the index, however little it knows of the table's size.
    pub(crate) static AFTER = both(
        "with sizes as (select position, octet_length(change) as size from events
           where position > $1 and position <= $1 + $2),
         page as (select position, sum(size) over (order by position) - size as earlier from sizes)
         select idp, subject, position, version, at, received_at, source, kind, change, mark, state from events
         where position > $1 and position <= (select max(position) from page where earlier < $3) order by position");
    // Never past an event that still waits for its position.
    static BEAT = per_engine {
        sqlite: "update feed set heartbeat_at = max(heartbeat_at, ?1)",
        postgres:
            "update feed set heartbeat_at = greatest(heartbeat_at, least($1,
               (select min(received_at) - 1 from events where position is null)))",
    };
}

/// A place in the feed. A restore from a backup begins a new epoch, and readers start over.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cursor {
    /// Which life of the store.
    pub epoch: String,
    /// The position of the last event read; 0 is before the first.
    pub position: i64,
}

/// An event of the feed.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedEvent {
    /// Dense, rising by one.
    pub position: i64,
    /// Whose account.
    pub account: AccountId,
    /// The event's number in the account's life.
    pub version: i64,
    /// Its change time.
    pub at: Millis,
    /// When Highwater took it in.
    pub received_at: Millis,
    /// Who told.
    pub source: String,
    /// What happened; `Unknown` for a kind that a newer version of Highwater wrote. It may be late and not hold any more:
    /// the mark and the state are what readers go by, and whoever remembers something of the account lets go of it.
    pub change: Change,
    /// The account's mark after it.
    pub mark: Mark,
    /// Its state after it.
    pub state: State,
}

/// A stretch of the feed.
#[derive(Clone, Debug)]
pub struct Page {
    /// The events, in order; none when there is nothing new.
    pub events: Vec<FeedEvent>,
    /// Where to go on.
    pub next: Cursor,
    /// The heartbeat read back in the same view. Once there is nothing more, everything that had committed by then has
    /// been handed over.
    pub heartbeat_at: Millis,
    /// Whether there is more right now.
    pub more: bool,
}

/// Why a cursor cannot be followed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FeedError {
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The cursor is from another life of the store: start over from the head.
    #[error("the cursor is from another epoch of the feed: start over")]
    OtherEpoch,
    /// What comes after the cursor has been dropped by retention: start over from the head.
    #[error("what follows the cursor is kept no longer: start over")]
    TooOld,
}

/// The feed of a ledger.
#[derive(Clone)]
pub struct Feed {
    store: Store,
}

impl Feed {
    /// The feed in that store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// The end of the feed: what comes after it is new.
    pub async fn head(&self) -> Result<Cursor, StoreError> {
        let head = self.store.scan(ReadHead).await?;
        Ok(Cursor { epoch: head.epoch, position: head.last })
    }

    /// The beginning of what is kept.
    pub async fn start(&self) -> Result<Cursor, StoreError> {
        let head = self.store.scan(ReadHead).await?;
        Ok(Cursor { epoch: head.epoch, position: head.first - 1 })
    }

    /// What comes after a cursor, up to a page.
    pub async fn after(&self, cursor: &Cursor) -> Result<Page, FeedError> {
        let (head, mut events) = self.store.scan(ReadAfter { position: cursor.position }).await?;
        if head.epoch != cursor.epoch {
            return Err(FeedError::OtherEpoch);
        }
        // Never over a gap, wherever it is.
        let dense = events.iter().zip(cursor.position + 1..).take_while(|(event, at)| event.position == *at);
        let dense = dense.count();
        if dense == 0 && cursor.position < head.last {
            return Err(FeedError::TooOld);
        }
        events.truncate(dense);
        let position = events.last().map_or(cursor.position, |event| event.position);
        let more = position < head.last;
        let next = Cursor { epoch: head.epoch, position };
        Ok(Page { events, next, heartbeat_at: head.heartbeat_at, more })
    }

    /// Follows the feed from a cursor.
    pub fn tail(&self, from: Cursor) -> Tail {
        Tail {
            news: self.store.signals().listen(TOPIC),
            feed: self.clone(),
            cursor: from,
            look_at_once: true,
        }
    }
}

/// A reader that follows the feed. Dropped and made again from its cursor, it goes on where it was.
pub struct Tail {
    feed: Feed,
    cursor: Cursor,
    news: watch::Receiver<u64>,
    look_at_once: bool,
}

impl Tail {
    /// Where it is: everything up to here was handed over.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// The next page. Waits for a signal, but no longer than about a second: a page without events tells its
    /// reader how fresh the feed is. After an error, call again; the cursor has not moved.
    pub async fn next(&mut self) -> Result<Page, FeedError> {
        if !self.look_at_once {
            drop(tokio::time::timeout(POLL, self.news.changed()).await);
        }
        self.news.mark_unchanged();
        self.look_at_once = true; // whoever gives up waiting here has seen nothing yet
        let outcome = self.feed.after(&self.cursor).await;
        self.look_at_once = outcome.as_ref().is_ok_and(|page| page.more);
        let page = outcome?;
        self.cursor = page.next.clone();
        Ok(page)
    }
}

impl Ledger {
    /// The feed of this ledger.
    pub fn feed(&self) -> Feed {
        Feed::new(self.store.clone())
    }

    /// The worker that writes the heartbeat which proves that the feed moves. On SQLite, where reader and writer are
    /// one process, it beats seldom, to spare the disk.
    pub fn heartbeat_worker(&self) -> Worker {
        let ledger = self.clone();
        let pace = match self.store.engine() {
            Engine::Sqlite => Duration::from_secs(10),
            Engine::Postgres => Duration::from_secs(1),
        };
        Worker::new("ledger.heartbeat", None, move |stop| {
            let never = watch::channel(0).1;
            work_through(stop, never, Pace::every(pace), move || ledger.clone().beat())
        })
    }

    /// One heartbeat.
    pub async fn beat(self) -> Tick {
        match self.store.run(Beat(self.store.clock().now())).await {
            Ok(()) => Tick::Idle,
            Err(_) => Tick::Failed,
        }
    }
}

struct Head {
    epoch: String,
    heartbeat_at: Millis,
    last: i64,
    first: i64,
}

async fn read_head(tx: &mut Tx<'_>) -> Result<Head, StoreError> {
    tx.query_one(&HEAD, &[], |row| {
        Ok(Head {
            epoch: row.text(0)?.to_owned(),
            heartbeat_at: Millis::new(row.int(1)?),
            last: row.int(2)?,
            first: row.int(3)?,
        })
    })
    .await
}

struct ReadHead;

impl Operation for ReadHead {
    const NAME: &'static str = "feed.head";
    type Output = Head;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Head, StoreError> {
        read_head(tx).await
    }
}

struct ReadAfter {
    position: i64,
}

impl Operation for ReadAfter {
    const NAME: &'static str = "feed.after";
    type Output = (Head, Vec<FeedEvent>);

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let events =
            tx.query(&AFTER, &[self.position.into(), PAGE.into(), PAGE_BYTES.into()], feed_event).await?;
        Ok((read_head(tx).await?, events))
    }
}

fn feed_event(row: &Row<'_>) -> Result<FeedEvent, StoreError> {
    Ok(FeedEvent {
        account: account_of(row)?,
        position: row.int(2)?,
        version: row.int(3)?,
        at: Millis::new(row.int(4)?),
        received_at: Millis::new(row.int(5)?),
        source: row.text(6)?.to_owned(),
        change: readable(row.text(7)?, row.text(8)?),
        mark: Mark::at(Millis::new(row.int(9)?)),
        state: State::from_code(row.int(10)?),
    })
}

/// What a newer node wrote is perhaps not to be read here. It stops nobody: the account, the mark and the state say what
/// a reader must do, and the change itself is one of an unknown kind.
fn readable(kind: &str, text: &str) -> Change {
    change_of(text).unwrap_or_else(|error| {
        tracing::warn!(kind, %error, "an event of the feed is of a kind this version does not know");
        metrics::counter!("ledger.unreadable_events").increment(1);
        Change::Unknown { name: kind.to_owned(), body: text.to_owned() }
    })
}

struct Beat(Millis);

impl Operation for Beat {
    const NAME: &'static str = "feed.beat";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        tx.execute(&BEAT, &[self.0.into()]).await.map(drop)
    }
}
