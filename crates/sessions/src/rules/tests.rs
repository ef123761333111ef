use super::*;
use account::{Change, Mark, Millis, Profile as AccountProfile, State};
use proptest::prelude::*;
use std::time::Duration;

const MINUTE: Duration = Duration::from_mins(1);

fn at(ms: i64) -> Millis {
    Millis::new(ms)
}

fn timing() -> Timing {
    Timing {
        grace: MINUTE,
        share_percent: 10,
        cool_off: Duration::from_secs(10),
        interval: Duration::from_mins(30),
        longest_wait: Duration::from_mins(5),
    }
}

fn policy(rotation: Rotation, reuse_grace: u64) -> Policy {
    let profile = Profile { rotation, reuse_grace: Duration::from_secs(reuse_grace) };
    Policy { timing: timing(), profile, idle_after: Duration::ZERO }
}

fn grant() -> Presented {
    Presented {
        state: GrantState::Live,
        history: History { refreshes: 3, rotations: 3, unknowns: 0 },
        failures: 0,
        first_at: at(0),
        used_at: at(0),
    }
}

fn outcome_of(outcome: Outcome, policy: &Policy) -> Next {
    after(outcome, &grant(), policy, at(0), at(0), Chance::default())
}

/// The decision table (spec 4.1 mended, and 8), row by row, for an identity provider that rotates and has no grace.
#[test]
fn nothing_but_the_identity_providers_word_ends_a_grant() {
    let rotating = policy(Rotation::Always, 0);
    let hour = Some(at(3_600_000));
    let table = [
        (Outcome::Renewed { expires_at: hour }, Next::Renewed(at(3_600_000 - 360_000))),
        (Outcome::Renewed { expires_at: None }, Next::Renewed(at(1_800_000))),
        (Outcome::Refused, Next::Ended(Reason::RefusedByIdp)),
        (Outcome::Mismatch, Next::Ended(Reason::Mismatch)),
        (Outcome::Misconfigured, Next::Again(at(10_000))),
        (Outcome::Throttled { retry_after: None }, Next::Again(at(10_000))),
        (Outcome::Throttled { retry_after: Some(MINUTE) }, Next::Again(at(60_000))),
        (Outcome::NotTaken { retry_after: None }, Next::Again(at(10_000))),
        (Outcome::NotTaken { retry_after: Some(MINUTE) }, Next::Again(at(60_000))),
        (Outcome::Unknown, Next::Retired(Reason::LostReply)),
    ];
    for (outcome, expected) in table {
        assert_eq!(outcome_of(outcome, &rotating), expected, "{outcome:?}");
    }
}

#[test]
fn after_a_lost_reply_the_token_goes_again_only_where_that_is_safe() {
    assert_eq!(outcome_of(Outcome::Unknown, &policy(Rotation::Never, 0)), Next::Doubtful(at(10_000)));
    // Within the grace, however short it is.
    assert_eq!(outcome_of(Outcome::Unknown, &policy(Rotation::Always, 30)), Next::Doubtful(at(10_000)));
    assert_eq!(outcome_of(Outcome::Unknown, &policy(Rotation::Always, 3)), Next::Doubtful(at(1_000)));
    assert_eq!(
        outcome_of(Outcome::Unknown, &policy(Rotation::Sometimes, 0)),
        Next::Retired(Reason::LostReply)
    );
    // Nothing is known, and this grant saw it rotate.
    assert_eq!(outcome_of(Outcome::Unknown, &policy(Rotation::Unknown, 0)), Next::Retired(Reason::LostReply));
    // Nothing is known, and this grant never saw it rotate: once.
    let mut stable = grant();
    stable.history.rotations = 0;
    let unknown = policy(Rotation::Unknown, 0);
    let then = after(Outcome::Unknown, &stable, &unknown, at(0), at(0), Chance::default());
    assert_eq!(then, Next::Doubtful(at(10_000)));
    stable.history.unknowns = 1;
    let then = after(Outcome::Unknown, &stable, &unknown, at(0), at(0), Chance::default());
    assert_eq!(then, Next::Retired(Reason::LostReply));
    // The very first answer of a grant was lost.
    let first = Presented { history: History::default(), ..grant() };
    let then = after(Outcome::Unknown, &first, &unknown, at(0), at(0), Chance::default());
    assert_eq!(then, Next::Retired(Reason::LostReply));
}

