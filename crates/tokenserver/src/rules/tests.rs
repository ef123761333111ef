//! The checks one by one in their order, what passes, what the ledger adds; and, in `model`, the whole machine
//! against an independent telling of it.

mod model;

use super::*;
use account::{Mark, State};

/// A live row of a user with key `aa`.
fn row() -> Row {
    Row {
        uid: 1,
        generation: 100,
        client_state: "aa".to_owned(),
        created_at: Millis::new(1000),
        replaced_at: None,
        keys_changed_at: Some(50),
        node_id: 7,
        node: Some("https://node".to_owned()),
    }
}

/// A row the user has left behind, with key `bb`.
fn old_row() -> Row {
    let (client_state, replaced_at) = ("bb".to_owned(), Some(Millis::new(1000)));
    Row { uid: 0, generation: 10, client_state, created_at: Millis::new(500), replaced_at, ..row() }
}

fn presented(generation: i64, keys_changed_at: i64, client_state: &str) -> Presented {
    let present = |number| (number != 0).then_some(number);
    let bytes = hex::decode(client_state).expect("hex");
    Presented {
        generation: present(generation),
        keys_changed_at: present(keys_changed_at),
        client_state: ClientState::from_bytes(&bytes).expect("short"),
        birth: None,
        vouched_at: None,
    }
}

fn decided(
    rows: Vec<Row>,
    generation: i64,
    keys_changed_at: i64,
    client_state: &str,
) -> Result<Decision, Refusal> {
    let presented = presented(generation, keys_changed_at, client_state);
    decide(rows, &Ledgered::default(), &presented, NewUsers::Welcome)
}

/// The refusal's two words on the wire, or what happens.
fn outcome(rows: Vec<Row>, generation: i64, keys_changed_at: i64, client_state: &str) -> String {
    match decided(rows, generation, keys_changed_at, client_state) {
        Err(refusal) => format!("{} ({})", refusal.wire().status, refusal.wire().description),
        Ok(decision) => {
            let step = match decision.step {
                Step::Serve(_) => "serve",
                Step::Raise(_) => "raise",
                Step::Replace(_) => "replace",
                Step::Assign => "assign",
            };
            format!("{step} g={} k={:?}", decision.generation, decision.keys_changed_at)
        }
    }
}

#[test]
fn the_checks_hit_in_their_order() {
    let user = || vec![row(), old_row()];
    let no_keys = || vec![Row { keys_changed_at: None, ..row() }];
    let table = [
        // 1: the keys are newer than the credentials; before every client-state check
        (user(), (99, 150, ""), "invalid-keysChangedAt (Unauthorized)"),
        (user(), (99, 150, "bb"), "invalid-keysChangedAt (Unauthorized)"),
        (no_keys(), (120, 150, "aa"), "raise g=120 k=Some(150)"),
        // 2: no key, though one is known
        (user(), (200, 200, ""), "invalid-client-state (Unacceptable client-state value empty string)"),
        // 3: a key left behind
        (user(), (200, 200, "bb"), "invalid-client-state (Unacceptable client-state value stale value)"),
        (user(), (1, 1, "bb"), "invalid-client-state (Unacceptable client-state value stale value)"),
        // 4: another key without new credentials
        (
            user(),
            (100, 60, "cc"),
            "invalid-client-state (Unacceptable client-state value new value with no generation change)",
        ),
        (
            user(),
            (99, 50, "cc"),
            "invalid-client-state (Unacceptable client-state value new value with no generation change)",
        ),
        // 5: another key without a key change
        (
            user(),
            (101, 50, "cc"),
            "invalid-client-state (Unacceptable client-state value new value with no keys_changed_at change)",
        ),
        (
            user(),
            (0, 50, "cc"),
            "invalid-client-state (Unacceptable client-state value new value with no keys_changed_at change)",
        ),
        // 6: old credentials; before the last checks of the key change
        (user(), (99, 50, "aa"), "invalid-generation (Unauthorized)"),
        (user(), (99, 49, "aa"), "invalid-generation (Unauthorized)"),
        // 7: an old key change
        (user(), (100, 49, "aa"), "invalid-keysChangedAt (Unauthorized)"),
        // 8: no key change, though one is known
        (user(), (100, 0, "aa"), "invalid-keysChangedAt (Unauthorized)"),
        (user(), (101, 0, "cc"), "invalid-keysChangedAt (Unauthorized)"),
    ];
    for (rows, (g, k, c), expected) in table {
        assert_eq!(outcome(rows, g, k, c), expected, "g={g} k={k} c={c}");
    }
}

