//! The decisions: what an event does to an account. Pure.

use crate::received::Speaker;
use account::{AccountEvent, Change, Mark, Millis, State, StateAt};

/// An account as the ledger keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Of its latest event; rises by one with each.
    pub version: i64,
    /// Whatever was granted at or below it is refused.
    pub mark: Mark,
    /// The latest change of its password.
    pub credential_at: Millis,
    /// What its identity provider says of it; an operator who enables it has the say here too.
    pub told: StateAt,
    /// What operators say of it: disabled, as long as they hold it.
    pub held: StateAt,
}

impl Account {
    /// An account of which only the tombstone is left.
    pub(crate) fn deleted(at: Millis) -> Self {
        let told = StateAt { at, state: State::Deleted };
        Self { mark: Mark::at(at), told, ..Self::default() }
    }

    /// Whether it may act, and since when: the stricter of what its identity provider and what operators say.
    pub fn state(&self) -> StateAt {
        std::cmp::max_by_key(self.held, self.told, |said| (said.state, said.at))
    }

    fn hear(&mut self, speaker: Speaker, said: StateAt) {
        if speaker == Speaker::Operator && said.state != State::Deleted {
            self.held = self.held.merged(said);
        }
        // An operator's disabling is not the identity provider's word, which must stand again once it is lifted.
        if speaker == Speaker::IdentityProvider || said.state != State::Disabled {
            self.told = self.told.merged(said);
        }
    }
}

/// What an event came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It says something that was not known: it is appended and everybody is told.
    News {
        /// Its change time, as the ledger takes it.
        at: Millis,
    },
    /// It says nothing new.
    Known,
}

/// The change time the ledger goes by: the source's, or the time of receipt when there is none or when it lies
/// in the future beyond tolerance.
pub(crate) fn change_time(event: &AccountEvent, received_at: Millis) -> (Millis, bool) {
    event.at.map_or((received_at, false), |at| at.max(Millis::ZERO).clamped_to_receipt(received_at))
}

/// Applies one event. The mark and both registers of the state are maxima, so any order and any duplication ends in the
/// same ones.
///
/// What counts as news differs by kind: a password change when its change time advances, a change of state when
/// the state changes; everything else always (subscriptions are recognised by what they say, before this). And a mark
/// that rises is news, whatever raised it, unless the account is refused outright.
pub(crate) fn apply(
    account: &mut Account,
    event: &AccountEvent,
    speaker: Speaker,
    received_at: Millis,
) -> Verdict {
    let (at, _) = change_time(event, received_at);
    let before = *account;
    if event.change.raises_mark() {
        account.mark = account.mark.raised_to(at);
    }
    if event.change.kind().is_password_kind() {
        account.credential_at = account.credential_at.max(at);
    }
    if let Some(state) = event.change.sets_state() {
        account.hear(speaker, StateAt { at, state });
    }
    if !is_news(&before, account, &event.change) {
        return Verdict::Known;
    }
    account.version += 1;
    Verdict::News { at }
}

fn is_news(before: &Account, after: &Account, change: &Change) -> bool {
    let (was, is) = (before.state().state, after.state().state);
    // Of an account that may not act nobody serves anything; the event that lets it act again tells the mark.
    let rises = after.mark > before.mark && is == State::Active;
    rises
        || match change {
            Change::PasswordChange | Change::PasswordReset | Change::SignOutEverywhere => {
                after.credential_at > before.credential_at
            }
            Change::Delete { .. } | Change::Disable | Change::Enable => is != was,
            _ => true,
        }
}

/// Whether a tombstone must be set, or set anew: the account is deleted, and was not, or has got a higher mark since.
/// It stands at the mark, which no order of events changes.
pub(crate) fn deletes(before: &Account, after: &Account) -> bool {
    let of = |account: &Account| (account.state().state == State::Deleted, account.mark);
    of(after).0 && of(before) != of(after)
}

#[cfg(test)]
mod tests;
