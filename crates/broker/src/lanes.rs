//! A lane for each relying party: its room, its breaker, its rate. What happens in one lane is nothing to the others.

use crate::meters::Attempts;
use crate::routing::Registry;
use crate::{ClientId, RelyingParty, Verdict};
use account::Millis;
use arc_swap::ArcSwap;
use outbound::{Admission, Breaker, BreakerRules, Rate, Spread, TokenBucket};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

/// After a delivery found no room, its lane is looked at again for this long: it may not be committed yet.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// When a relying party is spared, and for how long: while it fails it costs nothing.
const SPARING: BreakerRules = BreakerRules {
    failures: 5,
    first_wait: Duration::from_secs(10),
    longest_wait: Duration::from_mins(5),
    probe: Duration::from_mins(1),
};

/// One relying party's lane, for as long as it stays as it is: a change of it makes a new one.
pub(crate) struct Lane {
    pub(crate) rp: Arc<RelyingParty>,
    /// Where it is told.
    pub(crate) webhook: Option<Url>,
    pub(crate) meters: Attempts,
    room: Arc<Semaphore>,
    state: Mutex<LaneState>,
}

struct LaneState {
    breaker: Breaker,
    bucket: Option<TokenBucket>,
    /// There is more than was claimed, as far as is known.
    has_backlog: bool,
    /// Until then something may turn up that found no room when it was made.
    expected_until: Millis,
}

/// Leave for deliveries to begin.
pub(crate) struct Grant {
    pub(crate) lane: Arc<Lane>,
    permit: OwnedSemaphorePermit,
    is_probe: bool,
}

impl Lane {
    fn new(rp: Arc<RelyingParty>, now: Millis) -> Self {
        let state = LaneState {
            breaker: Breaker::new(SPARING),
            bucket: rp.config.rate.map(|rate| TokenBucket::new(Rate::per_second(rate), rate, now)),
            has_backlog: true,
            expected_until: Millis::ZERO,
        };
        let room = Arc::new(Semaphore::new(usize::try_from(rp.config.concurrency).unwrap_or(1)));
        let (webhook, meters) = (rp.config.webhook_url(), Attempts::of(&rp.client_id));
        Self { rp, webhook, meters, room, state: Mutex::new(state) }
    }

    /// Leave for up to `wanted` deliveries to begin now; `None` when none may.
    pub(crate) fn grant(self: &Arc<Self>, wanted: u32, now: Millis) -> Option<Grant> {
        let mut state = self.state.lock();
        let (most, is_probe) = match state.breaker.admission(now) {
            Admission::Any => (wanted, false),
            Admission::Probe => (wanted.min(1), true),
            Admission::None => return None,
        };
        let available = u32::try_from(self.room.available_permits()).unwrap_or(u32::MAX).min(most);
        let count = state.bucket.as_mut().map_or(available, |bucket| bucket.take(available, now));
        if count == 0 {
            return None;
        }
        // Whoever took a permit in between took it from us: then there is less.
        let permit = Arc::clone(&self.room).try_acquire_many_owned(count).ok();
        let Some(permit) = permit else {
            if let Some(bucket) = &mut state.bucket {
                bucket.give_back(count);
            }
            return None;
        };
        if is_probe {
            state.breaker.probing(now);
        }
        Some(Grant { lane: Arc::clone(self), permit, is_probe })
    }

    /// Notes what came of an attempt.
    pub(crate) fn note(&self, verdict: &Verdict, now: Millis) {
        let mut state = self.state.lock();
        match verdict {
            Verdict::Failed { retry_after, strains: true, .. } => {
                state.breaker.failed(now, *retry_after, Spread::NONE);
            }
            // Whatever it said, it is there.
            Verdict::Delivered | Verdict::Failed { .. } | Verdict::Rejected { .. } | Verdict::Gone => {
                state.breaker.succeeded();
            }
        }
    }

