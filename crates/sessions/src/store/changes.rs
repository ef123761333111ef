//! The feed of changes: which sessions changed, in the order of the commits. It carries no content, so it can leak none;
//! how a session is now is read from itself.
//!
//! On PostgreSQL transactions commit in any order, so a change is appended without a position; whoever holds the
//! sequencer's lock gives the committed ones dense positions (as the ledger does with its events).

use super::ids;
use super::rows::{SessionView, session, session_columns, session_joins};
use crate::SessionId;
use account::Millis;
use std::collections::HashSet;
use store::{Operation, Row, StoreError, Tx};

/// Signalled when there is something new to read.
pub(crate) const TOPIC: &str = "sessions.changes";
/// Signalled when changes were appended that have no position yet.
pub(crate) const APPENDED: &str = "sessions.appended";
/// How many changes are read at once.
pub(crate) const PAGE: i64 = 500;

store::statements! {
    static APPEND = both("insert into session_changes (session_id, at) select r.id, $2 from {rows $1: id text} as r");
    static HOLD = per_engine {
        sqlite: "select 1 where 0",
        postgres: "select 1 where pg_try_advisory_xact_lock(7308324, 2)",
    };
    // Its own statement, after the lock: so its view holds everything that an earlier holder placed.
    static PLACE = per_engine {
        sqlite: "select 1 where 0",
        postgres:
            "with unplaced as (select id, row_number() over (order by id) as n from
               (select id from session_changes where position is null order by id limit 5000) as some_of_them),
             last as (select coalesce(max(position), 0) as position from session_changes)
             update session_changes set position = last.position + unplaced.n from unplaced, last
             where session_changes.id = unplaced.id returning session_changes.position",
    };
    static HEAD = both(
        "select epoch, coalesce((select max(position) from session_changes), 0),
           coalesce((select min(position) from session_changes), 0) from session_feed");
    // What a page has of each session is how it is now: a change that is not its last is not shown.
    pub(super) static AFTER = both(concat!(
        "select ", session_columns!(),
        " from ",
        few!("(select session_id, position from session_changes where position > $1 and position <= $2 order by position)"),
        " as changed join sessions s on s.id = changed.session_id", session_joins!(), "order by changed.position"));
    static LAST = both("select max(position), min(at) from session_changes where position > $1 and position <= $1 + $2");
    pub(crate) static SNAPSHOT = both(concat!(
        "select ", session_columns!(), " from sessions s", session_joins!(),
        "where s.state = 0 and s.id > $1 order by s.id limit $2"));
}

/// Says that sessions have changed.
pub(crate) async fn append(tx: &mut Tx<'_>, sessions: &[&SessionId], now: Millis) -> Result<(), StoreError> {
    if sessions.is_empty() {
        return Ok(());
    }
    let rows = ids(sessions.iter().map(|id| id.as_str()));
    tx.execute(&APPEND, &[(&rows).into(), now.into()]).await.map(drop)
}

/// Where the feed begins and ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) epoch: String,
    pub(crate) last: i64,
    pub(crate) first: i64,
}

/// Reads them.
pub(crate) struct ReadHead;

impl Operation for ReadHead {
    const NAME: &'static str = "sessions.feed_head";
    type Output = Head;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Head, StoreError> {
        tx.query_one(&HEAD, &[], |row| {
            Ok(Head { epoch: row.text(0)?.to_owned(), last: row.int(1)?, first: row.int(2)? })
        })
        .await
    }
}

/// Changes in a row, and where they end.
pub(crate) struct Page {
    pub(crate) head: Head,
    /// The sessions that changed, in the order of their last change.
    pub(crate) sessions: Vec<SessionView>,
    /// Every change up to there is in it.
    pub(crate) read_to: i64,
    /// When the first of them was made.
    pub(crate) oldest: Option<Millis>,
}

/// Reads the changes after a position.
pub(crate) struct ReadAfter(pub(crate) i64);

impl Operation for ReadAfter {
    const NAME: &'static str = "sessions.feed_after";
    type Output = Page;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Page, StoreError> {
        let last = |row: &Row<'_>| Ok((row.opt_int(0)?, row.opt_int(1)?.map(Millis::new)));
        let (last, oldest) = tx.query_one(&LAST, &[self.0.into(), PAGE.into()], last).await?;
        let read_to = last.unwrap_or(self.0);
        let changed = tx.query(&AFTER, &[self.0.into(), read_to.into()], session).await?;
        let head = ReadHead.run(tx).await?;
        let mut seen = HashSet::new();
        let mut sessions: Vec<SessionView> =
            changed.into_iter().rev().filter(|it| seen.insert(it.id.clone())).collect();
        sessions.reverse();
        Ok(Page { head, sessions, read_to, oldest })
    }
}

/// Reads live sessions in the order of their ids.
pub(crate) struct ReadSnapshot {
    pub(crate) after: String,
    pub(crate) limit: i64,
}

impl Operation for ReadSnapshot {
    const NAME: &'static str = "sessions.snapshot";
    type Output = Vec<SessionView>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<SessionView>, StoreError> {
        tx.query(&SNAPSHOT, &[(&self.after).into(), self.limit.into()], session).await
    }
}

/// Gives positions to what has committed; how many.
pub(crate) struct Place;

impl Operation for Place {
    const NAME: &'static str = "sessions.place";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = usize;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<usize, StoreError> {
        if tx.query_opt(&HOLD, &[], |_| Ok(())).await?.is_none() {
            return Ok(0);
        }
        Ok(tx.query(&PLACE, &[], |_| Ok(())).await?.len())
    }
}
