//! The settler: what came of attempts, as many in one transaction as have come in meanwhile.

use super::TOPIC;
use crate::capability::Inner;
use crate::meters;
use crate::settings::days;
use crate::store::registry;
use crate::store::settle::{Attempted, Settle, Settled};
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedReceiver;

/// The most outcomes that are settled in one transaction.
const LARGEST: usize = 256;
/// Fewer are not settled at once while more are to come: a transaction costs much the same for one as for this many …
const ENOUGH: usize = 32;
/// … but they wait no longer than this.
const LINGER: Duration = Duration::from_millis(8);
/// Between two tries while the store is down.
const PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What came of an attempt, and the room it takes until that is committed.
pub(crate) struct Outcome {
    pub(super) attempted: Attempted,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// Settles outcomes until nobody is left to bring any.
pub(super) async fn run(inner: Arc<Inner>, mut outcomes: UnboundedReceiver<Outcome>) {
    let mut batch = Vec::new();
    while outcomes.recv_many(&mut batch, LARGEST).await > 0 {
        linger(&mut outcomes, &mut batch).await;
        let settled = settle(&inner, &batch).await;
        // The room is given back now: the outcomes are committed, or the claims have been left to their leases.
        let lanes: Vec<_> = batch.drain(..).map(|it| it.attempted.line.client_id).collect();
        follow_up(&inner, &settled);
        let has_more = |client_id| inner.lanes.get(client_id).is_some_and(|lane| lane.may_have_backlog());
        if lanes.iter().any(has_more) {
            inner.room.notify_one();
        }
    }
}

/// Takes in what comes until there is enough, nobody is left to bring more, or it has taken long enough.
async fn linger(outcomes: &mut UnboundedReceiver<Outcome>, batch: &mut Vec<Outcome>) {
    let over = tokio::time::sleep(LINGER);
    tokio::pin!(over);
    // Each delivery under way holds a sender; the one that is always there is the worker's.
    while batch.len() < ENOUGH && outcomes.sender_strong_count() > 1 {
        tokio::select! {
            () = &mut over => return,
            more = outcomes.recv_many(batch, LARGEST - batch.len()) => if more == 0 { return },
        }
    }
}

/// Settles a batch; waits an outage out, since an outcome that is lost is a delivery sent twice.
async fn settle(inner: &Inner, batch: &[Outcome]) -> Settled {
    let mut pause = PAUSE;
    loop {
        let now = inner.now();
        let operation = Settle {
            attempts: batch.iter().map(|it| it.attempted.clone()).collect(),
            cipher: inner.snapshots.cipher.clone(),
            now,
            failing_limit: now.minus(days(inner.settings.failing_days)),
        };
        match inner.store.run(operation).await {
            Ok(settled) => return settled,
            Err(error) if is_passing(&error) => {
                tracing::warn!(%error, outcomes = batch.len(), "outcomes cannot be settled yet");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(error) => {
                tracing::error!(%error, outcomes = batch.len(), "outcomes cannot be settled: they are sent again");
                return Settled::default();
            }
        }
    }
}

fn is_passing(error: &StoreError) -> bool {
    error.is_outage()
}

fn follow_up(inner: &Inner, settled: &Settled) {
    for (client_id, heads) in &settled.released {
        if let Some(lane) = inner.lanes.get(client_id) {
            lane.waits(*heads);
        }
    }
    for (client_id, reason) in &settled.disabled {
        tracing::error!(%client_id, reason, "a relying party is disabled: what concerns it is discarded until it is enabled again");
        meters::disabled(reason);
    }
    if !settled.disabled.is_empty() {
        inner.store.signals().send(registry::TOPIC);
        inner.store.signals().send(TOPIC);
    }
}