    /// There is something to claim that found no room, or will be in a moment: it may not be committed yet.
    pub(crate) fn expect_backlog(&self, now: Millis) {
        let mut state = self.state.lock();
        state.expected_until = state.expected_until.max(now.plus(LOOK_AGAIN));
    }

    /// Everything that is due and committed is about to be claimed. Said before the claim looks, so that what turns up
    /// while it does is not taken for claimed.
    pub(crate) fn is_about_to_be_drained(&self) {
        self.state.lock().has_backlog = false;
    }

    /// There is more than was claimed.
    pub(crate) fn has_backlog(&self) {
        self.state.lock().has_backlog = true;
    }

    /// Whether nothing is under way, being claimed, or known to be there.
    #[cfg(test)]
    pub(crate) fn is_idle(&self, now: Millis) -> bool {
        !self.may_have_backlog(now)
            && Some(self.room.available_permits()) == usize::try_from(self.rp.config.concurrency).ok()
    }

    pub(crate) fn may_have_backlog(&self, now: Millis) -> bool {
        let state = self.state.lock();
        state.has_backlog || state.expected_until > now
    }
}

impl Grant {
    /// For how many.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.permit.num_permits()).unwrap_or(u32::MAX)
    }

    /// Takes the leave for one of them out.
    pub(crate) fn one(&mut self) -> Option<OwnedSemaphorePermit> {
        // A probe that goes is no longer given back.
        self.is_probe = false;
        self.permit.split(1)
    }

    /// Gives back what was not used.
    pub(crate) fn give_back(self, now: Millis) {
        let unused = self.count();
        let mut state = self.lane.state.lock();
        if let Some(bucket) = &mut state.bucket {
            bucket.give_back(unused);
        }
        if self.is_probe {
            state.breaker.not_probing(now);
        }
    }
}

/// The lanes of all relying parties.
#[derive(Default)]
pub(crate) struct Lanes(ArcSwap<HashMap<ClientId, Arc<Lane>>>);

impl Lanes {
    /// Brings the lanes in line with a registry. A relying party that changed gets a new lane: what was held against
    /// it may be mended.
    pub(crate) fn follow(&self, registry: &Registry, now: Millis) {
        let old = self.0.load();
        let lane = |rp: &Arc<RelyingParty>| {
            let kept = old.get(&rp.client_id).filter(|lane| lane.rp == *rp).map(Arc::clone);
            (rp.client_id.clone(), kept.unwrap_or_else(|| Arc::new(Lane::new(Arc::clone(rp), now))))
        };
        self.0.store(Arc::new(registry.iter().map(lane).collect()));
    }

    pub(crate) fn get(&self, client_id: &ClientId) -> Option<Arc<Lane>> {
        self.0.load().get(client_id).cloned()
    }

    /// The lane of a relying party as it is known to the caller; `None` when that is not how it is known here.
    pub(crate) fn of(&self, rp: &Arc<RelyingParty>) -> Option<Arc<Lane>> {
        self.get(&rp.client_id).filter(|lane| Arc::ptr_eq(&lane.rp, rp) || lane.rp == *rp)
    }

    /// Those that are sent to, in whatever state: even who is paused or disabled is told so.
    pub(crate) fn sent_to(&self) -> Vec<Arc<Lane>> {
        self.0.load().values().filter(|lane| lane.rp.has_webhook()).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Secrets, Status};
    use std::collections::BTreeMap;

    fn at(seconds: i64) -> Millis {
        Millis::from_seconds(seconds)
    }

    fn lane(change: impl FnOnce(&mut Config)) -> Arc<Lane> {
        let mut config =
            Config { concurrency: 4, webhook: Some("https://a.example".into()), ..Config::default() };
        change(&mut config);
        let rp = RelyingParty {
            client_id: ClientId::new("a").expect("valid"),
            config,
            secrets: Secrets::default(),
            status: Status::Enabled,
            status_at: Millis::ZERO,
        };
        Arc::new(Lane::new(Arc::new(rp), at(0)))
    }

