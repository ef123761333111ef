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

/// The most that is claimed of one relying party at once.
const LARGEST_CLAIM: u32 = 128;

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
    waiting: Waiting,
}

/// How many deliveries are there to be claimed. While a claim is under way its room is nobody else's, so it asks for no
/// more than there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// So many, as far as this process knows.
    Known(u32),
    /// Any number.
    Unknown,
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
            waiting: Waiting::Unknown,
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

    /// Leave for a claim of what waits, or, when it looks `everywhere`, of whatever there may be. From here on that counts
    /// as claimed: it is there to be found by a transaction that begins now, and what turns up later is counted anew.
    pub(crate) fn grant_claim(self: &Arc<Self>, everywhere: bool, now: Millis) -> Option<(Grant, Waiting)> {
        let asked = if everywhere { Waiting::Unknown } else { self.state.lock().waiting };
        let wanted = match asked {
            Waiting::Known(count) => count.min(LARGEST_CLAIM),
            Waiting::Unknown => LARGEST_CLAIM,
        };
        let grant = if wanted == 0 { None } else { self.grant(wanted, now) }?;
        let mut state = self.state.lock();
        state.waiting = match (asked, state.waiting) {
            (Waiting::Unknown, _) => Waiting::Known(0),
            (_, Waiting::Known(count)) => Waiting::Known(count.saturating_sub(grant.count())),
            (_, Waiting::Unknown) => Waiting::Unknown,
        };
        Some((grant, asked))
    }

    /// So many more wait.
    pub(crate) fn waits(&self, more: u32) {
        let waiting = &mut self.state.lock().waiting;
        if let Waiting::Known(count) = waiting {
            *count = count.saturating_add(more);
        }
    }

    /// There may be any number more than was claimed.
    pub(crate) fn may_have_more(&self) {
        self.state.lock().waiting = Waiting::Unknown;
    }

    pub(crate) fn may_have_backlog(&self) -> bool {
        self.state.lock().waiting != Waiting::Known(0)
    }

    /// Whether it would take half of what it takes at once.
    pub(crate) fn is_half_empty(&self, now: Millis) -> bool {
        let room = self.room.available_permits() * 2;
        room >= usize::try_from(self.rp.config.concurrency).unwrap_or(1)
            && self.state.lock().breaker.admission(now) == Admission::Any
    }

    /// Whether nothing is under way, being claimed, or known to be there.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        !self.may_have_backlog()
            && Some(self.room.available_permits()) == usize::try_from(self.rp.config.concurrency).ok()
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
    fn a_claim_asks_for_what_waits_and_leaves_the_rest_of_the_room_to_others() {
        let lane = lane(|_| ());
        let claim =
            |everywhere| lane.grant_claim(everywhere, at(0)).map(|(grant, asked)| (grant.count(), asked));
        assert_eq!(claim(false), Some((4, Waiting::Unknown)), "nothing is known yet");
        assert_eq!((claim(false), lane.may_have_backlog()), (None, false));
        lane.waits(3);
        assert_eq!(claim(false), Some((3, Waiting::Known(3))));
        assert!(!lane.may_have_backlog());
        lane.waits(6);
        assert_eq!(claim(false), Some((4, Waiting::Known(6))), "there is room for no more");
        assert_eq!(claim(false), Some((2, Waiting::Known(2))));
        assert_eq!(claim(true), Some((4, Waiting::Unknown)));
        lane.may_have_more();
        lane.waits(1);
        assert_eq!(claim(false), Some((4, Waiting::Unknown)));
    }

    #[test]
    fn what_turns_up_while_a_claim_looks_is_not_taken_for_claimed() {
        let lane = lane(|_| ());
        let (grant, _) = lane.grant_claim(true, at(0)).expect("room");
        assert!(!lane.may_have_backlog());
        lane.waits(1);
        assert!(lane.may_have_backlog());
        grant.give_back(at(0));
        assert!(lane.may_have_backlog());
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