#[test]
fn what_was_in_doubt_stays_so_until_the_identity_provider_answers() {
    let suspect = Presented { state: GrantState::Suspect, ..grant() };
    let never = policy(Rotation::Never, 0);
    let then =
        after(Outcome::NotTaken { retry_after: None }, &suspect, &never, at(0), at(0), Chance::default());
    assert_eq!(then, Next::Doubtful(at(10_000)));
    let then =
        after(Outcome::Renewed { expires_at: None }, &suspect, &never, at(0), at(0), Chance::default());
    assert_eq!(then, Next::Renewed(at(1_800_000)));
}

#[test]
fn a_suspect_grant_whose_grace_is_over_is_retired_without_being_presented() {
    let suspect = Presented { state: GrantState::Suspect, ..grant() };
    let grace = policy(Rotation::Always, 30);
    assert_eq!(before(&suspect, &grace, at(29_999)), Before::Present);
    assert_eq!(before(&suspect, &grace, at(30_000)), Before::Retire(Reason::LostReply));
    assert_eq!(before(&grant(), &grace, at(30_000)), Before::Present);
}

#[test]
fn a_grant_that_nobody_uses_rests() {
    let idle = Policy { idle_after: MINUTE, ..policy(Rotation::Always, 0) };
    assert_eq!(before(&grant(), &idle, at(60_000)), Before::Present);
    assert_eq!(before(&grant(), &idle, at(60_001)), Before::Rest);
    let always = Policy { idle_after: Duration::ZERO, ..idle };
    assert_eq!(before(&grant(), &always, at(i64::MAX)), Before::Present);
}

#[test]
fn a_token_is_refreshed_ahead_of_its_end_by_the_grace_or_a_share_of_its_life_but_not_before_half_of_it() {
    let point = |life_seconds: i64| {
        refresh_at(at(0), Some(at(life_seconds * 1000)), &timing(), Chance::default()).get() / 1000
    };
    assert_eq!(point(3600), 3240); // a tenth of its life
    assert_eq!(point(300), 240); // the grace
    assert_eq!(point(60), 30); // half of its life
    assert_eq!(point(20), 10); // the floor
    assert_eq!(point(10), 1800); // lives no longer than the floor: the interval
    assert_eq!(point(-5), 1800); // came expired
}

#[test]
fn only_logins_up_to_the_change_end_and_a_late_event_leaves_a_newer_one_alone() {
    let ends = |change: Change, state| cutoff(&change, at(5), state, &EndsOn::ALL);
    let by = |born_by, reason| Some(Cutoff { born_by, reason });
    assert_eq!(ends(Change::PasswordChange, State::Active), by(at(5), Reason::PasswordChange));
    assert_eq!(ends(Change::PasswordReset, State::Active), by(at(5), Reason::PasswordReset));
    assert_eq!(ends(Change::SignOutEverywhere, State::Active), by(at(5), Reason::SignOutEverywhere));
    assert_eq!(ends(Change::Disable, State::Disabled), by(Millis::MAX, Reason::Disabled));
    assert_eq!(ends(Change::Delete { reason: None }, State::Deleted), by(Millis::MAX, Reason::Deleted));
    // A late word: it has been enabled again since.
    assert_eq!(ends(Change::Disable, State::Active), by(at(5), Reason::Disabled));
    assert_eq!(ends(Change::Enable, State::Active), None);
    assert_eq!(ends(Change::PrimaryEmailChange { email: None }, State::Active), None);
    let profile = AccountProfile { account_disabled: Some(true), ..AccountProfile::default() };
    assert_eq!(ends(Change::ProfileChange(profile), State::Disabled), by(Millis::MAX, Reason::Disabled));
    assert_eq!(cutoff(&Change::PasswordChange, at(5), State::Active, &[EndsOn::PasswordReset]), None);
}