    #[test]
    fn a_lane_has_room_for_so_many_at_once() {
        let lane = lane(|_| ());
        let mut grant = lane.grant(10, at(0)).expect("room");
        assert_eq!(grant.count(), 4);
        let under_way = grant.one().expect("one of them");
        assert!(lane.grant(1, at(0)).is_none());
        grant.give_back(at(0));
        assert_eq!(lane.grant(10, at(0)).expect("room").count(), 3);
        drop(under_way);
        assert_eq!(lane.grant(10, at(0)).expect("room").count(), 4);
    }

    #[test]
    fn what_found_no_room_is_looked_for_although_a_claim_came_back_empty_meanwhile() {
        let lane = lane(|_| ());
        assert!(lane.may_have_backlog(at(0)), "nothing is known yet");
        lane.expect_backlog(at(0));
        lane.is_about_to_be_drained();
        assert!(lane.may_have_backlog(at(1)), "it may not have been committed when the claim looked");
        assert!(!lane.may_have_backlog(at(3)));
        lane.is_about_to_be_drained();
        lane.has_backlog();
        assert!(lane.may_have_backlog(at(3)), "it turned up while the claim looked");
    }

    #[test]
    fn a_rate_bounds_what_begins_and_what_is_not_used_is_not_lost() {
        let lane = lane(|config| config.rate = Some(2));
        let grant = lane.grant(10, at(0)).expect("room");
        assert_eq!(grant.count(), 2);
        assert!(lane.grant(10, at(0)).is_none());
        grant.give_back(at(0));
        assert_eq!(lane.grant(10, at(0)).expect("room").count(), 2);
    }

    #[test]
    fn a_probe_that_finds_nothing_to_send_leaves_the_way_free_for_another() {
        let lane = lane(|_| ());
        (0..5).for_each(|_| lane.note(&Verdict::unanswered("x"), at(0)));
        assert!(lane.grant(1, at(1)).is_none());
        let probe = lane.grant(10, at(20)).expect("a probe");
        assert_eq!(probe.count(), 1);
        assert!(lane.grant(1, at(20)).is_none());
        probe.give_back(at(20));
        let mut probe = lane.grant(10, at(20)).expect("another");
        let _under_way = probe.one();
        probe.give_back(at(20));
        assert!(lane.grant(1, at(20)).is_none(), "one is under way");
        lane.note(&Verdict::Delivered, at(21));
        assert_eq!(lane.grant(10, at(21)).expect("open").count(), 3);
    }

    #[test]
    fn a_changed_relying_party_gets_a_new_lane_and_the_others_keep_theirs() {
        let (one, mut two) = (lane(|_| ()).rp.as_ref().clone(), lane(|_| ()).rp.as_ref().clone());
        two.client_id = ClientId::new("b").expect("valid");
        let lanes = Lanes::default();
        let follow = |rps: Vec<RelyingParty>| lanes.follow(&Registry::new(rps, BTreeMap::new()), at(0));
        follow(vec![one.clone(), two.clone()]);
        let (first, second) = (
            lanes.of(&Arc::new(one.clone())).expect("a lane"),
            lanes.of(&Arc::new(two.clone())).expect("a lane"),
        );
        two.config.webhook = Some("https://elsewhere.example".into());
        assert!(lanes.of(&Arc::new(two.clone())).is_none(), "not as it is known here");
        follow(vec![one.clone(), two.clone()]);
        assert!(Arc::ptr_eq(&first, &lanes.of(&Arc::new(one.clone())).expect("a lane")));
        assert!(!Arc::ptr_eq(&second, &lanes.of(&Arc::new(two.clone())).expect("a lane")));
        follow(vec![one]);
        assert!(lanes.get(&two.client_id).is_none());
    }
}
