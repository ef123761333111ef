//! What may be on its way to each identity provider. One that is dead or slow delays nobody else.
//!
//! Whether it wants to be asked at all is known to whoever asks it ([`Upstream::standing`]); here it is bounded how much is
//! claimed and not settled yet, so that a store that is slow slows the refreshing down by itself; and below that bound how much the
//! identity provider is taken to bear ([`Limit`]).

use crate::rules::{Limit, Outcome};
use crate::upstream::{Standing, Upstream};
use account::{IdpId, Millis};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The lanes of one process, one for each identity provider.
pub(crate) struct Lanes(BTreeMap<IdpId, Arc<Lane>>);

/// The way to one identity provider.
pub(crate) struct Lane {
    pub(crate) idp: IdpId,
    upstream: Arc<dyn Upstream>,
    taken: Arc<AtomicUsize>,
    limit: Mutex<Limit>,
}

/// A place on a lane, until it is dropped.
pub(crate) struct Place(Arc<AtomicUsize>);

impl Lanes {
    pub(crate) fn new(upstream: &Arc<dyn Upstream>) -> Self {
        let lane = |idp: IdpId| {
            let (upstream, taken, limit) = (Arc::clone(upstream), Arc::default(), Mutex::new(Limit::OPEN));
            (idp.clone(), Arc::new(Lane { idp, upstream, taken, limit }))
        };
        Self(upstream.idps().into_iter().map(lane).collect())
    }

    pub(crate) fn get(&self, idp: &IdpId) -> Option<&Arc<Lane>> {
        self.0.get(idp)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Lane>> {
        self.0.values()
    }
}

impl Lane {
    /// How the identity provider is.
    pub(crate) fn standing(&self, now: Millis) -> Standing {
        self.upstream.standing(&self.idp, now)
    }

    /// Places for up to `most`, below the `bound` that is configured: no more than may be asked now. One dispatcher takes them.
    pub(crate) fn places(&self, most: usize, bound: u32, now: Millis) -> Vec<Place> {
        let all = usize::try_from(self.limit(bound)).unwrap_or(usize::MAX);
        let free = all.saturating_sub(self.taken.load(Ordering::Acquire));
        let most = most.min(free).min(self.standing(now).room);
        (0..most).map(|_| Place::taken(&self.taken)).collect()
    }

    /// How many may be under way at once.
    pub(crate) fn limit(&self, bound: u32) -> u32 {
        self.limit.lock().places(bound)
    }

    /// Learns from what came of an attempt that began then.
    pub(crate) fn heard(&self, outcome: Outcome, began_at: Millis, bound: u32, now: Millis) {
        let mut limit = self.limit.lock();
        *limit = limit.after(outcome, began_at, bound, now);
    }
}

impl Place {
    fn taken(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(count))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
