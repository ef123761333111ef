//! The decisions: what an event does to an account. Pure.

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
    /// Whether it may act, and since when.
    pub state: StateAt,
}

impl Account {
    /// An account of which only the tombstone is left.
    pub(crate) fn deleted(at: Millis) -> Self {
        let state = StateAt { at, state: State::Deleted };
        Self { version: 0, mark: Mark::at(at), credential_at: Millis::ZERO, state }
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

/// Applies one event. The mark and the state are maxima, so any order and any duplication ends in the same ones.
///
/// What counts as news differs by kind: a password change when its change time advances, a change of state when
/// the state changes; everything else always (subscriptions are recognised by what they say, before this).
pub(crate) fn apply(account: &mut Account, event: &AccountEvent, received_at: Millis) -> Verdict {
    let (at, _) = change_time(event, received_at);
    let before = *account;
    if event.change.raises_mark() {
        account.mark = account.mark.raised_to(at);
    }
    if event.change.kind().is_password_kind() {
        account.credential_at = account.credential_at.max(at);
    }
    if let Some(state) = event.change.sets_state() {
        account.state = account.state.merged(StateAt { at, state });
    }
    if !is_news(&before, account, &event.change) {
        return Verdict::Known;
    }
    account.version += 1;
    Verdict::News { at }
}

fn is_news(before: &Account, after: &Account, change: &Change) -> bool {
    match change {
        Change::PasswordChange | Change::PasswordReset | Change::SignOutEverywhere => {
            after.credential_at > before.credential_at
        }
        Change::Delete { .. } | Change::Disable | Change::Enable => after.state.state != before.state.state,
        _ => true,
    }
}

/// Whether a tombstone must be set, or set anew: the account is deleted, and was not, or has got a higher mark since.
/// It stands at the mark, which no order of events changes.
pub(crate) fn deletes(before: &Account, after: &Account) -> bool {
    let of = |account: &Account| (account.state.state == State::Deleted, account.mark);
    of(after).0 && of(before) != of(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use account::{AccountId, IdpId, Profile, Subject};
    use proptest::prelude::*;

    const RECEIVED: Millis = Millis::new(10_000);

    fn event(change: Change, at: Option<i64>) -> AccountEvent {
        let account =
            AccountId::new(IdpId::new("main").expect("valid"), Subject::new("user").expect("valid"));
        AccountEvent { account, at: at.map(Millis::new), change }
    }

    fn after(events: &[AccountEvent]) -> (Account, Vec<Verdict>) {
        let mut account = Account::default();
        let verdicts = events.iter().map(|event| apply(&mut account, event, RECEIVED)).collect();
        (account, verdicts)
    }

    #[test]
    fn a_password_change_raises_the_mark_once() {
        let (account, verdicts) = after(&[
            event(Change::PasswordChange, Some(500)),
            event(Change::PasswordReset, Some(500)),
            event(Change::PasswordChange, Some(400)),
        ]);
        assert_eq!(account.mark, Mark::at(Millis::new(500)));
        assert_eq!(verdicts, [Verdict::News { at: Millis::new(500) }, Verdict::Known, Verdict::Known]);
        assert_eq!(account.version, 1);
    }

    #[test]
    fn a_late_enable_does_not_undo_a_later_disable() {
        let (account, verdicts) =
            after(&[event(Change::Disable, Some(900)), event(Change::Enable, Some(800))]);
        assert_eq!(account.state, StateAt { at: Millis::new(900), state: State::Disabled });
        assert_eq!(verdicts[1], Verdict::Known);
    }

    #[test]
    fn a_profile_change_that_says_disabled_disables() {
        let profile = Profile { account_disabled: Some(true), ..Profile::default() };
        let (account, _) = after(&[event(Change::ProfileChange(profile), Some(700))]);
        assert_eq!(account.state.state, State::Disabled);
        assert_eq!(account.mark, Mark::at(Millis::new(700)));
    }

    #[test]
    fn a_delete_without_a_time_counts_from_its_receipt() {
        let (account, _) = after(&[event(Change::Delete { reason: None }, None)]);
        assert_eq!(account.mark, Mark::at(RECEIVED));
        assert_eq!(account.state.state, State::Deleted);
    }

    fn any_change() -> impl Strategy<Value = Change> {
        prop_oneof![
            Just(Change::PasswordChange),
            Just(Change::PasswordReset),
            Just(Change::SignOutEverywhere),
            Just(Change::Disable),
            Just(Change::Enable),
            Just(Change::Delete { reason: None }),
            any::<Option<bool>>().prop_map(|account_disabled| {
                Change::ProfileChange(Profile { account_disabled, ..Profile::default() })
            }),
            Just(Change::PrimaryEmailChange { email: None }),
        ]
    }

    proptest! {
        #[test]
        fn any_order_and_any_duplication_ends_in_the_same_mark_and_state(
            given in prop::collection::vec((any_change(), 0..50_i64), 1..10)
                .prop_flat_map(|events| {
                    let doubled: Vec<_> = events.iter().chain(&events).cloned().collect();
                    (Just(events), Just(doubled).prop_shuffle())
                })
        ) {
            let build = |list: &[(Change, i64)]| {
                list.iter().map(|(change, at)| event(change.clone(), Some(*at))).collect::<Vec<_>>()
            };
            let (once, _) = after(&build(&given.0));
            let (shuffled, _) = after(&build(&given.1));
            prop_assert_eq!((once.mark, once.credential_at, once.state), (shuffled.mark, shuffled.credential_at, shuffled.state));
        }
    }
}
