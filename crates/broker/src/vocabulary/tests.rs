use super::*;
use account::{DeleteReason, Login, Profile, Subscription};
use proptest::prelude::*;

const AT: Millis = Millis::new(1_789_000_000_123);

fn told(vocabulary: Vocabulary, change: &Change) -> Vec<String> {
    let capabilities = ["vpn".to_owned()];
    let tellings = tellings(vocabulary, change, AT, &capabilities);
    tellings.iter().map(|it| format!("{} {}", it.event_type.name(), it.payload)).collect()
}

fn whole_profile() -> Profile {
    Profile {
        email: Some("n@e".into()),
        locale: Some("fi".into()),
        metrics_enabled: Some(false),
        totp_enabled: Some(true),
        account_disabled: Some(false),
        account_locked: Some(true),
    }
}

fn subscription() -> Change {
    Change::SubscriptionChange(Subscription {
        active: true,
        capabilities: vec!["vpn".into(), "other".into()],
    })
}

#[test]
fn mozillas_events_carry_what_their_receivers_read() {
    let fxa = |change| told(Vocabulary::Fxa, &change);
    assert_eq!(fxa(Change::PasswordChange), [r#"password-change {"changeTime":1789000000123}"#]);
    assert_eq!(fxa(Change::PasswordReset), [r#"password-change {"changeTime":1789000000123}"#]);
    assert_eq!(fxa(Change::Delete { reason: None }), ["delete-user {}"]);
    assert_eq!(
        fxa(Change::Delete { reason: Some(DeleteReason::Inactivity) }),
        [r#"delete-user {"reason":"inactivity"}"#]
    );
    assert_eq!(fxa(Change::PrimaryEmailChange { email: None }), ["profile-change {}"]);
    assert_eq!(
        fxa(Change::PrimaryEmailChange { email: Some("n@e".into()) }),
        [r#"profile-change {"email":"n@e"}"#]
    );
    assert_eq!(
        fxa(subscription()),
        [r#"subscription-state-change {"capabilities":["vpn"],"changeTime":1789000000123,"isActive":true}"#]
    );
    assert_eq!(fxa(Change::Disable), [r#"profile-change {"accountDisabled":true}"#]);
    assert_eq!(fxa(Change::Login(Login::default())), ["session-established {}"]);
    assert_eq!(fxa(Change::SignOutEverywhere), Vec::<String>::new());
}

#[test]
fn every_flag_of_a_profile_reaches_the_receiver() {
    assert_eq!(
        told(Vocabulary::Fxa, &Change::ProfileChange(whole_profile())),
        [
            r#"profile-change {"email":"n@e","locale":"fi","metricsEnabled":false,"totpEnabled":true,"accountDisabled":false,"accountLocked":true}"#,
            "metrics-opt-out {}"
        ]
    );
    assert_eq!(
        told(Vocabulary::Ssf, &Change::ProfileChange(whole_profile())),
        [
            r#"credential-change {"credential_type":"app","change_type":"create","initiating_entity":"user","event_timestamp":1789000000,"reason_admin":{"en":"Second factor added"}}"#,
            r#"account-enabled {"event_timestamp":1789000000,"reason_admin":{"en":"Account enabled"}}"#,
            r#"account-credential-change-required {"event_timestamp":1789000000,"reason_admin":{"en":"Account locked until its password is reset"}}"#,
            r#"token-claims-change {"claims":{"email":"n@e","locale":"fi","metricsEnabled":false},"event_timestamp":1789000000}"#,
            "metrics-opt-out {}"
        ]
    );
}

#[test]
fn a_change_becomes_the_standard_events_it_stands_for() {
    let ssf = |change| told(Vocabulary::Ssf, &change);
    assert_eq!(
        ssf(Change::PasswordChange),
        [
            r#"credential-change {"credential_type":"password","change_type":"update","initiating_entity":"user","event_timestamp":1789000000,"reason_admin":{"en":"Password changed by the user"}}"#,
            r#"session-revoked {"initiating_entity":"user","event_timestamp":1789000000,"reason_admin":{"en":"Password changed by the user"}}"#,
        ]
    );
    let names = |change| {
        ssf(change).iter().map(|it| it.split(' ').next().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(Change::PasswordReset), ["credential-change", "session-revoked", "recovery-activated"]);
    assert_eq!(names(Change::SignOutEverywhere), ["session-revoked"]);
    assert_eq!(names(Change::PrimaryEmailChange { email: Some("n@e".into()) }), ["token-claims-change"]);
    assert_eq!(names(Change::PrimaryEmailChange { email: None }), ["profile-change"]);
    assert_eq!(names(Change::ProfileChange(Profile::default())), ["profile-change"]);
    assert_eq!(names(subscription()), ["subscription-state-change"]);
    assert_eq!(names(Change::Disable), ["account-disabled"]);
    assert_eq!(names(Change::Enable), ["account-enabled"]);
    assert_eq!(
        ssf(Change::Delete { reason: Some(DeleteReason::Inactivity) }),
        [
            r#"account-purged {"initiating_entity":"policy","event_timestamp":1789000000,"reason_admin":{"en":"Account deleted for inactivity"}}"#
        ]
    );
}

#[test]
fn a_later_profile_change_takes_an_earlier_one_in() {
    let profile = |earlier, later| merged(EventType::ProfileChange, earlier, later);
    assert_eq!(
        profile(r#"{"email":"a","locale":"fi"}"#, r#"{"email":"b"}"#).as_deref(),
        Some(r#"{"email":"b","locale":"fi"}"#)
    );
    assert_eq!(
        merged(
            EventType::TokenClaimsChange,
            r#"{"claims":{"email":"a","locale":"fi"},"event_timestamp":1}"#,
            r#"{"claims":{"email":"b"},"event_timestamp":2}"#
        )
        .as_deref(),
        Some(r#"{"claims":{"email":"b","locale":"fi"},"event_timestamp":2}"#)
    );
    for event_type in EventType::ALL.into_iter().filter(|it| !it.coalesces()) {
        assert_eq!(merged(event_type, "{}", "{}"), None, "{event_type}");
    }
}

pub(super) fn any_profile() -> impl Strategy<Value = Profile> {
    let text = || prop::option::of("[a-z@]{1,5}");
    (text(), text(), any::<[Option<bool>; 4]>()).prop_map(|(email, locale, flags)| Profile {
        email,
        locale,
        metrics_enabled: flags[0],
        totp_enabled: flags[1],
        account_disabled: flags[2],
        account_locked: flags[3],
    })
}

proptest! {
    #[test]
    fn no_member_of_a_profile_is_lost_and_none_is_null(profile in any_profile()) {
        let change = Change::ProfileChange(profile.clone());
        for vocabulary in [Vocabulary::Fxa, Vocabulary::Ssf] {
            let told = tellings(vocabulary, &change, AT, &[]);
            prop_assert!(!told.is_empty());
            prop_assert!(told.iter().all(|it| !it.payload.contains("null")));
        }
        let told = tellings(Vocabulary::Fxa, &change, AT, &[]);
        let payload: serde_json::Value = serde_json::from_str(&told[0].payload).expect("JSON");
        prop_assert_eq!(payload["email"].as_str(), profile.email.as_deref());
        prop_assert_eq!(payload["locale"].as_str(), profile.locale.as_deref());
        prop_assert_eq!(payload["metricsEnabled"].as_bool(), profile.metrics_enabled);
        prop_assert_eq!(payload["totpEnabled"].as_bool(), profile.totp_enabled);
        prop_assert_eq!(payload["accountDisabled"].as_bool(), profile.account_disabled);
        prop_assert_eq!(payload["accountLocked"].as_bool(), profile.account_locked);
    }

    #[test]
    fn merging_says_what_both_said_in_their_order(first in any_profile(), second in any_profile()) {
        let payload = |profile: &Profile| {
            tellings(Vocabulary::Fxa, &Change::ProfileChange(profile.clone()), AT, &[])[0].payload.clone()
        };
        let merged = merged(EventType::ProfileChange, &payload(&first), &payload(&second)).expect("it coalesces");
        let both = Profile {
            email: second.email.or(first.email),
            locale: second.locale.or(first.locale),
            metrics_enabled: second.metrics_enabled.or(first.metrics_enabled),
            totp_enabled: second.totp_enabled.or(first.totp_enabled),
            account_disabled: second.account_disabled.or(first.account_disabled),
            account_locked: second.account_locked.or(first.account_locked),
        };
        let same = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        prop_assert_eq!(same(&merged), same(&payload(&both)));
    }
}
