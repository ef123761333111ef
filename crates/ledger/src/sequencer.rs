//! Positions in the feed, on PostgreSQL.
//!
//! Transactions commit in any order, so a number drawn before the commit says nothing about when others see it. An
//! event is appended without a position; whoever holds the sequencer's lock gives the committed ones dense positions. A
//! foreign long transaction holds nothing up. (On SQLite there is one writer: commits are in insert order.)

use crate::{Ledger, Worker, feed};
use std::time::Duration;
use store::{Engine, Operation, StoreError, Tx};
use work::{Pace, Tick, work_through};

/// Signalled when events were appended that have no position yet.
pub(crate) const TOPIC: &str = "ledger.appended";
const PACE: Pace = Pace::every(Duration::from_millis(500));
/// As many get a position in one turn.
const MOST: usize = 5_000;

store::statements! {
    // Whoever does not get the lock leaves the work to the one who has it. (Two keys: another space than the accounts'
    // locks have.) Events without a position are few, and the index of them is full of those that had none a moment ago: a
    // scan in its order marks these and passes over them from then on, a bitmap reads each of them every time.
    static HOLD = per_engine {
        sqlite: "select 1 where 0",
        postgres:
            "select 1 where pg_try_advisory_xact_lock(7308324, 1) and set_config('enable_bitmapscan', 'off', true) = 'off'",
    };
    // Its own statement, after the lock: so its view holds everything that an earlier holder placed.
    // Within an account ids rise with versions (both are given under the account's lock), so this keeps its order.
    static PLACE = per_engine {
        sqlite: "select 1 where 0",
        postgres:
            "with unplaced as (select id, row_number() over (order by id) as n from
               (select id from events where position is null order by id limit $1) as some_of_them),
             last as (select coalesce(max(position), 0) as position from events)
             update events set position = last.position + unplaced.n from unplaced, last
             where events.id = unplaced.id returning events.position",
    };
}

impl Ledger {
    /// The worker that gives positions. Runs wherever events are taken in; one at a time places.
    pub fn sequencer_worker(&self) -> Option<Worker> {
        (self.store.engine() == Engine::Postgres).then(|| {
            let ledger = self.clone();
            Worker::new("ledger.sequencer", None, move |stop| {
                let wake = ledger.store.signals().listen(TOPIC);
                work_through(stop, wake, PACE, move || ledger.clone().place())
            })
        })
    }

    /// One turn: gives positions to what has committed.
    pub async fn place(self) -> Tick {
        match self.store.run(Place).await {
            Ok(0) => Tick::Idle,
            Ok(placed) => {
                self.store.signals().send(feed::TOPIC);
                // Whatever was committed meanwhile has signalled.
                if placed < MOST { Tick::Idle } else { Tick::More }
            }
            Err(error) => {
                tracing::warn!(%error, "the sequencer could not give positions");
                Tick::Failed
            }
        }
    }
}

struct Place;

impl Operation for Place {
    const NAME: &'static str = "ledger.place";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = usize;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<usize, StoreError> {
        if tx.query_opt(&HOLD, &[], |_| Ok(())).await?.is_none() {
            return Ok(0);
        }
        let most = i64::try_from(MOST).unwrap_or(i64::MAX);
        Ok(tx.query(&PLACE, &[most.into()], |_| Ok(())).await?.len())
    }
}
