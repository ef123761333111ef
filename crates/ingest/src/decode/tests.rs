mod any;

pub(crate) use any::nearly_json;

use super::*;
use crate::junk::Oddity;
use crate::remit::tests::{firefox, other};
use account::{Change, DeleteReason, Login, Millis, Profile, Subscription};
use serde_json::{Value, json};

fn remit() -> Remit {
    Remit::new(firefox(), vec![other()])
}

fn decoded(body: &Value) -> Decoded {
    decode(body.to_string().as_bytes(), &remit()).expect("an event")
}

fn event_of(body: &Value) -> (Option<i64>, Change) {
    let event = decoded(body).event;
    (event.at.map(Millis::get), event.change)
}

fn reason(body: impl AsRef<[u8]>) -> Reason {
    decode(body.as_ref(), &remit()).expect_err("junk").reason
}

fn notes(body: &Value) -> Vec<(&'static str, Oddity)> {
    decoded(body).notes.into_iter().map(|note| (note.member, note.oddity)).collect()
}

const UID: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

fn common(mut members: Value) -> Value {
    let all = members.as_object_mut().expect("an object");
    all.insert("uid".into(), UID.into());
    all.insert("timestamp".into(), 1_789_000_000_123_i64.into());
    all.insert("ts".into(), 1_789_000_000.123.into());
    members
}

const STAMP: Option<i64> = Some(1_789_000_000_123);

#[test]
fn every_kind_on_the_queue_becomes_its_change() {
    let login = common(json!({
        "event": "login", "clientId": "5882386C6D801776", "service": "relay", "email": "a@example.org",
        "deviceCount": 2, "firstAuthorization": true, "userAgent": "Mozilla/5.0 …", "country": "Finland",
        "countryCode": "FI", "iss": "api.accounts.firefox.com", "metricsContext": {}
    }));
    let expected = Login {
        client_id: Some("5882386c6d801776".into()),
        service: Some("relay".into()),
        email: Some("a@example.org".into()),
        device_count: Some(2),
        user_agent: Some("Mozilla/5.0 …".into()),
    };
    assert_eq!(event_of(&login), (STAMP, Change::Login(expected)));
    assert_eq!(notes(&login), []);

    let delete = common(json!({"event": "delete", "reason": "user"}));
    assert_eq!(event_of(&delete), (STAMP, Change::Delete { reason: Some(DeleteReason::User) }));

    for (name, change) in [
        ("passwordChange", Change::PasswordChange),
        ("reset", Change::PasswordReset),
        ("signOutEverywhere", Change::SignOutEverywhere),
    ] {
        let body = common(json!({"event": name, "generation": 1_789_000_000_100_i64}));
        assert_eq!(event_of(&body), (Some(1_789_000_000_100), change), "{name}");
    }

    let email = common(json!({"event": "primaryEmailChanged", "email": "new@example.org"}));
    assert_eq!(
        event_of(&email),
        (STAMP, Change::PrimaryEmailChange { email: Some("new@example.org".into()) })
    );

    let bare = json!({"event": "profileDataChange", "uid": UID, "ts": 1_789_000_000.123});
    assert_eq!(event_of(&bare), (STAMP, Change::ProfileChange(Profile::default())));

    let full = common(json!({
        "event": "profileDataChange", "email": "e@example.org", "locale": "fi", "metricsEnabled": false,
        "totpEnabled": true, "accountDisabled": true, "accountLocked": "false"
    }));
    let expected = Profile {
        email: Some("e@example.org".into()),
        locale: Some("fi".into()),
        metrics_enabled: Some(false),
        totp_enabled: Some(true),
        account_disabled: Some(true),
        account_locked: Some(false),
    };
    assert_eq!(event_of(&full), (STAMP, Change::ProfileChange(expected)));

    let subscription = common(json!({
        "event": "subscription:update", "eventCreatedAt": 1_789_000_000, "isActive": true,
        "productCapabilities": ["vpn", "relay_premium"]
    }));
    let expected = Subscription { active: true, capabilities: vec!["vpn".into(), "relay_premium".into()] };
    assert_eq!(event_of(&subscription), (Some(1_789_000_000_000), Change::SubscriptionChange(expected)));

    assert_eq!(event_of(&common(json!({"event": "accountDisabled"}))), (STAMP, Change::Disable));
    assert_eq!(event_of(&common(json!({"event": "accountEnabled"}))), (STAMP, Change::Enable));
}