#[test]
fn what_passes_is_served_raised_or_replaced() {
    let user = || vec![row(), old_row()];
    let with = |generation, keys_changed_at| vec![Row { generation, keys_changed_at, ..row() }];
    let table = [
        (user(), (100, 50, "aa"), "serve g=100 k=Some(50)"),
        (user(), (0, 50, "aa"), "serve g=100 k=Some(50)"),
        (user(), (101, 50, "aa"), "raise g=101 k=Some(50)"),
        (user(), (101, 101, "aa"), "raise g=101 k=Some(101)"),
        (user(), (101, 101, "cc"), "replace g=101 k=Some(101)"),
        // An absent generation follows the keys, when both known numbers are below them.
        (user(), (0, 101, "cc"), "replace g=101 k=Some(101)"),
        (user(), (0, 60, "cc"), "replace g=100 k=Some(60)"),
        (with(100, None), (0, 101, "aa"), "raise g=101 k=Some(101)"),
        // Null stays null while nobody says; a 0 stays a 0.
        (with(100, None), (100, 0, "aa"), "serve g=100 k=None"),
        (with(100, Some(0)), (100, 0, "aa"), "serve g=100 k=Some(0)"),
        (with(100, None), (101, 0, "cc"), "replace g=101 k=None"),
    ];
    for (rows, (g, k, c), expected) in table {
        assert_eq!(outcome(rows, g, k, c), expected, "g={g} k={k} c={c}");
    }
}

#[test]
fn a_first_request_is_assigned_with_what_it_presents() {
    assert_eq!(outcome(vec![], 0, 0, ""), "assign g=0 k=None");
    assert_eq!(outcome(vec![], 5, 9, "aa"), "assign g=5 k=Some(9)");
    let refused = decide(vec![], &Ledgered::default(), &presented(5, 9, "aa"), NewUsers::Refused);
    assert_eq!(refused, Err(Refusal::NewUsersDisabled));
}

#[test]
fn a_returning_user_is_taken_even_while_new_ones_are_not() {
    let unassigned = vec![Row { replaced_at: Some(Millis::new(2000)), ..row() }];
    let decision = decide(unassigned, &Ledgered::default(), &presented(100, 50, "aa"), NewUsers::Refused);
    assert_eq!(decision.expect("served").step, Step::Assign);
}

#[test]
fn a_superseded_row_is_assigned_anew_from_what_is_stored() {
    let superseded = || vec![Row { replaced_at: Some(Millis::new(2000)), ..row() }];
    let homeless = || vec![Row { node: None, ..row() }];
    assert_eq!(outcome(superseded(), 0, 50, "aa"), "assign g=100 k=Some(50)");
    assert_eq!(outcome(homeless(), 0, 50, "aa"), "assign g=100 k=Some(50)");
    assert_eq!(outcome(superseded(), 99, 50, "aa"), "invalid-generation (Unauthorized)");
    assert_eq!(outcome(homeless(), 200, 200, "cc"), "assign g=200 k=Some(200)");
}

#[test]
fn a_retired_user_is_refused_outright() {
    for replaced_at in [None, Some(Millis::new(2000))] {
        let retired = || vec![Row { generation: RETIRED, replaced_at, ..row() }];
        assert_eq!(outcome(retired(), 500, 50, "aa"), "invalid-generation (Unauthorized)");
        assert_eq!(outcome(retired(), 0, 50, "aa"), "invalid-generation (Unauthorized)");
        assert_eq!(outcome(retired(), 0, 60, "cc"), "invalid-generation (Unauthorized)");
        // The two cases clients and operators know.
        assert_eq!(outcome(retired(), RETIRED, 50, "aa"), format!("serve g={RETIRED} k=Some(50)"));
        let gone = vec![Row { node: None, ..retired().remove(0) }];
        assert_eq!(decided(gone, RETIRED, 50, "aa"), Err(Refusal::RetiredWithoutNode));
    }
}

#[test]
fn strays_are_seen_but_do_not_stand_in_the_way() {
    let stray = Row { uid: 2, created_at: Millis::new(999), ..row() };
    let decision = decided(vec![stray, row()], 100, 50, "aa").expect("served");
    assert!(decision.strays && !decision.is_as_is());
    assert!(decided(vec![row(), old_row()], 100, 50, "aa").expect("served").is_as_is());
}

/// What the ledger knows after a password change at `credential` and a disable or deletion at `other`.
fn ledgered(credential: i64, other: i64, state: State) -> Ledgered {
    let mark = |at| Mark::at(Millis::new(at));
    Ledgered { mark: mark(credential.max(other)), credential: mark(credential), state }
}

