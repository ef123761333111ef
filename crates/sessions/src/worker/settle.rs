//! The settler: what came of attempts, as many in one transaction as have come in meanwhile.

use super::Outcome;
use crate::capability::Inner;
use crate::journal::Kept;
use crate::meters;
use crate::store::changes;
use crate::store::settle::{Attempted, Settle, Settled};
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;
use tokio::sync::mpsc::UnboundedReceiver;

/// The most outcomes that are settled in one transaction.
const LARGEST: usize = 128;
/// Fewer are not settled at once: a transaction costs much the same for one as for this many …
const ENOUGH: usize = 16;
/// … but they wait no longer than this for more.
const LINGER: Duration = Duration::from_millis(4);
/// Between two tries while the store is down.
const PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Settles outcomes until nobody is left to bring any.
pub(super) async fn run(inner: Arc<Inner>, mut outcomes: UnboundedReceiver<Outcome>) {
    let mut batch = Vec::new();
    while outcomes.recv_many(&mut batch, LARGEST).await > 0 {
        if batch.len() < ENOUGH {
            tokio::time::sleep(LINGER).await;
            while batch.len() < LARGEST
                && let Ok(more) = outcomes.try_recv()
            {
                batch.push(more);
            }
        }
        settle(&inner, batch.iter().map(|it| it.attempted.clone()).collect()).await;
        // The room is given back now: the outcomes are committed.
        batch.clear();
        inner.room.notify_one();
    }
}

/// Settles outcomes, however long that takes: what is not committed is lost, and with it the login.
pub(crate) async fn settle(inner: &Inner, attempts: Vec<Attempted>) -> Settled {
    let settled = match settle_together(inner, &attempts).await {
        Ok(settled) => settled,
        // One of them cannot be settled: the others are, each for itself.
        Err(_) if attempts.len() > 1 => {
            let mut all = Settled::default();
            for it in &attempts {
                all.add(&settle_together(inner, std::slice::from_ref(it)).await.unwrap_or_default());
            }
            all
        }
        Err(_) => Settled::default(),
    };
    meters::settled(&settled);
    let signals = inner.store.signals();
    signals.send(crate::access::TOPIC);
    if settled.ended + settled.renewed + settled.late + settled.retired > 0 {
        signals.send(changes::APPENDED);
    }
    if settled.orphaned > 0 || settled.ended > 0 {
        signals.send(super::revoke::TOPIC);
    }
    settled
}

impl Inner {
    fn is_settled(&self, attempts: &[Attempted]) {
        let mut under_way = self.under_way.lock();
        for it in attempts {
            under_way.remove(it.id.as_str());
        }
    }
}

/// As long as the store is out, it is tried again. What the store will never take stays claimed: its refresh token was
/// presented, so it is for [`super::reap`] to judge when this process is gone.
async fn settle_together(inner: &Inner, attempts: &[Attempted]) -> Result<Settled, StoreError> {
    let (mut pause, mut journaled) = (PAUSE, None::<Kept>);
    loop {
        match inner.store.run(Settle { attempts: attempts.to_vec(), now: inner.now() }).await {
            Ok(settled) => {
                inner.is_settled(attempts);
                if let Some(kept) = journaled {
                    inner.forget_journaled(&kept.path).await;
                }
                return Ok(settled);
            }
            Err(error) if error.is_outage() => {
                tracing::error!(%error, outcomes = attempts.len(), "refreshed tokens cannot be kept yet");
                if journaled.is_none() {
                    journaled = inner.journal(attempts).await;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(error) => {
                tracing::error!(%error, outcomes = attempts.len(), "refreshed tokens cannot be kept");
                return Err(error);
            }
        }
    }
}