#[test]
fn a_kind_nobody_knows_is_kept_verbatim() {
    for name in
        ["verified", "device:create", "newsletters:update", "constructor", "__proto__", "Delete", "パス"]
    {
        let body = format!("{{\"event\": {name:?},  \"uid\": \"u\",\n\"x\": 1e999}}");
        let decoded = decode(body.as_bytes(), &remit()).expect("an event");
        assert_eq!(decoded.event.change, Change::Unknown { name: name.into(), body });
        assert_eq!(decoded.event.at, None);
    }
}

#[test]
fn only_event_and_uid_are_required() {
    assert_eq!(event_of(&json!({"event": "delete", "uid": "u"})), (None, Change::Delete { reason: None }));
    assert_eq!(event_of(&json!({"event": "login", "uid": "u"})), (None, Change::Login(Login::default())));
    assert_eq!(
        event_of(&json!({"event": "primaryEmailChanged", "uid": "u"})),
        (None, Change::PrimaryEmailChange { email: None })
    );
}

#[test]
fn an_event_may_come_bare_or_in_an_sns_notification_or_in_data() {
    let flat = json!({"event": "reset", "uid": "u", "generation": 900, "timestamp": 1000});
    let nested = json!({"event": "reset", "data": {"uid": "u", "generation": 900, "timestamp": 1000}});
    let wrapped = |inner: &Value| json!({"Type": "Notification", "MessageId": "m", "TopicArn": "t", "Message": inner.to_string()});
    let legacy = json!({"Message": json!({
        "event": "reset", "uid": "u@api.accounts.firefox.com", "generation": 900
    }).to_string()});
    let expected = decoded(&flat).event;
    for body in [nested.clone(), wrapped(&flat), wrapped(&nested), legacy] {
        assert_eq!(decoded(&body).event, expected, "{body}");
    }
}

#[test]
fn what_stands_outside_of_data_counts_more_than_what_is_in_it() {
    let body =
        json!({"event": "reset", "timestamp": 7, "data": {"uid": "u", "event": "delete", "timestamp": 9}});
    assert_eq!(event_of(&body), (Some(7), Change::PasswordReset));
    let body =
        json!({"event": "reset", "uid": "u", "timestamp": 7, "data": {"uid": "other", "generation": 9}});
    assert_eq!(event_of(&body), (Some(7), Change::PasswordReset));
    assert_eq!(decoded(&body).event.account.to_string(), "fxa:u");
}

#[test]
fn an_unknown_kind_in_an_envelope_is_kept_without_the_envelope() {
    let inner = r#"{"event":"verified","uid":"u"}"#;
    let body = json!({"Type": "Notification", "Message": inner});
    assert_eq!(event_of(&body).1, Change::Unknown { name: "verified".into(), body: inner.into() });
}