#[test]
fn the_mark_and_the_state_refuse_at_once() {
    let refused =
        |born, mark, state, ends_on: &[EndsOn]| is_refused(at(born), Mark::at(at(mark)), state, ends_on);
    assert_eq!(refused(5, 5, State::Active, &EndsOn::ALL), Some(Reason::AccountChanged));
    assert_eq!(refused(6, 5, State::Active, &EndsOn::ALL), None);
    assert_eq!(refused(0, 0, State::Active, &EndsOn::ALL), None, "no mark refuses nothing");
    assert_eq!(refused(5, 5, State::Active, &[]), None);
    assert_eq!(refused(9, 5, State::Disabled, &[]), Some(Reason::Disabled));
    assert_eq!(refused(9, 5, State::Deleted, &[]), Some(Reason::Deleted));
}

#[test]
fn names_and_codes_find_their_way_back() {
    for reason in Reason::ALL {
        assert_eq!(Reason::named(reason.as_str()), Some(reason));
    }
    for state in [GrantState::Live, GrantState::Suspect, GrantState::Retired, GrantState::Ended] {
        assert_eq!(GrantState::from_code(state.code()), state);
    }
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let wait = || prop::option::of((0_u64..7_200).prop_map(Duration::from_secs));
    prop_oneof![
        prop::option::of(-10_000_i64..10_000_000).prop_map(|it| Outcome::Renewed { expires_at: it.map(at) }),
        Just(Outcome::Refused),
        Just(Outcome::Mismatch),
        Just(Outcome::Misconfigured),
        wait().prop_map(|retry_after| Outcome::Throttled { retry_after }),
        wait().prop_map(|retry_after| Outcome::NotTaken { retry_after }),
        Just(Outcome::Unknown),
    ]
}

