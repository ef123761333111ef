//! The worked vectors of the specification, then properties.

use super::*;
use crate::{Config, EventType, Secrets, Status, tellings};
use account::{DeleteReason, IdpId, Login, Millis, Profile, Subject, Subscription};
use proptest::prelude::*;

fn client(name: &str) -> ClientId {
    ClientId::new(name).expect("a client id")
}

fn rp(name: &str, capabilities: &[&str], resource_server: bool) -> RelyingParty {
    RelyingParty {
        client_id: client(name),
        config: Config {
            webhook: Some(format!("https://{name}.example/")),
            capabilities: capabilities.iter().map(ToString::to_string).collect(),
            resource_server,
            ..Config::default()
        },
        secrets: Secrets::default(),
        status: Status::Enabled,
        status_at: Millis::ZERO,
    }
}

/// `aaaa`, `bbbb` and the resource server `rrrr` are registered; `cccc` has no webhook, only a capability.
fn registry() -> Registry {
    Registry::new(
        [rp("aaaa", &["x", "y"], false), rp("bbbb", &["y"], false), rp("rrrr", &[], true)],
        [(client("cccc"), vec!["x".to_owned()])].into(),
    )
}

fn account(name: &str) -> AccountId {
    AccountId::new(IdpId::new("main").expect("valid"), Subject::new(name).expect("valid"))
}

fn subscription(capabilities: &[&str]) -> Change {
    let capabilities = capabilities.iter().map(ToString::to_string).collect();
    Change::SubscriptionChange(Subscription { active: true, capabilities })
}

/// Who is told what: `aaaa password-change {…}`.
fn told(change: &Change, at: i64, logins: &[&str]) -> Vec<String> {
    let logins: Vec<_> = logins.iter().map(|name| client(name)).collect();
    let told = recipients(&registry(), &account("u1"), change, &logins, &Selection::new());
    let lines = told.iter().flat_map(|recipient| {
        let Some(rp) = &recipient.rp else { return vec![format!("{} no endpoint", recipient.client_id)] };
        let all = tellings(rp.config.vocabulary, change, Millis::new(at), &recipient.capabilities);
        let wanted = all.iter().filter(|it| rp.wants(it.event_type));
        wanted.map(|it| format!("{} {} {}", rp.client_id, it.event_type.name(), it.payload)).collect()
    });
    lines.collect()
}