#[test]
fn the_first_of_generation_timestamp_and_ts_that_is_a_moment_counts() {
    let times: &[(Value, i64, usize)] = &[
        (json!({"generation": 900, "timestamp": 1000, "ts": 2.0}), 900, 0),
        (json!({"generation": 0, "timestamp": 1000, "ts": 2.0}), 1000, 0),
        (json!({"generation": null, "timestamp": 0, "ts": 1.5}), 1500, 0),
        (json!({"ts": 1.5}), 1500, 0),
        (json!({"ts": 1_789_000_000.123}), 1_789_000_000_123, 0),
        (json!({"ts": 1}), 1000, 0),
        (json!({"generation": "900"}), 900, 0),
        (json!({"generation": 900.9}), 900, 0),
        (json!({"generation": "soon", "timestamp": 1000}), 1000, 1),
        (json!({"generation": [900], "timestamp": {}, "ts": "1.5"}), 1500, 2),
        (json!({"generation": -5, "timestamp": true, "ts": 1}), 1000, 2),
        (json!({"generation": i64::MAX, "timestamp": 1000}), 1000, 1),
        (json!({"generation": u64::MAX, "timestamp": 1000}), 1000, 1),
    ];
    for (times, at, odd) in times {
        let mut body = times.clone();
        body["event"] = "passwordChange".into();
        body["uid"] = "u".into();
        assert_eq!(event_of(&body), (Some(*at), Change::PasswordChange), "{times}");
        assert_eq!(notes(&body).len(), *odd, "{times}");
    }
}

