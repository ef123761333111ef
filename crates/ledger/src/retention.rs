//! What is kept, and for how long. Old rows go in small chunks, so that nobody waits for them.

use crate::{Ledger, Worker};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use store::{Operation, Sql, StoreError, Tx, Value};
use tokio::sync::watch;
use work::{Pace, Tick, work_through};

const CHUNK: i64 = 500;
const PACE: Pace = Pace::every(Duration::from_hours(1));
/// Receipts are what makes a redelivered message harmless; no queue keeps one longer.
const LEAST_RECEIPT_DAYS: u32 = 30;

store::statements! {
    static RECEIPTS = per_engine {
        // From the first ones, whose numbers are the lowest; no index is needed for that.
        sqlite:
            "delete from receipts where received_at < $1
               and rowid in (select rowid from receipts order by rowid limit $2)",
        postgres: "delete from receipts where ctid = any (array(select ctid from receipts where received_at < $1 limit $2))",
    };
    // Only from the beginning of the feed: what is kept is one stretch without a gap, so that a reader cannot step over
    // what is gone. The last event stays, so that positions go on from it; one with an effect outstanding stays too.
    static EVENTS = both(
        "with oldest as (select position, received_at, idp, subject, version from events
           where position is not null order by position limit $2),
         kept as (select min(o.position) as position from oldest o where o.received_at >= $1
           or o.position = (select max(position) from events)
           or exists (select 1 from effects e
             where e.state = 0 and e.idp = o.idp and e.subject = o.subject and e.version = o.version))
         delete from events where position in (select position from oldest)
           and position < coalesce((select position from kept), 9223372036854775807)");
    // From the first ones, whose numbers are the lowest; no index is needed for that.
    static DEAD_LETTERS = both(
        "delete from dead_letters where received_at < $1
           and id in (select id from dead_letters order by id limit $2)");
    // Beyond so many, whatever their age.
    static TOO_MANY_LETTERS = both(
        "delete from dead_letters where id in (select id from dead_letters where id <=
           (select id from dead_letters order by id desc limit 1 offset $1) order by id limit $2)");
    // Effects that are done, from before they went at once.
    static EFFECTS = per_engine {
        sqlite:
            "delete from effects where rowid in (select rowid from effects e where e.state = 1 and e.next_attempt_at < $1 limit $2)",
        postgres:
            "delete from effects where ctid = any (array(select ctid from effects where state = 1 and next_attempt_at < $1 limit $2))",
    };
    static TOMBSTONES = per_engine {
        sqlite: "delete from tombstones where rowid in (select rowid from tombstones where expires_at < $1 limit $2)",
        postgres: "delete from tombstones where ctid = any (array(select ctid from tombstones where expires_at < $1 limit $2))",
    };
    // A deleted account is forgotten when none of its events and effects is kept any more, so that versions that begin
    // anew meet nothing of the old ones. Its tombstone remains. The latest event is the last to go.
    static ACCOUNTS = per_engine {
        sqlite:
            "delete from accounts where rowid in (select rowid from accounts a
               where a.state = 2 and a.state_at < $1 and a.updated_at < $1
               and not exists (select 1 from events v where v.position = a.latest_event)
               and not exists (select 1 from effects e where e.idp = a.idp and e.subject = a.subject) limit $2)",
        postgres:
            "delete from accounts where ctid = any (array(select ctid from accounts a
               where a.state = 2 and a.state_at < $1 and a.updated_at < $1
               and not exists (select 1 from events v where v.idp = a.idp and v.subject = a.subject)
               and not exists (select 1 from effects e where e.idp = a.idp and e.subject = a.subject) limit $2))",
    };
}

/// How long things are kept, in days, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Events, and with them how far back a reader of the feed may have fallen.
    pub events_days: u32,
    /// Receipts of messages; at least 30.
    pub receipts_days: u32,
    /// Rows of deleted accounts.
    pub deleted_accounts_days: u32,
    /// Dead letters.
    pub dead_letters_days: u32,
    /// How many dead letters are kept at most, whatever their age: the latest.
    pub dead_letters: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            events_days: 90,
            receipts_days: 35,
            deleted_accounts_days: 100,
            dead_letters_days: 90,
            dead_letters: 100_000,
        }
    }
}

impl Ledger {
    /// The worker that drops what is too old.
    pub fn retention_worker(&self, retention: Retention) -> Worker {
        let ledger = self.clone();
        Worker::new("ledger.retention", None, move |stop| {
            let never = watch::channel(0).1;
            work_through(stop, never, PACE, move || ledger.clone().drop_old(retention))
        })
    }

    /// One turn: drops a chunk of each kind; says whether there is more.
    pub async fn drop_old(self, retention: Retention) -> Tick {
        let now = self.store.clock().now();
        let before = |days: u32| now.minus(Duration::from_hours(24 * u64::from(days)));
        let chores: [(&'static Sql, Value<'static>); 7] = [
            (&RECEIPTS, before(retention.receipts_days.max(LEAST_RECEIPT_DAYS)).into()),
            (&EVENTS, before(retention.events_days).into()),
            (&EFFECTS, before(retention.events_days).into()),
            (&ACCOUNTS, before(retention.deleted_accounts_days).into()),
            (&TOMBSTONES, now.into()),
            (&DEAD_LETTERS, before(retention.dead_letters_days).into()),
            (&TOO_MANY_LETTERS, i64::from(retention.dead_letters).into()),
        ];
        let mut tick = Tick::Idle;
        for (sql, bound) in chores {
            match self.store.run(DropChunk { sql, bound }).await {
                Ok(dropped) if dropped >= CHUNK.unsigned_abs() => tick = Tick::More,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "old rows could not be dropped");
                    return Tick::Failed;
                }
            }
        }
        tick
    }
}

struct DropChunk {
    sql: &'static Sql,
    bound: Value<'static>,
}

impl Operation for DropChunk {
    const NAME: &'static str = "ledger.retention";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = u64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        tx.execute(self.sql, &[self.bound, CHUNK.into()]).await
    }
}
