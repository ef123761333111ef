use super::*;
use crate::{Config, Secrets};
use account::{IdpId, Login, Mark, Profile, Subject};

fn client(name: &str) -> ClientId {
    ClientId::new(name).expect("valid")
}

fn account(name: &str) -> AccountId {
    AccountId::new(IdpId::new("main").expect("valid"), Subject::new(name).expect("valid"))
}

fn rp(name: &str, change: impl FnOnce(&mut RelyingParty)) -> RelyingParty {
    let config = Config { webhook: Some("https://rp.example/".into()), ..Config::default() };
    let mut rp = RelyingParty {
        client_id: client(name),
        config,
        secrets: Secrets::default(),
        status: Status::Enabled,
        status_at: Millis::ZERO,
    };
    change(&mut rp);
    rp
}

fn news(version: i64, change: Change, state: State) -> News {
    News { account: account("u"), version, at: Millis::new(version), change, mark: Mark::NONE, state }
}

fn login(client_id: &str) -> Change {
    Change::Login(Login { client_id: Some(client_id.into()), ..Login::default() })
}

fn locale(locale: &str) -> Change {
    Change::ProfileChange(Profile { locale: Some(locale.into()), ..Profile::default() })
}

fn planned(rps: Vec<RelyingParty>, changes: Vec<Change>) -> Plan {
    let registry = Registry::new(rps, BTreeMap::new());
    let mut state = State::Active;
    let news: Vec<_> = changes
        .into_iter()
        .zip(1..)
        .map(|(change, version)| {
            state = change.sets_state().unwrap_or(state);
            news(version, change, state)
        })
        .collect();
    plan(&news, &registry, Logins::new(), &BTreeMap::new())
}

fn shown(plan: &Plan) -> Vec<String> {
    let line = |it: &Planned| {
        let fate = it.discarded.map_or_else(String::new, |why| format!(" ({why})"));
        format!("{} {} {} {}{fate}", it.version, it.line.client_id, it.event_type.name(), it.payload)
    };
    plan.deliveries.iter().map(line).collect()
}