#[test]
fn a_change_of_the_password_without_any_time_is_junk() {
    for times in [
        "",
        r#","generation":0"#,
        r#","generation":"soon","timestamp":[],"ts":{}"#,
        r#","ts":null"#,
        r#","ts":1e999"#,
        r#","generation":-1,"ts":-1"#,
        r#","eventCreatedAt":5"#,
    ] {
        for name in ["passwordChange", "reset", "signOutEverywhere"] {
            assert_eq!(
                reason(format!(r#"{{"event":"{name}","uid":"u"{times}}}"#)),
                Reason::NoTime,
                "{times}"
            );
        }
    }
}

#[test]
fn the_time_of_a_subscription_is_in_seconds() {
    let body = |created: Value| {
        json!({"event": "subscription:update", "uid": "u", "isActive": "true", "productCapabilities": [],
               "eventCreatedAt": created, "timestamp": 9})
    };
    let off = Change::SubscriptionChange(Subscription { active: true, capabilities: vec![] });
    assert_eq!(event_of(&body(json!(7))), (Some(7000), off.clone()));
    assert_eq!(event_of(&body(json!("7"))), (Some(7000), off.clone()));
    assert_eq!(event_of(&body(json!(null))), (Some(9), off.clone()));
    assert_eq!(event_of(&body(json!(i64::MAX))), (Some(9), off));
}

#[test]
fn a_subscription_change_must_say_what_changed() {
    let table: &[(Value, Reason)] = &[
        (json!({"productCapabilities": ["a"]}), Reason::MissingMember),
        (json!({"isActive": true}), Reason::MissingMember),
        (json!({"isActive": 1, "productCapabilities": ["a"]}), Reason::WrongType),
        (json!({"isActive": true, "productCapabilities": "a"}), Reason::WrongType),
        (json!({"isActive": true, "productCapabilities": ["a", 7]}), Reason::WrongType),
        (json!({"isActive": true, "productCapabilities": {"0": "a"}}), Reason::WrongType),
        (json!({"isActive": true, "productCapabilities": ["a\u{0}"]}), Reason::ControlCharacter),
    ];
    for (members, expected) in table {
        let mut body = members.clone();
        body["event"] = "subscription:update".into();
        body["uid"] = "u".into();
        assert_eq!(reason(body.to_string()), *expected, "{members}");
    }
}

#[test]
fn a_delete_counts_whatever_its_reason() {
    let table: &[(Value, Option<DeleteReason>, Option<Oddity>)] = &[
        (json!({"reason": "user"}), Some(DeleteReason::User), None),
        (json!({"reason": "admin"}), Some(DeleteReason::Admin), None),
        (json!({"reason": "inactivity"}), Some(DeleteReason::Inactivity), None),
        (json!({"reason": "unverified"}), Some(DeleteReason::Unverified), None),
        (json!({"reason": "User"}), None, Some(Oddity::UnknownString)),
        (json!({"reason": "purge"}), None, Some(Oddity::UnknownString)),
        (json!({"reason": ""}), None, Some(Oddity::Missing)),
        (json!({}), None, Some(Oddity::Missing)),
        (json!({"reason": null}), None, Some(Oddity::NonString)),
        (json!({"reason": 7}), None, Some(Oddity::NonString)),
        (json!({"reason": {"a": 1}}), None, Some(Oddity::NonString)),
    ];
    for (members, expected, oddity) in table {
        let mut body = members.clone();
        body["event"] = "delete".into();
        body["uid"] = "u".into();
        assert_eq!(event_of(&body).1, Change::Delete { reason: *expected }, "{members}");
        assert_eq!(notes(&body).first().map(|note| note.1), *oddity, "{members}");
    }
}

#[test]
fn odd_optional_members_are_dropped_and_the_event_counts() {
    let body = common(json!({
        "event": "login", "email": 7, "service": ["relay"], "clientId": "xyz", "deviceCount": "two", "userAgent": "a\u{0}b"
    }));
    assert_eq!(event_of(&body), (STAMP, Change::Login(Login::default())));
    assert_eq!(
        notes(&body),
        [
            ("clientId", Oddity::Malformed),
            ("service", Oddity::WrongType),
            ("email", Oddity::WrongType),
            ("deviceCount", Oddity::WrongType),
            ("userAgent", Oddity::ControlCharacter),
        ]
    );
    let body =
        common(json!({"event": "passwordChange", "email": {}, "service": 1, "metricsContext": "none"}));
    assert_eq!(event_of(&body), (STAMP, Change::PasswordChange));
    assert_eq!(notes(&body), []);
}

#[test]
fn a_client_id_is_one_or_more_pairs_of_hex_digits() {
    for (id, kept) in
        [("ab", true), ("ABcd01", true), ("abc", false), ("", false), ("zz", false), ("ab cd", false)]
    {
        let body = json!({"event": "login", "uid": "u", "clientId": id});
        let client_id = kept.then(|| id.to_lowercase());
        assert_eq!(event_of(&body).1, Change::Login(Login { client_id, ..Login::default() }), "{id:?}");
    }
}

#[test]
fn a_primary_email_change_that_carries_more_is_a_profile_change() {
    let body = json!({"event": "primaryEmailChanged", "uid": "u", "email": "e@x", "accountDisabled": true});
    let profile = Profile { email: Some("e@x".into()), account_disabled: Some(true), ..Profile::default() };
    assert_eq!(event_of(&body).1, Change::ProfileChange(profile));
}

#[test]
fn every_kind_of_junk_has_its_reason() {
    let table: &[(&[u8], Reason)] = &[
        (b"\xff{}", Reason::NotUtf8),
        (b"{\"event\":\"delete\",\"uid\":\"\xc3\"}", Reason::NotUtf8),
        (b"", Reason::NotJson),
        (b"hello", Reason::NotJson),
        (b"{\"event\":\"delete\"", Reason::NotJson),
        (b"{\"event\":\"a\0b\",\"uid\":\"u\"}", Reason::NotJson),
        (b"{} {}", Reason::NotJson),
        (b"[]", Reason::NotAnObject),
        (b"7", Reason::NotAnObject),
        (b"null", Reason::NotAnObject),
        (b"\"delete\"", Reason::NotAnObject),
        (b"{}", Reason::MissingEvent),
        (b"{\"uid\":\"u\"}", Reason::MissingEvent),
        (b"{\"event\":\"\",\"uid\":\"u\"}", Reason::MissingEvent),
        (b"{\"event\":null,\"uid\":\"u\"}", Reason::MissingEvent),
        (b"{\"event\":\"delete\"}", Reason::MissingUid),
        (b"{\"event\":\"delete\",\"uid\":\"\"}", Reason::MissingUid),
        (b"{\"event\":\"delete\",\"uid\":null}", Reason::MissingUid),
        (b"{\"event\":\"delete\",\"data\":{}}", Reason::MissingUid),
        (b"{\"event\":\"delete\",\"data\":[{\"uid\":\"u\"}]}", Reason::MissingUid),
        (b"{\"event\":7,\"uid\":\"u\"}", Reason::WrongType),
        (b"{\"event\":[\"delete\"],\"uid\":\"u\"}", Reason::WrongType),
        (b"{\"event\":\"delete\",\"uid\":7}", Reason::WrongType),
        (b"{\"event\":\"delete\",\"uid\":[\"u\"]}", Reason::WrongType),
        (b"{\"event\":\"delete\",\"uid\":{}}", Reason::WrongType),
        (b"{\"event\":\"delete\",\"uid\":true}", Reason::WrongType),
        (b"{\"event\":\"delete\",\"uid\":\"\\ud800\"}", Reason::WrongType),
        (b"{\"event\":\"delete\",\"uid\":\"u\",\"iss\":7}", Reason::WrongType),
        (b"{\"event\":\"delete\",\"uid\":\"u\\u0000\"}", Reason::ControlCharacter),
        (b"{\"event\":\"de\\nlete\",\"uid\":\"u\"}", Reason::ControlCharacter),
        (b"{\"event\":\"delete\",\"uid\":\"u@elsewhere.example\"}", Reason::Foreign),
        (b"{\"event\":\"delete\",\"uid\":\"u\",\"iss\":\"elsewhere.example\"}", Reason::Foreign),
        (b"{\"Message\":7}", Reason::WrongType),
        (b"{\"Message\":{\"event\":\"delete\",\"uid\":\"u\"}}", Reason::WrongType),
        (b"{\"Message\":\"hello\"}", Reason::NotJson),
        (b"{\"Message\":\"[1]\"}", Reason::NotAnObject),
        (b"{\"Message\":\"null\"}", Reason::NotAnObject),
        (b"{\"Message\":\"{}\"}", Reason::MissingEvent),
        (b"{\"Message\":\"{\\\"Message\\\":\\\"{}\\\"}\"}", Reason::MissingEvent),
    ];
    for (body, expected) in table {
        assert_eq!(reason(body), *expected, "{}", String::from_utf8_lossy(body));
    }
    assert_eq!(reason(format!(r#"{{"event":"delete","uid":"{}"}}"#, "u".repeat(256))), Reason::TooLong);
    assert_eq!(reason(format!(r#"{{"event":"{}","uid":"u"}}"#, "e".repeat(256))), Reason::TooLong);
}

#[test]
fn a_body_of_256_kib_is_read_and_one_byte_more_is_not() {
    let body = |length: usize| {
        let start = r#"{"event":"delete","uid":"u","x":""#;
        format!("{start}{}\"}}", "x".repeat(length - start.len() - 2))
    };
    assert!(decode(body(MAX_BODY).as_bytes(), &remit()).is_ok());
    assert_eq!(reason(body(MAX_BODY + 1)), Reason::TooLarge);
}

#[test]
fn depth_and_width_cost_nothing() {
    let deep = format!("{}{}", "[".repeat(60_000), "]".repeat(60_000));
    let body = format!(r#"{{"event":"delete","uid":"u","x":{deep},"data":{deep}}}"#);
    assert!(decode(body.as_bytes(), &remit()).is_ok());
    assert_eq!(reason("[".repeat(200_000)), Reason::NotJson);
    assert_eq!(reason(format!(r#"{{"event":"delete","uid":{deep}}}"#)), Reason::WrongType);
    let wide = r#""x":0,"#.repeat(15_000);
    let body = format!(r#"{{{wide}"event":"delete","data":{{{wide}"uid":"u"}}}}"#);
    assert!(decode(body.as_bytes(), &remit()).is_ok());
}
