//! Follows the ledger's feed, so that what this node remembers of an account ends with the account's next event.
//!
//! The feed is read from its head on: before that nothing is remembered. Each page says how fresh it is by a heartbeat
//! that somebody wrote and this node read back; while pages do not come, whoever hears counts on less and less, in stages
//! ([`verify::Sight`]).

use account::{AccountId, Millis};
use ledger::{Cursor, Feed, FeedError, FeedEvent, Page, Tail};
use metrics::{Counter, Gauge, Histogram};
use parking_lot::Mutex;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use store::Clock;
use tokio_util::sync::CancellationToken;
use verify::{NewVersion, Sight, Verifier};

/// Between two tries to find the head of the feed.
const PAUSE: Duration = Duration::from_secs(1);

/// Something the feed tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word<'a> {
    /// Something happened to an account.
    Changed {
        /// To which.
        account: &'a AccountId,
        /// The event's place in the feed.
        position: i64,
        /// What happened.
        change: NewVersion,
    },
    /// Every event up to there was told.
    ReadTo {
        /// The place of the last one.
        position: i64,
        /// At that time there was no event after it.
        proven_at: Millis,
    },
    /// Events may have been missed, or places begin anew: what is remembered counts no longer.
    BeginAnew {
        /// What the places are of.
        epoch: &'a str,
        /// Where it begins.
        position: i64,
    },
}

/// Somebody who remembers something of accounts.
pub trait Hears: Send + Sync + 'static {
    /// Takes a word of the feed in, at once: when it returns, nothing is given out any more that the word ends.
    fn hear(&self, word: Word<'_>);
}

impl Hears for Verifier {
    fn hear(&self, word: Word<'_>) {
        match word {
            Word::Changed { account, position, change } => self.account_changed_by(account, position, change),
            Word::ReadTo { position, proven_at } => self.feed_read(position, proven_at),
            Word::BeginAnew { epoch, position } => self.feed_lost(epoch, position),
        }
    }
}

/// What one look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// Whether somebody should look too.
    pub is_degraded: bool,
    /// What was found, in a few words.
    pub detail: String,
}

/// A node's reader of the feed.
pub struct Follower<H> {
    feed: Feed,
    clock: Clock,
    hears: H,
    place: Mutex<Place>,
    meters: Meters,
}

/// Where it is.
#[derive(Debug, Default)]
struct Place {
    cursor: Option<Cursor>,
    proven_at: Option<Millis>,
    trouble: Option<String>,
}

impl<H: Hears> Follower<H> {
    /// One that tells `hears`.
    pub fn new(feed: Feed, clock: Clock, hears: H) -> Arc<Self> {
        Arc::new(Self { feed, clock, hears, place: Mutex::default(), meters: Meters::new() })
    }