#[test]
fn the_worked_vectors_hold() {
    let users = &["aaaa", "bbbb"];
    let to_all = |what: &str| ["aaaa", "bbbb", "rrrr"].map(|rp| format!("{rp} {what}")).to_vec();
    let table = [
        (Change::Delete { reason: Some(DeleteReason::User) }, 1000, to_all(r#"delete-user {"reason":"user"}"#)),
        (Change::Delete { reason: None }, 1000, to_all("delete-user {}")),
        (Change::PasswordReset, 900, to_all(r#"password-change {"changeTime":900}"#)),
        (Change::PasswordChange, 1500, to_all(r#"password-change {"changeTime":1500}"#)),
        (
            Change::PrimaryEmailChange { email: Some("n@e".into()) },
            1000,
            to_all(r#"profile-change {"email":"n@e"}"#),
        ),
        // The bug mended: the flag reaches them.
        (
            Change::ProfileChange(Profile { totp_enabled: Some(true), ..Profile::default() }),
            1000,
            to_all(r#"profile-change {"totpEnabled":true}"#),
        ),
        (
            subscription(&["x", "y", "z"]),
            7000,
            vec![
                r#"aaaa subscription-state-change {"capabilities":["x","y"],"changeTime":7000,"isActive":true}"#.into(),
                r#"bbbb subscription-state-change {"capabilities":["y"],"changeTime":7000,"isActive":true}"#.into(),
            ],
        ),
        (Change::Login(Login { client_id: Some("cccc".into()), ..Login::default() }), 1000, vec![]),
    ];
    for (change, at, expected) in table {
        assert_eq!(told(&change, at, users), expected, "{change:?}");
    }
}

#[test]
fn after_a_login_to_an_unregistered_client_it_is_known_to_have_no_endpoint() {
    let logins = &["aaaa", "bbbb", "cccc"];
    let expected = [
        r#"aaaa password-change {"changeTime":5}"#,
        r#"bbbb password-change {"changeTime":5}"#,
        "cccc no endpoint",
        r#"rrrr password-change {"changeTime":5}"#,
    ];
    assert_eq!(told(&Change::PasswordChange, 5, logins), expected);
    assert_eq!(told(&subscription(&["x"]), 5, &["cccc"]), ["cccc no endpoint"]);
}

#[test]
fn an_account_that_never_logged_in_concerns_the_resource_servers_alone() {
    assert_eq!(told(&Change::Delete { reason: None }, 5, &[]), ["rrrr delete-user {}"]);
}

#[test]
fn capabilities_are_compared_without_case_and_told_once_in_the_order_they_came() {
    assert_eq!(
        told(&subscription(&["Y", "X", "y", "z", "X"]), 5, &["AAAA"]),
        [r#"aaaa subscription-state-change {"capabilities":["Y","X"],"changeTime":5,"isActive":true}"#]
    );
}

#[test]
fn whoever_listens_to_another_identity_provider_hears_nothing() {
    let mut other = rp("aaaa", &[], true);
    other.config.idp = Some(IdpId::new("other").expect("valid"));
    let registry = Registry::new([other], BTreeMap::new());
    let told =
        recipients(&registry, &account("u"), &Change::PasswordChange, &[client("aaaa")], &Selection::new());
    assert_eq!(told, []);
}

#[test]
fn whoever_unsubscribed_hears_nothing_of_that_account() {
    let gone = Selection::from([client("aaaa"), client("rrrr")]);
    let logins = [client("aaaa"), client("bbbb")];
    let told = recipients(&registry(), &account("u"), &Change::PasswordChange, &logins, &gone);
    assert_eq!(told.iter().map(|it| it.client_id.as_str()).collect::<Vec<_>>(), ["bbbb"]);
}

#[test]
fn metrics_choices_and_sessions_go_only_to_those_who_list_them() {
    let mut lists = rp("aaaa", &[], false);
    assert!(!lists.wants(EventType::MetricsOptOut) && lists.wants(EventType::DeleteUser));
    lists.config.events = Some([EventType::MetricsOptOut].into());
    assert!(lists.wants(EventType::MetricsOptOut) && !lists.wants(EventType::DeleteUser));
    assert!(lists.wants(EventType::Verification), "it is about the stream itself");
}

proptest! {
    #[test]
    fn everybody_is_told_once_and_only_of_what_is_theirs(
        logins in prop::collection::vec("[a-d]{1,2}", 0..8),
        resource_servers in prop::collection::btree_set("[a-d]{1,2}", 0..4),
        capabilities in prop::collection::btree_map("[a-d]{1,2}", prop::collection::vec("[xyz]", 0..3), 0..6),
        granted in prop::collection::vec("[wxyzXYZ]", 0..6),
    ) {
        let rps = capabilities.iter().map(|(name, own)| {
            let own: Vec<&str> = own.iter().map(String::as_str).collect();
            rp(name, &own, resource_servers.contains(name))
        });
        let registry = Registry::new(rps, BTreeMap::new());
        let logins: Vec<_> = logins.iter().map(|name| client(name)).collect();
        let granted: Vec<&str> = granted.iter().map(String::as_str).collect();
        for change in [Change::PasswordChange, subscription(&granted)] {
            let told = recipients(&registry, &account("u"), &change, &logins, &Selection::new());
            let names: BTreeSet<_> = told.iter().map(|it| &it.client_id).collect();
            prop_assert_eq!(names.len(), told.len(), "each once");
            for recipient in &told {
                let all_users = recipient.rp.as_ref().is_some_and(|rp| rp.config.resource_server);
                prop_assert!(all_users || logins.contains(&recipient.client_id));
                for capability in &recipient.capabilities {
                    let own = &capabilities[recipient.client_id.as_str()];
                    prop_assert!(own.contains(&capability.to_lowercase()));
                }
            }
            if change == Change::PasswordChange {
                let wanted = logins.iter().collect::<BTreeSet<_>>().len()
                    + resource_servers.iter().filter(|it| capabilities.contains_key(*it) && !logins.contains(&client(it))).count();
                prop_assert_eq!(told.len(), wanted, "nobody is forgotten");
            } else {
                prop_assert!(told.iter().all(|it| !it.capabilities.is_empty()));
            }
        }
    }
}
