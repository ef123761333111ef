use super::*;
use crate::received::Speaker::{IdentityProvider, Operator};
use account::{AccountId, IdpId, Profile, Subject};
use proptest::prelude::*;

const RECEIVED: Millis = Millis::new(10_000);

fn event(change: Change, at: Option<i64>) -> AccountEvent {
    let account = AccountId::new(IdpId::new("main").expect("valid"), Subject::new("user").expect("valid"));
    AccountEvent { account, at: at.map(Millis::new), change }
}

/// Where events lead, each with who said it, and what each came to.
fn after_words(events: &[(Speaker, AccountEvent)]) -> (Account, Vec<Verdict>) {
    let mut account = Account::default();
    let verdicts =
        events.iter().map(|(speaker, event)| apply(&mut account, event, *speaker, RECEIVED)).collect();
    (account, verdicts)
}

fn after(events: &[(Change, i64)]) -> (Account, Vec<Verdict>) {
    let told = |(change, at): &(Change, i64)| (IdentityProvider, event(change.clone(), Some(*at)));
    after_words(&events.iter().map(told).collect::<Vec<_>>())
}

fn disabled(account_disabled: bool) -> Change {
    Change::ProfileChange(Profile { account_disabled: Some(account_disabled), ..Profile::default() })
}

const fn news(at: i64) -> Verdict {
    Verdict::News { at: Millis::new(at) }
}

const fn since(at: i64, state: State) -> StateAt {
    StateAt { at: Millis::new(at), state }
}

#[test]
fn a_password_change_raises_the_mark_once() {
    let (account, verdicts) =
        after(&[(Change::PasswordChange, 500), (Change::PasswordReset, 500), (Change::PasswordChange, 400)]);
    assert_eq!(account.mark, Mark::at(Millis::new(500)));
    assert_eq!(verdicts, [news(500), Verdict::Known, Verdict::Known]);
    assert_eq!(account.version, 1);
}

#[test]
fn a_late_enable_does_not_undo_a_later_disable() {
    let (account, verdicts) = after(&[(Change::Disable, 900), (Change::Enable, 800)]);
    assert_eq!(account.state(), since(900, State::Disabled));
    assert_eq!(verdicts[1], Verdict::Known);
}

/// Whoever remembers the account would otherwise go on with a mark that is too low.
#[test]
fn a_late_disable_or_delete_that_raises_the_mark_is_news_and_leaves_the_account_active() {
    for late in [Change::Disable, Change::Delete { reason: None }] {
        let (account, verdicts) = after(&[(Change::Enable, 900), (late.clone(), 800), (late, 700)]);
        assert_eq!((account.state(), account.mark), (since(900, State::Active), Mark::at(Millis::new(800))));
        assert_eq!(verdicts[1..], [news(800), Verdict::Known], "once: the third raises nothing");
    }
}

#[test]
fn a_mark_that_rises_while_nobody_is_served_is_told_by_what_ends_that() {
    let (account, verdicts) = after(&[(Change::Disable, 500), (Change::Disable, 600), (Change::Enable, 700)]);
    assert_eq!(verdicts, [news(500), Verdict::Known, news(700)]);
    assert_eq!((account.version, account.mark), (2, Mark::at(Millis::new(600))));
}

#[test]
fn a_profile_change_that_says_disabled_disables() {
    let (account, _) = after(&[(disabled(true), 700)]);
    assert_eq!(account.state().state, State::Disabled);
    assert_eq!(account.mark, Mark::at(Millis::new(700)));
}

#[test]
fn a_delete_without_a_time_counts_from_its_receipt() {
    let (account, _) = after_words(&[(IdentityProvider, event(Change::Delete { reason: None }, None))]);
    assert_eq!(account.mark, Mark::at(RECEIVED));
    assert_eq!(account.state().state, State::Deleted);
}