fn any_rotation() -> impl Strategy<Value = Rotation> {
    prop_oneof![
        Just(Rotation::Unknown),
        Just(Rotation::Never),
        Just(Rotation::Always),
        Just(Rotation::Sometimes)
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_next_attempt_is_never_before_the_floor_of_the_last(
        outcome in any_outcome(), rotation in any_rotation(), failures in 0_u32..100, random: u16,
    ) {
        let policy = policy(rotation, 0);
        let grant = Presented { failures, ..grant() };
        match after(outcome, &grant, &policy, at(0), at(0), Chance::of(random)) {
            Next::Renewed(then) | Next::Again(then) | Next::Doubtful(then) => {
                prop_assert!(then >= at(10_000), "{outcome:?} {then}");
            }
            Next::Rest | Next::Retired(_) | Next::Ended(_) => {}
        }
    }

    #[test]
    fn only_the_identity_providers_word_ends_and_only_a_lost_reply_retires(
        outcome in any_outcome(), rotation in any_rotation(), grace in 0_u64..60, failures in 0_u32..100, random: u16,
    ) {
        let grant = Presented { failures, ..grant() };
        let then = after(outcome, &grant, &policy(rotation, grace), at(0), at(0), Chance::of(random));
        prop_assert_eq!(matches!(then, Next::Ended(_)), matches!(outcome, Outcome::Refused | Outcome::Mismatch));
        prop_assert!(!matches!(then, Next::Retired(_)) || outcome == Outcome::Unknown);
    }

    #[test]
    fn a_token_that_may_be_taken_for_stolen_is_never_presented_twice(
        rotations in 1_i64..5, unknowns in 0_u32..3, grace in 0_u64..60, later in 0_i64..120_000, rotation in any_rotation(),
    ) {
        prop_assume!(rotation != Rotation::Never);
        let history = History { refreshes: 5, rotations, unknowns };
        let profile = Profile { rotation, reuse_grace: Duration::from_secs(grace) };
        let may = may_present_again(profile, history, at(0), at(later));
        prop_assert_eq!(may, later.unsigned_abs() < grace * 1000);
    }

    #[test]
    fn a_lasting_token_is_refreshed_within_its_life(life in 21_i64..1_000_000, random: u16) {
        let then = refresh_at(at(0), Some(at(life * 1000)), &timing(), Chance::of(random));
        prop_assert!(then >= at(10_000) && then < at(life * 1000), "{then}");
    }

    #[test]
    fn waits_are_bounded_and_never_shorter_than_was_asked_for(
        failures in 0_u32..100, asked in prop::option::of(0_u64..7_200), random: u16,
    ) {
        let asked = asked.map(Duration::from_secs);
        let wait = back_off(failures, asked, &timing(), Chance::of(random));
        prop_assert!(wait >= timing().cool_off && wait >= asked.unwrap_or_default());
        prop_assert!(wait <= timing().longest_wait.max(asked.unwrap_or_default() * 11 / 10));
    }

    #[test]
    fn no_event_ends_a_login_of_after_it_while_the_account_is_active(when in 0_i64..1_000, born in 0_i64..1_000) {
        for change in [Change::PasswordChange, Change::PasswordReset, Change::Disable, Change::Delete { reason: None }] {
            let cutoff = cutoff(&change, at(when), State::Active, &EndsOn::ALL).expect("it ends something");
            prop_assert_eq!(at(born) <= cutoff.born_by, born <= when);
        }
    }
}

#[test]
fn a_claim_that_is_taken_from_a_process_that_is_gone_goes_on_at_once_where_it_may() {
    let mut grant = grant();
    grant.failures = 7;
    let within = [policy(Rotation::Always, 30), policy(Rotation::Sometimes, 30), policy(Rotation::Never, 0)];
    for policy in within {
        assert_eq!(abandoned(&grant, &policy, at(29_999)), Next::Doubtful(at(29_999)), "{policy:?}");
    }
    for policy in [policy(Rotation::Always, 30), policy(Rotation::Unknown, 30)] {
        assert_eq!(abandoned(&grant, &policy, at(30_000)), Next::Retired(Reason::LostReply), "{policy:?}");
    }
    // Once, where this grant never saw it rotate.
    grant.history.rotations = 0;
    assert_eq!(abandoned(&grant, &policy(Rotation::Unknown, 0), at(1)), Next::Doubtful(at(1)));
    grant.history.unknowns = 1;
    assert_eq!(abandoned(&grant, &policy(Rotation::Unknown, 0), at(1)), Next::Retired(Reason::LostReply));
}

fn retired(reason: Reason, expires_at: Option<i64>) -> Retired {
    Retired { reason, issued_at: at(0), expires_at: expires_at.map(at) }
}

#[test]
fn what_a_grant_that_is_refreshed_no_more_leaves_its_sessions_good_for() {
    use Left::{Everything, LoginNeeded, Nothing};
    use WhenRetired::{End, Keep, StepUp};
    let (lost, none) = (Reason::LostReply, Reason::NoRefreshToken);
    // What holds while the access token lives, and what when it has run out.
    let table = [
        (Keep, lost, Some(60_000), Everything, LoginNeeded),
        (Keep, none, Some(60_000), Everything, LoginNeeded),
        (Keep, lost, None, Everything, Everything),
        (End, lost, Some(60_000), Everything, Nothing),
        (End, none, None, Everything, Nothing),
        (StepUp, lost, Some(60_000), LoginNeeded, LoginNeeded),
        (StepUp, lost, None, LoginNeeded, LoginNeeded),
        (StepUp, none, Some(60_000), Everything, LoginNeeded),
        (StepUp, none, None, Everything, LoginNeeded),
    ];
    for (when, reason, expires_at, before, then) in table {
        let grant = retired(reason, expires_at);
        let over = expires_at.unwrap_or(1_800_000);
        let seen = [over - 1, over].map(|now| left(&grant, when, &timing(), at(now)));
        assert_eq!(seen, [before, then], "{when:?} {reason} {expires_at:?}");
    }
}

proptest! {
    #[test]
    fn what_is_over_comes_back_by_no_waiting(
        when in prop::sample::select(vec![WhenRetired::Keep, WhenRetired::End, WhenRetired::StepUp]),
        reason in prop::sample::select(vec![Reason::LostReply, Reason::NoRefreshToken]),
        expires_at in prop::option::of(0_i64..10_000_000), now in 0_i64..10_000_000, later in 0_i64..10_000_000,
    ) {
        let rank = |left| match left { Left::Everything => 0, Left::LoginNeeded => 1, Left::Nothing => 2 };
        let grant = retired(reason, expires_at);
        let seen = [now, now + later].map(|now| rank(left(&grant, when, &timing(), at(now))));
        prop_assert!(seen[0] <= seen[1]);
    }
}

const TOO_MUCH: Outcome = Outcome::Throttled { retry_after: None };
const WELL: Outcome = Outcome::Renewed { expires_at: None };

#[test]
fn too_much_halves_what_may_be_under_way_and_what_goes_well_gives_it_back() {
    let limit = Limit::OPEN;
    assert_eq!(limit.places(64), 64);
    let cut = limit.after(TOO_MUCH, at(1), 64, at(2));
    assert_eq!(cut.places(64), 32);
    // Those that were under way at the cut say nothing of what holds since.
    assert_eq!(cut.after(TOO_MUCH, at(2), 64, at(3)), cut);
    assert_eq!(cut.after(WELL, at(2), 64, at(3)), cut);
    assert_eq!(cut.after(Outcome::Unknown, at(3), 64, at(4)).places(64), 16);
    let raised = (0..32).fold(cut, |limit, _| limit.after(WELL, at(3), 64, at(4)));
    assert_eq!(raised.places(64), 33);
    for nothing in [Outcome::Misconfigured, Outcome::Mismatch, Outcome::NotTaken { retry_after: None }] {
        assert_eq!(cut.after(nothing, at(3), 64, at(4)), cut, "{nothing:?}");
    }
}

#[test]
fn a_bound_that_is_raised_holds_at_once_where_nothing_was_cut() {
    let limit = (0..100).fold(Limit::OPEN, |limit, n| limit.after(WELL, at(n), 4, at(n)));
    assert_eq!((limit.places(4), limit.places(64)), (4, 64));
}

proptest! {
    #[test]
    fn whatever_happens_the_limit_stays_between_one_and_the_bound_and_moves_the_right_way(
        steps in prop::collection::vec((any_outcome(), 0_i64..50, 1_u32..300), 1..200),
    ) {
        let mut limit = Limit::OPEN;
        for (now, (outcome, ago, bound)) in (0_i64..).zip(steps) {
            let before = limit.places(bound);
            limit = limit.after(outcome, at(now * 10 - ago), bound, at(now * 10));
            let after = limit.places(bound);
            prop_assert!((1..=bound).contains(&after));
            match outcome {
                Outcome::Throttled { .. } | Outcome::Unknown => prop_assert!(after <= before && after >= before / 2),
                Outcome::Renewed { .. } | Outcome::Refused => prop_assert!(after >= before && after <= before + 1),
                _ => prop_assert_eq!(after, before),
            }
        }
    }

    #[test]
    fn however_far_it_was_cut_it_comes_back(cuts in 1_i64..20, bound in 1_u32..200) {
        let cut = (0..cuts).fold(Limit::OPEN, |limit, n| limit.after(TOO_MUCH, at(2 * n), bound, at(2 * n + 1)));
        let (mut limit, mut went_well) = (cut, 0_u32);
        while limit.places(bound) < bound {
            limit = limit.after(WELL, at(1_000), bound, at(1_000));
            went_well += 1;
            // One place for as many as there are: at most the sum of all of them.
            prop_assert!(went_well <= bound * (bound + 1) / 2);
        }
    }
}
