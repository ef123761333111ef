//! The worker: claims what is due, presents refresh tokens, settles what came of it.
//!
//! ```text
//! due ─▶ claim (the intent, committed) ─▶ one POST ─▶ settle, conditional on the claim ─▶ due again, later
//!                                             └─ owner gone? ─▶ reap: again where that is safe, else retire
//! ```
//!
//! Room is given back only when the outcome is committed, so a store that is slow slows the refreshing down by itself. At
//! the soft stop nothing new begins, and what is under way is finished and settled.

mod attempt;
mod beat;
mod reseal;
mod respread;
mod revoke;
mod set_aside;
mod settle;
mod sweep;
mod users;

pub(crate) use attempt::attempt;
pub(crate) use beat::{BEAT, beat};
pub(crate) use respread::{TOPIC as TIMING, respread};
pub(crate) use revoke::{TOPIC as REVOCATIONS, revoke};
pub(crate) use set_aside::verify;
pub(crate) use settle::settle;
pub(crate) use sweep::{measure, reap, sweep};
pub(crate) use users::{TOPIC as USERS, look};

use attempt::shortened;

use crate::capability::Inner;
use crate::lanes::{Lane, Place};
use crate::store::claim::{Claim, Claimed};
use crate::store::reap::ReleaseStrays;
use crate::store::settle::Attempted;
use account::IdpId;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Signalled when there may be something to claim sooner than thought.
pub(crate) const TOPIC: &str = "sessions.due";
/// How long the worker waits for a signal before it looks by itself.
const POLL: Duration = Duration::from_millis(500);
/// The most that is claimed of one identity provider at once.
const LARGEST_CLAIM: usize = 128;

/// What came of an attempt, and the room it takes until that is committed.
pub(crate) struct Outcome {
    pub(crate) attempted: Attempted,
    _place: Place,
}

struct Dispatcher {
    inner: Arc<Inner>,
    under_way: JoinSet<()>,
    outcomes: UnboundedSender<Outcome>,
    /// The answer to a claim was lost: some rows may bear our name that we do not know of.
    has_strays: bool,
}

/// Runs the worker until the soft stop.
pub(crate) async fn run(inner: Arc<Inner>, stop: CancellationToken) {
    let (outcomes, settled) = tokio::sync::mpsc::unbounded_channel();
    let dispatcher =
        Dispatcher { inner: Arc::clone(&inner), under_way: JoinSet::new(), outcomes, has_strays: false };
    // The settler ends when the last outcome is settled: when nobody is left to send it one.
    tokio::join!(dispatcher.run(stop), settle::run(inner, settled));
}

impl Dispatcher {
    async fn run(mut self, stop: CancellationToken) {
        let inner = Arc::clone(&self.inner);
        let mut due = inner.store.signals().listen(TOPIC);
        stop.run_until_cancelled(inner.until_ready()).await;
        while !stop.is_cancelled() {
            due.mark_unchanged();
            let wait = match self.turn().await {
                Ok(()) => POLL,
                Err(error) => {
                    tracing::warn!(%error, "cannot look for grants that are due");
                    POLL * 2
                }
            };
            // Who has ended is let go; room is given back by the settler, which says so.
            while self.under_way.try_join_next().is_some() {}
            tokio::select! {
                () = stop.cancelled() => {}
                () = inner.room.notified() => {}
                Ok(()) = due.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        while self.under_way.join_next().await.is_some() {}
    }

    /// One turn: everything that may begin now begins.
    async fn turn(&mut self) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        // Whoever is not heard of presents nothing; and what came before comes first.
        if !inner.may_claim() {
            return Ok(());
        }
        if self.has_strays {
            let held = inner.under_way.lock().iter().cloned().collect();
            inner.store.run(ReleaseStrays { owner: inner.owner.to_string(), held }).await?;
            self.has_strays = false;
        }
        while self.claim().await? {}
        Ok(())
    }

    /// Claims for every lane that has room; whether there may be more.
    async fn claim(&mut self) -> Result<bool, StoreError> {
        let inner = Arc::clone(&self.inner);
        let now = inner.now();
        let bound = inner.settings().concurrency;
        let places = |lane: &Arc<Lane>| (lane.idp.clone(), lane.places(LARGEST_CLAIM, bound, now));
        let mut places: HashMap<IdpId, Vec<Place>> = inner.lanes.iter().map(places).collect();
        places.retain(|_, places| !places.is_empty());
        if places.is_empty() {
            return Ok(false);
        }
        let count = |places: &Vec<_>| u32::try_from(places.len()).unwrap_or(u32::MAX);
        let rooms = places.iter().map(|(idp, places)| (idp.clone(), count(places))).collect();
        let claim = Claim { rooms, owner: inner.owner.to_string(), now };
        let claimed = inner.store.run(claim).await.inspect_err(|_| self.has_strays = true)?;
        for it in claimed {
            if let Some(place) = places.get_mut(&it.account.idp).and_then(Vec::pop) {
                self.begin(it, place);
            }
        }
        // Where every place was taken there may be more.
        Ok(places.values().any(Vec::is_empty))
    }

    fn begin(&mut self, claimed: Claimed, place: Place) {
        let (inner, outcomes) = (Arc::clone(&self.inner), self.outcomes.clone());
        inner.under_way.lock().insert(claimed.id.to_string());
        self.under_way.spawn(async move {
            let attempted = attempt(&inner, claimed, false).await;
            // The settler outlives every attempt.
            drop(outcomes.send(Outcome { attempted, _place: place }));
        });
    }
}

/// Drives the worker by hand, for tests: everything that is due is refreshed and settled; how many were.
#[cfg(test)]
pub(crate) async fn run_to_quiescence(inner: &Arc<Inner>) -> usize {
    let mut all = 0;
    loop {
        let (outcomes, settled) = tokio::sync::mpsc::unbounded_channel();
        let mut dispatcher =
            Dispatcher { inner: Arc::clone(inner), under_way: JoinSet::new(), outcomes, has_strays: false };
        dispatcher.turn().await.expect("the store answers");
        let began = dispatcher.under_way.len();
        while dispatcher.under_way.join_next().await.is_some() {}
        drop(dispatcher);
        settle::run(Arc::clone(inner), settled).await;
        all += began;
        if began == 0 {
            return all;
        }
    }
}
