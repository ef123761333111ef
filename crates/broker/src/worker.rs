//! The worker: takes what is handed over, claims what is due, sends, settles.
//!
//! Each delivery under way is a task; its outcome goes to the settler, which settles many in one transaction. Room in a
//! lane is given back only when the outcome is committed, so a store that is slow slows the sending down by itself. At
//! the soft stop nothing new begins, and what is under way is finished and settled.

mod claims;
mod send;
mod settle;
mod signing;
mod sweep;

use crate::capability::Inner;
use crate::handover::Held;
use crate::snapshot::ReadRegistry;
use crate::store::claim::ReleaseAll;
use crate::store::{registry, signing_keys};
use claims::{Claimed, Claims, Look};
use std::sync::Arc;
use std::time::Duration;
use store::{Engine, StoreError};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use settle::Outcome;

/// Signalled when there may be something to claim.
pub(crate) const TOPIC: &str = "broker.deliveries";
/// The worker looks by itself so often: retries come due without a signal.
const POLL: Duration = Duration::from_secs(1);

/// The worker of one process.
pub(crate) struct Dispatcher {
    inner: Arc<Inner>,
    under_way: JoinSet<()>,
    claims: Claims,
    signing: Arc<signing::Queue>,
    outcomes: UnboundedSender<Outcome>,
}

/// Runs the worker until the soft stop.
pub(crate) async fn run(inner: Arc<Inner>, stop: CancellationToken) {
    let (outcomes, settled) = tokio::sync::mpsc::unbounded_channel();
    let dispatcher = Dispatcher::new(Arc::clone(&inner), outcomes);
    // The settler ends when the last outcome is settled: when nobody is left to send it one.
    tokio::join!(dispatcher.run(stop), settle::run(inner, settled));
}

impl Dispatcher {
    fn new(inner: Arc<Inner>, outcomes: UnboundedSender<Outcome>) -> Self {
        let signing = Arc::new(signing::Queue::new());
        Self { inner, under_way: JoinSet::new(), claims: Claims::default(), signing, outcomes }
    }

    async fn run(mut self, stop: CancellationToken) {
        let inner = Arc::clone(&self.inner);
        let signals = inner.store.signals();
        let mut committed = ledger::committed(&inner.store);
        let (mut due, mut changed) = (signals.listen(TOPIC), signals.listen(registry::TOPIC));
        stop.run_until_cancelled(begin(&inner)).await;
        stop.run_until_cancelled(until_there_are_keys(&inner)).await;
        inner.handover.set_open(true);
        let mut poll_at = Instant::now();
        while !stop.is_cancelled() {
            // Who has ended is let go; room is given back by the settler, which says so.
            while self.under_way.try_join_next().is_some() {}
            let wake_at = self.claims.begin(&inner).map_or(poll_at, |soonest| soonest.min(poll_at));
            let done = tokio::select! {
                () = stop.cancelled() => break,
                claimed = self.claims.ended(&inner) => claimed.map(|claimed| self.send_claimed(claimed)),
                () = inner.room.notified() => {
                    self.claims.want(Look::Hinted);
                    Ok(())
                }
                Ok(()) = committed.changed() => self.take_over().await,
                Ok(()) = due.changed() => self.look_everywhere().await,
                Ok(()) = changed.changed() => self.look_everywhere().await,
                () = tokio::time::sleep_until(wake_at) => {
                    if Instant::now() < poll_at { continue }
                    poll_at = Instant::now() + POLL;
                    self.look_everywhere().await
                }
            };
            if let Err(error) = done {
                tracing::warn!(%error, "cannot look for deliveries");
                poll_at = Instant::now() + POLL * 2;
            }
        }
        inner.handover.set_open(false);
        if self.claims.is_under_way() {
            // What it brings is ours: it is sent, or waits for its lease to end.
            drop(self.claims.ended(&inner).await.map(|claimed| self.send_claimed(claimed)));
        }
        while self.under_way.join_next().await.is_some() {}
    }

    /// Looks for whatever there may be, for everybody there is.
    async fn look_everywhere(&mut self) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        let registry = inner.store.scan(ReadRegistry(inner.snapshots.clone())).await?;
        inner.lanes.follow(&registry, inner.now());
        self.claims.want(Look::Everywhere);
        self.take_over().await
    }

    /// Sends what was handed over and is committed by now.
    async fn take_over(&mut self) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        let handed = inner.handover.committed(&inner.store).await?;
        // Where this process makes no deliveries itself, a commit says only that others may have.
        let by_others = handed.is_empty() && !inner.makes_deliveries();
        self.claims.want(if by_others { Look::Everywhere } else { Look::Hinted });
        for held in handed {
            self.send(held);
        }
        Ok(())
    }

    fn send_claimed(&mut self, claimed: Vec<Claimed>) {
        for Claimed { mut grant, deliveries } in claimed {
            let lane = Arc::clone(&grant.lane);
            for delivery in deliveries {
                let Some(permit) = grant.one() else { break };
                self.send(Held { lane: Arc::clone(&lane), delivery, permit });
            }
            grant.give_back(self.inner.now());
        }
    }

    fn send(&mut self, held: Held) {
        let (inner, outcomes) = (Arc::clone(&self.inner), self.outcomes.clone());
        if signing::takes_long(&held.lane.rp) {
            if self.signing.join(held) {
                self.under_way.spawn(signing::run(inner, Arc::clone(&self.signing), outcomes));
            }
            return;
        }
        self.under_way.spawn(async move {
            let outcome = send::attempt(&inner, held).await;
            // The settler outlives every sender.
            drop(outcomes.send(outcome));
        });
    }
}

/// On SQLite, whose file has one owner, what a former life had claimed is free again at once.
async fn begin(inner: &Inner) {
    if inner.store.engine() == Engine::Postgres {
        return;
    }
    while let Err(error) = inner.store.run(ReleaseAll(inner.now())).await {
        tracing::warn!(%error, "cannot look for what was under way before this process");
        tokio::time::sleep(POLL).await;
    }
}

/// Without a key nothing can be said; what is due waits, and no attempt is used up.
async fn until_there_are_keys(inner: &Inner) {
    let mut changed = inner.store.signals().listen(signing_keys::TOPIC);
    loop {
        changed.mark_unchanged();
        if inner.signer.is_ready() {
            return;
        }
        tokio::select! {
            Ok(()) = changed.changed() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

pub(crate) use sweep::{measure, sweep};

/// Drives the worker by hand, for tests: everything that is due is sent and settled.
#[cfg(test)]
pub(crate) async fn run_to_quiescence(inner: &Arc<Inner>) {
    inner.handover.set_open(true);
    loop {
        let (outcomes, settled) = tokio::sync::mpsc::unbounded_channel();
        let mut dispatcher = Dispatcher::new(Arc::clone(inner), outcomes);
        dispatcher.look_everywhere().await.expect("the store answers");
        dispatcher.claims.begin(inner);
        while dispatcher.claims.is_under_way() {
            let claimed = dispatcher.claims.ended(inner).await.expect("the store answers");
            dispatcher.send_claimed(claimed);
            dispatcher.claims.begin(inner);
        }
        let began = dispatcher.under_way.len();
        while dispatcher.under_way.join_next().await.is_some() {}
        drop(dispatcher);
        settle::run(Arc::clone(inner), settled).await;
        if began == 0 {
            return;
        }
    }
}
