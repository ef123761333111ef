//! Which logins an account event ends.

use super::Reason;
use account::{Change, EventKind, Mark, Millis, State};
use serde::{Deserialize, Serialize};

/// What ends logins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndsOn {
    /// The password was changed by who knew it.
    PasswordChange,
    /// The password was reset by who did not.
    PasswordReset,
    /// The user signed out everywhere.
    SignOutEverywhere,
}

impl EndsOn {
    /// All of them: what holds unless it is configured otherwise.
    pub const ALL: [Self; 3] = [Self::PasswordChange, Self::PasswordReset, Self::SignOutEverywhere];
}

/// Which logins end, and why: those that are as old as this, or older.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cutoff {
    /// Logins born at this time or before.
    pub born_by: Millis,
    /// Why.
    pub reason: Reason,
}

/// Which logins of an account an event at `at` ends; it left the account in `state`. A disabled or deleted account has
/// none. Whatever is newer than the event is left alone, however late the event comes.
pub fn cutoff(change: &Change, at: Millis, state: State, ends_on: &[EndsOn]) -> Option<Cutoff> {
    let by = |ends: EndsOn, reason| ends_on.contains(&ends).then_some(Cutoff { born_by: at, reason });
    match change.kind() {
        EventKind::PasswordChange => by(EndsOn::PasswordChange, Reason::PasswordChange),
        EventKind::PasswordReset => by(EndsOn::PasswordReset, Reason::PasswordReset),
        EventKind::SignOutEverywhere => by(EndsOn::SignOutEverywhere, Reason::SignOutEverywhere),
        _ => {
            let reason = match change.sets_state()? {
                State::Active => return None,
                State::Disabled => Reason::Disabled,
                State::Deleted => Reason::Deleted,
            };
            // An account that is not active has no logins at all; of one that is active again, later ones stay.
            Some(Cutoff { born_by: if state == State::Active { at } else { Millis::MAX }, reason })
        }
    }
}

/// Whether a login is refused by what its account's mark and state say, before any row is looked at. Where some password
/// events end nothing, the mark cannot say so: then only the state does.
pub fn is_refused(born_at: Millis, mark: Mark, state: State, ends_on: &[EndsOn]) -> Option<Reason> {
    match state {
        State::Disabled => return Some(Reason::Disabled),
        State::Deleted => return Some(Reason::Deleted),
        State::Active => {}
    }
    let counts = EndsOn::ALL.iter().all(|it| ends_on.contains(it));
    (counts && mark != Mark::NONE && born_at.get() <= mark.get()).then_some(Reason::AccountChanged)
}