#[test]
fn a_login_counts_for_what_comes_after_it_and_a_deletion_ends_that() {
    let plan = planned(
        vec![rp("a", |_| ())],
        vec![
            Change::PasswordChange,
            login("A"),
            Change::PasswordChange,
            Change::Delete { reason: None },
            login("a"),
            Change::PasswordChange,
        ],
    );
    assert_eq!(shown(&plan), [r#"3 a password-change {"changeTime":3}"#, "4 a delete-user {}"]);
    assert_eq!((plan.remember, plan.forget), (vec![], [account("u")].into()));
}

#[test]
fn nobody_to_tell_and_nobody_who_listens_are_told_apart() {
    let disabled = rp("b", |rp| rp.status = Status::Disabled { reason: "gone".into() });
    let nowhere = rp("c", |rp| rp.config.webhook = None);
    let paused = rp("d", |rp| rp.status = Status::Paused);
    let poller = rp("e", |rp| (rp.config.webhook, rp.config.format) = (None, crate::Format::Poll));
    let logins = ["a", "b", "c", "d", "e"].map(login);
    let changes = logins.into_iter().chain([Change::Delete { reason: None }]).collect();
    assert_eq!(
        shown(&planned(vec![disabled, nowhere, paused, poller], changes)),
        [
            "6 a delete-user {} (no endpoint)",
            "6 b delete-user {} (the relying party is disabled)",
            "6 c delete-user {} (no endpoint)",
            "6 d delete-user {}",
            "6 e delete-user {}",
        ]
    );
}

#[test]
fn a_deletion_makes_void_what_stands_before_it() {
    let plan = planned(
        vec![rp("a", |_| ())],
        vec![login("a"), locale("fi"), Change::PasswordChange, Change::Delete { reason: None }],
    );
    assert_eq!(
        shown(&plan),
        [
            r#"2 a profile-change {"locale":"fi"} (overtaken by the deletion)"#,
            r#"3 a password-change {"changeTime":3}"#,
            "4 a delete-user {}",
        ]
    );
}

#[test]
fn profile_changes_of_one_batch_are_told_as_one_to_who_wants_that() {
    let email = Change::PrimaryEmailChange { email: Some("n@e".into()) };
    let changes = || vec![login("a"), locale("fi"), email.clone(), Change::PasswordChange, locale("sv")];
    let together = planned(vec![rp("a", |rp| rp.config.coalesce = true)], changes());
    assert_eq!(
        shown(&together),
        [
            r#"2 a profile-change {"locale":"fi"} (told together with a later one)"#,
            r#"3 a profile-change {"email":"n@e","locale":"fi"} (told together with a later one)"#,
            r#"4 a password-change {"changeTime":4}"#,
            r#"5 a profile-change {"email":"n@e","locale":"sv"}"#,
        ]
    );
    let apart = planned(vec![rp("a", |_| ())], changes());
    assert!(apart.deliveries.iter().all(Planned::is_told));
}

#[test]
fn each_part_of_an_event_keeps_its_number_whatever_else_is_wanted() {
    let ssf = rp("a", |rp| {
        rp.config.vocabulary = Vocabulary::Ssf;
        rp.config.events = Some([EventType::SessionRevoked].into());
    });
    let plan = planned(vec![ssf], vec![login("a"), Change::PasswordReset]);
    let parts: Vec<_> = plan.deliveries.iter().map(|it| (it.event_type, it.part)).collect();
    assert_eq!(parts, [(EventType::SessionRevoked, 1)]);
}

/// Whoever deletes a user for a late word has lost him for good.
#[test]
fn a_late_deletion_or_disabling_of_an_active_account_is_told_as_an_end_of_sessions() {
    let ssf = |rp: &mut RelyingParty| rp.config.vocabulary = Vocabulary::Ssf;
    let registry = Registry::new([rp("a", |_| ()), rp("b", ssf)], BTreeMap::new());
    let logins = || Logins::from([(account("u"), vec![client("a"), client("b")])]);
    let off = |locale: Option<&str>| {
        let locale = locale.map(ToOwned::to_owned);
        Change::ProfileChange(Profile { account_disabled: Some(true), locale, ..Profile::default() })
    };
    for late in [Change::Delete { reason: None }, Change::Disable, off(None)] {
        let plan = plan(&[news(7, late, State::Active)], &registry, logins(), &BTreeMap::new());
        assert_eq!(
            shown(&plan),
            [
                r#"7 b session-revoked {"event_timestamp":0,"reason_admin":{"en":"Sessions of before then are ended"}}"#
            ]
        );
        assert_eq!(plan.deliveries[0].kind, EventKind::SignOutEverywhere);
        assert!(plan.forget.is_empty(), "its logins are remembered");
    }
    let rest = plan(&[news(7, off(Some("fi")), State::Active)], &registry, logins(), &BTreeMap::new());
    assert_eq!(shown(&rest)[0], r#"7 a profile-change {"locale":"fi"}"#);
    assert_eq!(rest.deliveries.len(), 3);
}

#[test]
fn a_state_that_an_operators_hold_stands_against_is_not_told() {
    let registry = Registry::new([rp("a", |_| ())], BTreeMap::new());
    let logins = || Logins::from([(account("u"), vec![client("a")])]);
    let enabled = |locale: Option<&str>| {
        let locale = locale.map(ToOwned::to_owned);
        Change::ProfileChange(Profile { account_disabled: Some(false), locale, ..Profile::default() })
    };
    let told =
        |change| shown(&plan(&[news(7, change, State::Disabled)], &registry, logins(), &BTreeMap::new()));
    assert!(told(enabled(None)).is_empty());
    assert!(told(Change::Enable).is_empty());
    assert_eq!(told(enabled(Some("fi"))), [r#"7 a profile-change {"locale":"fi"}"#]);
}
