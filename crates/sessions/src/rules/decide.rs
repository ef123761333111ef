//! What becomes of a grant.

use super::{Chance, GrantState, History, Profile, Reason, Timing, back_off, may_present_again, refresh_at};
use account::Millis;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What came of presenting a refresh token once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is a new access token.
    Renewed {
        /// Until when, if that is told.
        expires_at: Option<Millis>,
    },
    /// The identity provider says that the grant is no more.
    Refused,
    /// What it answered is of somebody else.
    Mismatch,
    /// It does not know us, or not as we ask. That says nothing about the grant: somebody must mend the configuration.
    Misconfigured,
    /// It is asked too much; the token was not taken.
    Throttled {
        /// For how long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The token was not taken: the request was never sent, or turned away whole.
    NotTaken {
        /// For how long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// Perhaps it was taken, perhaps not.
    Unknown,
}

impl Outcome {
    /// Its name, in metrics and in what is kept of the last error.
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Renewed { .. } => "renewed",
            Self::Refused => "terminal",
            Self::Mismatch => "mismatch",
            Self::Misconfigured => "misconfigured",
            Self::Throttled { .. } => "throttled",
            Self::NotTaken { .. } => "known_failed",
            Self::Unknown => "ambiguous",
        }
    }
}

/// What holds for an identity provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// When.
    pub timing: Timing,
    /// Whether again.
    pub profile: Profile,
    /// A grant that nobody used for so long is left alone until somebody does; zero: none is.
    pub idle_after: Duration,
}

/// A grant that is about to be presented, or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented {
    /// How it stands.
    pub state: GrantState,
    /// What it saw; of `unknowns` those before this attempt.
    pub history: History,
    /// Failures since the last refresh.
    pub failures: u32,
    /// When its present refresh token was first presented, if what came of that is not known.
    pub first_at: Millis,
    /// When somebody last used it.
    pub used_at: Millis,
}

/// What to do with a grant that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Present its refresh token.
    Present,
    /// Nobody uses it: leave it until somebody does.
    Rest,
    /// It may not be presented again.
    Retire(Reason),
}

/// What becomes of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Next {
    /// It has new tokens, and is refreshed then.
    Renewed(Millis),
    /// It is as it was, and is tried again then.
    Again(Millis),
    /// What came of it is not known; its token may be presented again, then.
    Doubtful(Millis),
    /// It is left alone until somebody uses it.
    Rest,
    /// Its refresh token is presented no more.
    Retired(Reason),
    /// It and its sessions end.
    Ended(Reason),
}

/// What to do with a grant that is due. Somebody who waits for it has used it just now.
pub fn before(grant: &Presented, policy: &Policy, now: Millis) -> Before {
    if grant.state == GrantState::Suspect
        && !may_present_again(policy.profile, grant.history, grant.first_at, now)
    {
        return Before::Retire(Reason::LostReply);
    }
    let is_idle = !policy.idle_after.is_zero() && now.since(grant.used_at) > policy.idle_after;
    if is_idle { Before::Rest } else { Before::Present }
}

/// What becomes of a grant after an attempt that began at `attempted_at`. Nothing but the identity provider's own word, that
/// the grant is no more or is another's, ends it.
pub fn after(
    outcome: Outcome,
    grant: &Presented,
    policy: &Policy,
    attempted_at: Millis,
    now: Millis,
    chance: Chance,
) -> Next {
    let wait = |asked_for| {
        let failures = grant.failures.saturating_add(1);
        now.plus(back_off(failures, asked_for, &policy.timing, chance))
    };
    match outcome {
        Outcome::Renewed { expires_at } => {
            Next::Renewed(refresh_at(attempted_at, expires_at, &policy.timing, chance))
        }
        Outcome::Refused => Next::Ended(Reason::RefusedByIdp),
        Outcome::Mismatch => Next::Ended(Reason::Mismatch),
        Outcome::Misconfigured => doubtful_still(grant, wait(None)),
        Outcome::Throttled { retry_after } | Outcome::NotTaken { retry_after } => {
            doubtful_still(grant, wait(retry_after))
        }
        Outcome::Unknown => in_doubt(grant, policy, now, wait(None)),
    }
}

/// What becomes of a grant whose claim was taken from a process that is gone. That says nothing of its identity provider, so nobody
/// waits: where the token may go again it goes at once, while its grace runs.
pub fn abandoned(grant: &Presented, policy: &Policy, now: Millis) -> Next {
    let history = History { unknowns: grant.history.unknowns.saturating_add(1), ..grant.history };
    if may_present_again(policy.profile, history, grant.first_at, now) {
        Next::Doubtful(now)
    } else {
        Next::Retired(Reason::LostReply)
    }
}

/// An attempt that the identity provider did not take says nothing of an earlier one that it may have.
fn doubtful_still(grant: &Presented, at: Millis) -> Next {
    match grant.state {
        GrantState::Suspect => Next::Doubtful(at),
        _ => Next::Again(at),
    }
}

/// Where a grace runs, the next presentation must fall into it: waiting would lose it.
fn in_doubt(grant: &Presented, policy: &Policy, now: Millis, waited: Millis) -> Next {
    let history = History { unknowns: grant.history.unknowns.saturating_add(1), ..grant.history };
    if may_present_again(policy.profile, history, grant.first_at, waited) {
        return Next::Doubtful(waited);
    }
    // Half of what is left of the grace, so that there is time for the answer.
    let left = grant.first_at.plus(policy.profile.reuse_grace).since(now);
    let soon = now.plus((left / 2).min(Duration::from_secs(1)));
    if !left.is_zero() && may_present_again(policy.profile, history, grant.first_at, soon) {
        return Next::Doubtful(soon);
    }
    Next::Retired(Reason::LostReply)
}
