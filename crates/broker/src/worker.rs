//! The worker: takes what is handed over, claims what is due, sends, settles.
//!
//! Each delivery under way is a task; its outcome goes to the settler, which settles many in one transaction. Room in a
//! lane is given back only when the outcome is committed, so a store that is slow slows the sending down by itself. At
//! the soft stop nothing new begins, and what is under way is finished and settled.

mod send;
mod settle;
mod signing;
mod sweep;

use crate::capability::Inner;
use crate::handover::Held;
use crate::lanes::{Grant, Lane};
use crate::snapshot::ReadRegistry;
use crate::store::claim::{AT_ONCE, Claim, ReleaseAll, Room};
use crate::store::registry;
use crate::store::rows::Delivery;
use crate::store::signing_keys;
use crate::{ClientId, Status};
use account::Millis;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use store::{Engine, StoreError};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) use settle::Outcome;

/// Signalled when there may be something to claim.
pub(crate) const TOPIC: &str = "broker.deliveries";
/// How long the worker waits for a signal before it looks by itself: retries come due without one.
const POLL: Duration = Duration::from_secs(1);
/// The most that is claimed of one relying party at once.
const LARGEST_CLAIM: u32 = 128;

/// How the worker looks for work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Only where there may be something.
    Hinted,
    /// Everywhere.
    Everywhere,
}

/// The worker of one process.
pub(crate) struct Dispatcher {
    inner: Arc<Inner>,
    under_way: JoinSet<()>,
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
        Self { inner, under_way: JoinSet::new(), signing: Arc::new(signing::Queue::new()), outcomes }
    }

    async fn run(mut self, stop: CancellationToken) {
        let inner = Arc::clone(&self.inner);
        let signals = inner.store.signals();
        let mut committed = ledger::committed(&inner.store);
        let (mut due, mut changed) = (signals.listen(TOPIC), signals.listen(registry::TOPIC));
        stop.run_until_cancelled(self.begin()).await;
        stop.run_until_cancelled(self.until_there_are_keys()).await;
        inner.handover.set_open(true);
        let mut look = Look::Everywhere;
        while !stop.is_cancelled() {
            committed.mark_unchanged();
            due.mark_unchanged();
            changed.mark_unchanged();
            let wait = self.turn(look).await;
            // Who has ended is let go; room is given back by the settler, which says so.
            while self.under_way.try_join_next().is_some() {}
            tokio::select! {
                () = stop.cancelled() => {}
                () = inner.room.notified() => look = Look::Hinted,
                Ok(()) = committed.changed() => look = Look::Hinted,
                Ok(()) = due.changed() => look = Look::Everywhere,
                Ok(()) = changed.changed() => look = Look::Everywhere,
                () = tokio::time::sleep(wait) => look = Look::Everywhere,
            }
        }
        inner.handover.set_open(false);
        while self.under_way.join_next().await.is_some() {}
    }

    /// On SQLite, whose file has one owner, what a former life had claimed is free again at once.
    async fn begin(&self) {
        if self.inner.store.engine() == Engine::Postgres {
            return;
        }
        while let Err(error) = self.inner.store.run(ReleaseAll(self.inner.now())).await {
            tracing::warn!(%error, "cannot look for what was under way before this process");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Without a key nothing can be said; what is due waits, and no attempt is used up.
    async fn until_there_are_keys(&self) {
        let mut changed = self.inner.store.signals().listen(signing_keys::TOPIC);
        loop {
            changed.mark_unchanged();
            if self.inner.signer.is_ready() {
                return;
            }
            tokio::select! {
                Ok(()) = changed.changed() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// One turn: everything that may begin now begins. How long to wait for a signal afterwards.
    async fn turn(&mut self, look: Look) -> Duration {
        match self.try_turn(look).await {
            Ok(()) => POLL,
            Err(error) => {
                tracing::warn!(%error, "cannot look for deliveries");
                POLL * 2
            }
        }
    }

    async fn try_turn(&mut self, look: Look) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        let now = inner.now();
        if look == Look::Everywhere {
            inner.lanes.follow(&*inner.store.scan(ReadRegistry(inner.snapshots.clone())).await?, now);
        }
        let handed = inner.handover.committed(&inner.store, now).await?;
        // Where this process makes no deliveries itself, a commit says only that others may have.
        let look = if handed.is_empty() && !inner.makes_deliveries() { Look::Everywhere } else { look };
        for held in handed {
            self.send(held);
        }
        while self.claim(look).await? {}
        Ok(())
    }

    /// Claims for every lane that may have something and has room; whether there may be more.
    async fn claim(&mut self, look: Look) -> Result<bool, StoreError> {
        let inner = Arc::clone(&self.inner);
        let now = inner.now();
        let lanes = inner.lanes.sent_to();
        let lanes = lanes.iter().filter(|lane| look == Look::Everywhere || lane.may_have_backlog(now));
        let grants: Vec<(Grant, Room)> = lanes.filter_map(|lane| room(lane, now)).collect();
        if grants.is_empty() {
            return Ok(false);
        }
        for (grant, _) in &grants {
            grant.lane.is_about_to_be_drained();
        }
        let rooms = grants.iter().map(|(_, room)| room.clone()).collect();
        let claimed = inner.store.run(Claim { rooms, owner: inner.owner.to_string(), now }).await;
        let (claimed, failed) = match claimed {
            Ok(claimed) => (claimed, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let mut by_rp: HashMap<ClientId, Vec<Delivery>> = HashMap::new();
        for delivery in claimed {
            by_rp.entry(delivery.client_id.clone()).or_default().push(delivery);
        }
        let mut more = false;
        for (mut grant, room) in grants {
            let own = by_rp.remove(&room.client_id).unwrap_or_default();
            let lane = Arc::clone(&grant.lane);
            if own.len() == usize::try_from(room.most).unwrap_or(usize::MAX) {
                lane.has_backlog();
                more = true;
            } else if failed.is_some() {
                lane.has_backlog();
            }
            for delivery in own {
                let Some(permit) = grant.one() else { break };
                self.send(Held { lane: Arc::clone(&lane), delivery, permit });
            }
            grant.give_back(now);
        }
        failed.map_or(Ok(more), Err)
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

/// How much may be claimed for a lane. To who is paused or disabled goes only what is about its stream.
fn room(lane: &Arc<Lane>, now: Millis) -> Option<(Grant, Room)> {
    let grant = lane.grant(LARGEST_CLAIM, now)?;
    let due_by = if lane.rp.status == Status::Enabled { now } else { AT_ONCE };
    let room = Room { client_id: lane.rp.client_id.clone(), most: grant.count(), due_by };
    Some((grant, room))
}

pub(crate) use sweep::{measure, sweep};

/// Drives the worker by hand, for tests: everything that is due is sent and settled.
#[cfg(test)]
pub(crate) async fn run_to_quiescence(inner: &Arc<Inner>) {
    inner.handover.set_open(true);
    loop {
        let (outcomes, settled) = tokio::sync::mpsc::unbounded_channel();
        let mut dispatcher = Dispatcher::new(Arc::clone(inner), outcomes);
        dispatcher.try_turn(Look::Everywhere).await.expect("the store answers");
        let began = dispatcher.under_way.len();
        while dispatcher.under_way.join_next().await.is_some() {}
        drop(dispatcher);
        settle::run(Arc::clone(inner), settled).await;
        if began == 0 {
            return;
        }
    }
}