#[test]
fn what_an_operator_disabled_only_an_operator_enables() {
    let at = |at, speaker, change| (speaker, event(change, Some(at)));
    let held = [
        at(500, Operator, Change::Disable),
        at(600, IdentityProvider, disabled(false)),
        at(700, IdentityProvider, Change::Enable),
    ];
    let (account, verdicts) = after_words(&held);
    assert_eq!(account.state(), since(500, State::Disabled));
    assert_eq!(verdicts, [news(500), news(600), Verdict::Known], "a profile change is always told");

    let (account, verdicts) = after_words(&[&held[..], &[at(800, Operator, Change::Enable)]].concat());
    assert_eq!(account.state(), since(800, State::Active));
    assert_eq!(verdicts[3], news(800));
}

#[test]
fn a_hold_that_is_lifted_leaves_nothing_behind_and_a_later_word_of_the_identity_provider_counts() {
    let at = |at, speaker, change| (speaker, event(change, Some(at)));
    let both = [at(500, Operator, Change::Disable), at(600, IdentityProvider, Change::Disable)];
    let lifted = [&both[..], &[at(700, Operator, Change::Enable)]].concat();
    assert_eq!(after_words(&lifted).0.state(), since(700, State::Active), "an operator overrules everybody");
    let again = [&lifted[..], &[at(800, IdentityProvider, Change::Disable)]].concat();
    assert_eq!(after_words(&again).0.state(), since(800, State::Disabled));
    let enabled = [&again[..], &[at(900, IdentityProvider, disabled(false))]].concat();
    assert_eq!(after_words(&enabled).0.state(), since(900, State::Active), "nobody holds it any more");
}

#[test]
fn a_deleted_account_is_deleted_whoever_holds_it() {
    let at = |at, speaker, change| (speaker, event(change, Some(at)));
    let deleted =
        [at(500, IdentityProvider, Change::Delete { reason: None }), at(600, Operator, Change::Disable)];
    let (account, verdicts) = after_words(&deleted);
    assert_eq!(account.state(), since(500, State::Deleted));
    assert_eq!(verdicts[1], Verdict::Known);
    let back = [&deleted[..], &[at(700, IdentityProvider, Change::Enable)]].concat();
    let (account, verdicts) = after_words(&back);
    assert_eq!((account.state(), verdicts[2]), (since(600, State::Disabled), news(700)), "held still");
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

fn any_word() -> impl Strategy<Value = (Speaker, AccountEvent)> {
    let speaker = prop_oneof![2 => Just(IdentityProvider), 1 => Just(Operator)];
    (speaker, any_change(), 0..50_i64).prop_map(|(speaker, change, at)| (speaker, event(change, Some(at))))
}

proptest! {
    #[test]
    fn any_order_and_any_duplication_ends_in_the_same_mark_and_state(
        given in prop::collection::vec(any_word(), 1..10)
            .prop_flat_map(|events| {
                let doubled: Vec<_> = events.iter().chain(&events).cloned().collect();
                (Just(events), Just(doubled).prop_shuffle())
            })
    ) {
        let (once, _) = after_words(&given.0);
        let (shuffled, _) = after_words(&given.1);
        prop_assert_eq!(Account { version: 0, ..once }, Account { version: 0, ..shuffled });
    }

    /// A cache that goes by the news alone never serves by a mark or a state that is out of date.
    #[test]
    fn whoever_hears_all_news_knows_the_mark_and_state_of_every_account_that_may_act(
        words in prop::collection::vec(any_word(), 1..20)
    ) {
        let mut account = Account::default();
        let mut heard = (Mark::NONE, State::Active);
        for (speaker, event) in &words {
            if matches!(apply(&mut account, event, *speaker, RECEIVED), Verdict::News { .. }) {
                heard = (account.mark, account.state().state);
            }
            prop_assert_eq!(heard.1, account.state().state);
            if account.state().state == State::Active {
                prop_assert_eq!(heard.0, account.mark);
            }
        }
    }
}