fn standing(rows: Vec<Row>, known: Ledgered, presented: Presented) -> Option<Refusal> {
    decide(rows, &known, &presented, NewUsers::Welcome).err()
}

/// Only the identity provider can tell.
const PERHAPS: Option<Refusal> = Some(Refusal::PerhapsEnded);
const BEHIND: Option<Refusal> = Some(Refusal::InvalidGeneration);

#[test]
fn an_old_device_is_refused_from_the_moment_the_ledger_knows_of_the_new_password() {
    let changed = ledgered(500, 0, State::Active);
    for rows in [vec![], vec![row()]] {
        assert_eq!(standing(rows.clone(), changed, presented(100, 50, "aa")), BEHIND);
        assert_eq!(standing(rows.clone(), changed, presented(498, 50, "aa")), BEHIND);
        assert_eq!(standing(rows, changed, presented(500, 50, "aa")), None);
    }
}

#[test]
fn the_first_device_with_the_new_password_may_bring_a_new_key() {
    let changed = ledgered(500, 0, State::Active);
    assert_eq!(standing(vec![row()], changed, presented(500, 500, "cc")), None);
    let one_below = presented(499, 499, "cc");
    let refusal = Refusal::UnacceptableClientState(ClientStateFault::NoGenerationChange);
    assert_eq!(standing(vec![row()], changed, one_below), Some(refusal));
}

#[test]
fn a_token_without_generation_is_judged_by_its_birth() {
    let changed = ledgered(5_500, 0, State::Active);
    let born = |birth| Presented { birth, ..presented(0, 50, "aa") };
    for rows in [vec![], vec![row()]] {
        let judged = |birth| standing(rows.clone(), changed, born(birth));
        assert_eq!(judged(None), PERHAPS);
        assert_eq!(judged(Some(Birth::within_second(4))), BEHIND);
        assert_eq!(judged(Some(Birth::within_second(5))), PERHAPS, "too coarse to tell");
        assert_eq!(judged(Some(Birth::within_second(6))), None);
        assert_eq!(judged(Some(Birth::exactly(Millis::new(5_501)))), None);
    }
    assert_eq!(standing(vec![row()], Ledgered::default(), born(None)), None, "no mark asks for no birth");
}

#[test]
fn a_token_the_identity_provider_vouched_for_after_the_change_has_outlived_it() {
    let changed = ledgered(5_500, 0, State::Active);
    let vouched = |at| Presented { vouched_at: Some(Millis::new(at)), ..presented(0, 50, "aa") };
    for rows in [vec![], vec![row()]] {
        assert_eq!(standing(rows.clone(), changed, vouched(5_500)), PERHAPS, "asked before it: ask again");
        assert_eq!(standing(rows, changed, vouched(5_501)), None);
    }
}

#[test]
fn a_disabled_account_is_refused_whatever_it_presents() {
    let disabled = ledgered(0, 500, State::Disabled);
    for rows in [vec![], vec![row()]] {
        let refused = standing(rows, disabled, presented(RETIRED, 50, "aa"));
        assert_eq!(refused, Some(Refusal::InvalidCredentials));
    }
}

#[test]
fn an_account_that_is_enabled_again_is_served_by_tokens_granted_since() {
    let enabled = ledgered(0, 5_500, State::Active);
    let granted =
        |second| Presented { birth: Some(Birth::within_second(second)), ..presented(100, 50, "aa") };
    assert_eq!(standing(vec![row()], enabled, granted(4)), BEHIND);
    assert_eq!(standing(vec![row()], enabled, granted(6)), None, "though the password is an older one");
    assert_eq!(
        standing(vec![row()], enabled, presented(100, 50, "aa")),
        PERHAPS,
        "nothing tells when it was granted"
    );
}

#[test]
fn a_deleted_account_is_refused_before_its_rows_are_retired_and_may_come_back() {
    let deleted = ledgered(0, 500, State::Deleted);
    assert_eq!(standing(vec![row()], deleted, presented(100, 50, "aa")), BEHIND);
    assert_eq!(
        standing(vec![row()], deleted, presented(501, 501, "aa")),
        BEHIND,
        "the row is as good as retired"
    );
    assert_eq!(standing(vec![], deleted, presented(100, 50, "aa")), BEHIND);
    assert_eq!(standing(vec![], deleted, presented(501, 50, "aa")), None, "a new user, after the deletion");
    let since = Row { generation: 501, ..row() };
    assert_eq!(standing(vec![since], deleted, presented(501, 50, "aa")), None);
}
