//! What may be on its way to each identity provider. One that is dead or slow delays nobody else.
//!
//! Whether it wants to be asked at all is known to whoever asks it ([`Upstream::standing`]); here it is bounded how much is
//! claimed and not settled yet, so that a store that is slow slows the refreshing down by itself.

use crate::upstream::{Standing, Upstream};
use account::{IdpId, Millis};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The lanes of one process, one for each identity provider.
pub(crate) struct Lanes(BTreeMap<IdpId, Arc<Lane>>);

/// The way to one identity provider.
pub(crate) struct Lane {
    pub(crate) idp: IdpId,
    upstream: Arc<dyn Upstream>,
    room: Arc<Semaphore>,
}

impl Lanes {
    /// With places for so many on each.
    pub(crate) fn new(upstream: &Arc<dyn Upstream>, places: u32) -> Self {
        let places = usize::try_from(places).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let lane = |idp: IdpId| {
            let (upstream, room) = (Arc::clone(upstream), Arc::new(Semaphore::new(places)));
            (idp.clone(), Arc::new(Lane { idp, upstream, room }))
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

    /// Places for up to `most`: no more than may be asked now.
    pub(crate) fn places(&self, most: usize, now: Millis) -> Vec<OwnedSemaphorePermit> {
        let most = most.min(self.room.available_permits()).min(self.standing(now).room);
        (0..most).map_while(|_| Arc::clone(&self.room).try_acquire_owned().ok()).collect()
    }
}
