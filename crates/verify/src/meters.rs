//! What is counted.

use crate::flights::{Learned, Role};
use crate::shared::{Lookups, Via};
use crate::{CheckError, Refusal, Source};
use account::Millis;
use metrics::{Counter, Histogram};

/// Held handles: a look-up in the recorder would cost more than a remembered check.
pub(crate) struct Meters {
    /// Of this process's own memory.
    pub(crate) local: Lookups,
    pub(crate) remembered: Counter,
    pub(crate) negative: Counter,
    pub(crate) stale: Counter,
    pub(crate) refreshed: Counter,
    coalesced: Counter,
    signed: Counter,
    told: Counter,
    unavailable: Counter,
    first_refusal: Histogram,
    refused: [Counter; Refusal::ALL.len()],
}

impl Meters {
    pub(crate) fn new() -> Self {
        metrics::describe_counter!("verify.checks", "Bearer tokens checked, by what came of it");
        metrics::describe_counter!("verify.refusals", "Bearer tokens refused, by reason");
        metrics::describe_counter!(
            "verify.refreshes",
            "Facts of bearer tokens learned anew in the background"
        );
        metrics::describe_histogram!(
            "verify.first_refusal",
            "From an account's change to the first request that is refused for it, where something was remembered"
        );
        let outcome = |outcome: &'static str| metrics::counter!("verify.checks", "outcome" => outcome);
        Self {
            local: Lookups::of("local"),
            remembered: outcome("remembered"),
            negative: outcome("negative"),
            stale: outcome("stale"),
            refreshed: metrics::counter!("verify.refreshes"),
            coalesced: outcome("coalesced"),
            signed: outcome("verified"),
            told: outcome("asked"),
            unavailable: outcome("unavailable"),
            first_refusal: metrics::histogram!("verify.first_refusal"),
            refused: Refusal::ALL
                .map(|refusal| metrics::counter!("verify.refusals", "reason" => refusal.as_str())),
        }
    }

    /// It was remembered here.
    pub(crate) fn recalled(&self) {
        self.local.hit.increment(1);
        self.remembered.increment(1);
    }

    pub(crate) fn learned(&self, learned: &Learned, role: Role) {
        if role == Role::Joined {
            self.local.coalesced.increment(1);
        }
        let counter = match (role, learned.via, learned.facts.source) {
            (_, Via::Recalled, _) => &self.remembered,
            (Role::Joined, ..) | (_, Via::Waited, _) => &self.coalesced,
            (Role::Began, Via::Asked, Source::Word) => &self.told,
            (Role::Began, Via::Asked, Source::Signature(_)) => &self.signed,
        };
        counter.increment(1);
    }

    /// A request was refused at `now` for a change of its account, if there was one that nobody was refused for before.
    pub(crate) fn refused_for_change(&self, changed_at: Option<Millis>, now: Millis) {
        if let Some(changed_at) = changed_at {
            self.first_refusal.record(now.since(changed_at).as_secs_f64());
        }
    }

    pub(crate) fn failed(&self, error: CheckError) -> CheckError {
        let counter = match &error {
            CheckError::Unavailable { .. } | CheckError::TimedOut { .. } => &self.unavailable,
            CheckError::Refused(refusal) => &self.refused[*refusal as usize],
        };
        counter.increment(1);
        error
    }
}
