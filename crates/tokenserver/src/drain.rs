//! The worker that drains nodes: one process at a time, under a fenced lease; at the rate that was asked for; from
//! where it was left when the process that did it is gone.

use crate::email::account;
use crate::store::{
    Draining, DrainsUnderWay, FindResidents, FinishDrain, Move, Placement, Resident, Target, UnderWay, User,
};
use account::Millis;
use aws_lc_rs::rand;
use idp::Idps;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use store::{Engine, Lease, LeaseHolder, Store, StoreError};
use tokio_util::sync::CancellationToken;
use work::Tick;

/// Sent when a drain begins or its rate changes.
pub(crate) const TOPIC: &str = "tokenserver.drains";
const LEASE_NAME: &str = "tokenserver.drain";
/// How long a process that is gone keeps others from going on.
const LEASE: Duration = Duration::from_secs(30);
/// Between two parts.
const PART: Duration = Duration::from_millis(200);
/// The most users in one transaction.
const LARGEST_PART: i64 = 128;

/// Drains nodes.
pub(crate) struct Drainer {
    store: Store,
    idps: Idps,
    /// How users are placed, by service.
    placements: Vec<Arc<Placement>>,
    holder: LeaseHolder,
}

/// What one round of parts came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    /// No drain is under way.
    Nothing,
    /// Some are; this many users were moved now.
    Moved(usize),
    /// Another process does it.
    Elsewhere,
}

impl Drainer {
    /// One for the nodes in that store.
    pub(crate) fn new(store: Store, idps: Idps, placements: Vec<Arc<Placement>>) -> Self {
        // A SQLite file has one owner: whoever opens it goes on at once where the last one was killed.
        let owner = match store.engine() {
            Engine::Sqlite => "the owner of the file".to_owned(),
            Engine::Postgres => format!("{}-{}", std::process::id(), random()),
        };
        Self { holder: LeaseHolder::new(store.clone(), owner), store, idps, placements }
    }

    /// Works while a drain is under way and this process is the one that does it.
    pub(crate) async fn turn(&self, stop: &CancellationToken) -> Tick {
        let mut places = BTreeMap::new();
        loop {
            match self.round(&mut places).await {
                Ok(Round::Nothing | Round::Elsewhere) => return Tick::Idle,
                Ok(Round::Moved(_)) => {}
                Err(error) => {
                    tracing::warn!(%error, "a drain is held up");
                    return Tick::Failed;
                }
            }
            if stop.run_until_cancelled(tokio::time::sleep(PART)).await.is_none() {
                self.let_go().await;
                return Tick::Idle;
            }
        }
    }

    /// Another process may go on at once.
    async fn let_go(&self) {
        if let Ok(Some(lease)) = self.holder.acquire(LEASE_NAME, LEASE).await {
            // Else it ends by itself.
            let _ = self.holder.release(lease).await;
        }
    }

    /// One part of every drain. `places` is how far each has come through its node's rows.
    pub(crate) async fn round(&self, places: &mut BTreeMap<i64, i64>) -> Result<Round, StoreError> {
        let under_way = self.store.scan(DrainsUnderWay).await?;
        if under_way.is_empty() {
            return Ok(Round::Nothing);
        }
        let Some(lease) = self.holder.acquire(LEASE_NAME, LEASE).await? else { return Ok(Round::Elsewhere) };
        let mut moved = 0;
        for drain in under_way {
            moved += self.part(&lease, &drain, places.entry(drain.node_id).or_default()).await?;
        }
        Ok(Round::Moved(moved))
    }

    /// As many users of a node as are due now; how many were moved.
    async fn part(&self, lease: &Lease, drain: &UnderWay, after: &mut i64) -> Result<usize, StoreError> {
        let UnderWay { node_id, mut pace, .. } = *drain;
        // A service that is not configured here is drained by processes that know how its users are placed.
        let placement = self.placements.iter().find(|it| it.service.as_str() == drain.service);
        let Some(placement) = placement else { return Ok(0) };
        let now = self.store.clock().now();
        let due = pace.due(now).min(LARGEST_PART);
        if due == 0 {
            return Ok(0);
        }
        let residents = self.store.scan(FindResidents { node_id, after: *after, limit: due }).await?;
        let Some(last) = residents.last().map(|resident| resident.uid) else {
            // From the beginning again, for those who were passed over; when there is nobody, it is done.
            if std::mem::take(after) == 0 {
                self.finish(lease, node_id, now).await?;
            }
            return Ok(0);
        };
        *after = last;
        let move_them = Move {
            users: self.users(residents),
            from: Some(node_id),
            to: Target::Anywhere,
            placement: Arc::clone(placement),
            now,
            drain: Some(Draining { lease: lease.clone(), pace }),
        };
        let moves = self.store.run(move_them).await?;
        metrics::counter!("drain.moved").increment(moves.moved.len() as u64);
        Ok(moves.moved.len())
    }

    async fn finish(&self, lease: &Lease, node_id: i64, now: Millis) -> Result<(), StoreError> {
        if self.store.run(FinishDrain { node_id, lease: lease.clone(), now }).await? {
            tracing::info!(node_id, "a node is drained");
        }
        Ok(())
    }

    /// Each once, whatever number of rows was left live.
    fn users(&self, residents: Vec<Resident>) -> Vec<User> {
        let mut seen = HashSet::new();
        let emails = residents.into_iter().map(|resident| resident.email);
        let emails = emails.filter(|email| seen.insert(email.clone()));
        emails.map(|email| User { account: account(&self.idps, &email), email }).collect()
    }
}

/// What no other process draws. Without randomness the process's number has to do.
fn random() -> String {
    let mut bytes = [0; 8];
    if rand::fill(&mut bytes).is_err() {
        return String::new();
    }
    hex::encode(bytes)
}