    /// Follows until it is told to stop.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        stop.run_until_cancelled(self.follow_for_ever()).await;
    }

    async fn follow_for_ever(&self) -> Infallible {
        loop {
            let mut tail = self.begin().await;
            while self.turn(&mut tail).await {}
        }
    }

    /// Begins at the head of the feed, as soon as there is one to be read.
    pub(crate) async fn begin(&self) -> Tail {
        loop {
            match self.feed.head().await {
                Ok(head) => {
                    self.hears.hear(Word::BeginAnew { epoch: &head.epoch, position: head.position });
                    *self.place.lock() = Place { cursor: Some(head.clone()), ..Place::default() };
                    return self.feed.tail(head);
                }
                Err(error) => self.cannot_read(&error),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Reads a page and tells it. False: the place is lost, begin anew.
    pub(crate) async fn turn(&self, tail: &mut Tail) -> bool {
        match tail.next().await {
            Ok(page) => self.tell(page),
            Err(FeedError::Store(error)) => self.cannot_read(&error),
            Err(lost @ (FeedError::OtherEpoch | FeedError::TooOld)) => {
                tracing::warn!(error = %lost, "the feed cannot be followed from here: what is remembered is forgotten");
                return false;
            }
        }
        true
    }

    fn tell(&self, page: Page) {
        let Page { events, next, heartbeat_at, more } = page;
        let now = self.clock.now();
        for event in &events {
            let FeedEvent { account, position, version, at, .. } = event;
            let change = NewVersion { version: *version, at: *at };
            self.hears.hear(Word::Changed { account, position: *position, change });
            self.meters.applied(event, now);
        }
        let (proven_at, had_trouble) = {
            let mut place = self.place.lock();
            // While there is more, the heartbeat may be of an event that is yet to be told.
            let proven_at = if more { place.proven_at } else { place.proven_at.max(Some(heartbeat_at)) };
            place.proven_at = proven_at;
            place.cursor = Some(next.clone());
            (proven_at, place.trouble.take().is_some())
        };
        if had_trouble {
            tracing::info!(position = next.position, "the feed can be read again");
        }
        if let Some(proven_at) = proven_at {
            self.hears.hear(Word::ReadTo { position: next.position, proven_at });
        }
        self.meters.read(next.position, proven_at, now);
    }

    fn cannot_read(&self, error: &impl ToString) {
        let (trouble, now) = (error.to_string(), self.clock.now());
        self.meters.errors.increment(1);
        let mut place = self.place.lock();
        self.meters.age(place.proven_at, now);
        if place.trouble.is_none() {
            tracing::warn!(error = trouble, "the feed of account events cannot be read");
        }
        place.trouble = Some(trouble);
    }

    /// The place of the last event that was told.
    pub fn position(&self) -> Option<i64> {
        self.place.lock().cursor.as_ref().map(|cursor| cursor.position)
    }

    /// How it is, for whoever looks after it; `sight` is what that comes to.
    pub fn finding(&self, sight: Sight) -> Finding {
        let (place, now) = (self.place.lock(), self.clock.now());
        let at = place.cursor.as_ref().map_or(0, |cursor| cursor.position);
        let detail = match (place.proven_at, &place.trouble) {
            (Some(proven_at), None) => format!("at {at}, proven {} s ago", now.since(proven_at).as_secs()),
            (Some(proven_at), Some(trouble)) => {
                format!("at {at}, not read for {} s: {trouble}", now.since(proven_at).as_secs())
            }
            (None, Some(trouble)) => format!("never read: {trouble}"),
            (None, None) => "not read yet".to_owned(),
        };
        let detail = if sight == Sight::Clear { detail } else { format!("{}; {detail}", sight.as_str()) };
        Finding { name: "feed", is_degraded: sight != Sight::Clear || place.trouble.is_some(), detail }
    }
}

struct Meters {
    position: Gauge,
    age: Gauge,
    errors: Counter,
    lag: Histogram,
}

impl Meters {
    fn new() -> Self {
        metrics::describe_gauge!(
            "bearer.feed_position",
            "The last account event that this node has heard of"
        );
        metrics::describe_gauge!(
            "bearer.feed_age_seconds",
            "Since when this node may have missed account events"
        );
        metrics::describe_counter!("bearer.feed_errors", "Tries to read the feed of account events in vain");
        metrics::describe_histogram!(
            "bearer.feed_lag",
            "From an account's change to the end of what this node remembers of the account"
        );
        Self {
            position: metrics::gauge!("bearer.feed_position"),
            age: metrics::gauge!("bearer.feed_age_seconds"),
            errors: metrics::counter!("bearer.feed_errors"),
            lag: metrics::histogram!("bearer.feed_lag"),
        }
    }

    fn applied(&self, event: &FeedEvent, now: Millis) {
        self.lag.record(now.since(event.at).as_secs_f64());
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    fn read(&self, position: i64, proven_at: Option<Millis>, now: Millis) {
        self.position.set(position as f64);
        self.age(proven_at, now);
    }

    fn age(&self, proven_at: Option<Millis>, now: Millis) {
        if let Some(proven_at) = proven_at {
            self.age.set(now.since(proven_at).as_secs_f64());
        }
    }
}
