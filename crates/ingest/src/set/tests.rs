#![expect(clippy::needless_pass_by_value, reason = "claims are written in place")]

use super::*;
use crate::remit::tests::{firefox, other};
use account::{Change, DeleteReason, Profile, Subscription};
use jose::{Algorithm, SigningKey, to_base64url};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

const CLIENT: &str = "5882386c6d801776";
const NOW: Millis = Millis::new(1_789_000_010_000);

fn rules() -> Rules {
    let transmitter = |remit| Transmitter { audiences: vec![CLIENT.into(), "also".into()], remit };
    Rules {
        transmitters: vec![
            transmitter(Remit::new(firefox(), vec![])),
            transmitter(Remit::new(other(), vec![firefox()])),
        ],
    }
}

fn claims(extra: Json) -> Json {
    let mut claims = json!({
        "aud": CLIENT, "events": {}, "iat": 1_789_000_002.417, "jti": "0b8c0d0e-6d1c-4c57-9f6e-3b4a5a0d9e11",
        "sub": "0f1e2d3c4b5a69788796a5b4c3d2e1f0", "iss": "https://accounts.firefox.com"
    });
    for (name, value) in extra.as_object().expect("an object") {
        if value.is_null() {
            claims.as_object_mut().expect("an object").remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

/// A token that nobody signed: the rules do not look at signatures.
fn token(header: &str, claims: &str) -> String {
    format!("{}.{}.AA", to_base64url(header.as_bytes()), to_base64url(claims.as_bytes()))
}

fn judged(claims: &Json) -> Result<Vec<SetEvent>, Refusal> {
    let token = token(r#"{"alg":"RS256","kid":"k"}"#, &claims.to_string());
    let envelope = Envelope::open(&token)?;
    rules().accept(&envelope, NOW).map(|accepted| accepted.events())
}

fn told(uri: &str, payload: Json) -> Told {
    told_with(json!({}), uri, payload)
}

fn told_with(extra: Json, uri: &str, payload: Json) -> Told {
    let mut claims = claims(extra);
    claims["events"] = json!({ uri: payload });
    let mut events = judged(&claims).expect("accepted");
    assert_eq!(events.len(), 1);
    events.remove(0).told
}

fn change(told: Told) -> (Option<i64>, Change) {
    match told {
        Told::Account(decoded) => (decoded.event.at.map(Millis::get), decoded.event.change),
        other => panic!("no account event: {other:?}"),
    }
}

fn junk(told: Told) -> Reason {
    match told {
        Told::Junk(junk) => junk.reason,
        other => panic!("no junk: {other:?}"),
    }
}

fn fxa(name: &str) -> String {
    format!("https://schemas.accounts.firefox.com/event/{name}")
}

fn risc(name: &str) -> String {
    format!("https://schemas.openid.net/secevent/risc/event-type/{name}")
}

fn caep(name: &str) -> String {
    format!("https://schemas.openid.net/secevent/caep/event-type/{name}")
}

const ISSUED: Option<i64> = Some(1_789_000_002_417);

#[test]
fn every_event_of_mozilla_accounts_becomes_its_change() {
    let at = 1_789_000_000_100_i64;
    assert_eq!(
        change(told(&fxa("password-change"), json!({ "changeTime": at }))),
        (Some(at), Change::PasswordChange)
    );
    assert_eq!(change(told(&fxa("delete-user"), json!({}))), (ISSUED, Change::Delete { reason: None }));
    assert_eq!(change(told(&fxa("delete-user"), json!(null))), (ISSUED, Change::Delete { reason: None }));
    assert_eq!(
        change(told(&fxa("delete-user"), json!({"reason": "inactivity"}))),
        (ISSUED, Change::Delete { reason: Some(DeleteReason::Inactivity) })
    );
    assert_eq!(
        change(told(&fxa("profile-change"), json!({}))),
        (ISSUED, Change::ProfileChange(Profile::default()))
    );
    let payload = json!({
        "email": "e@x", "locale": "fi", "metricsEnabled": true, "totpEnabled": false,
        "accountDisabled": true, "accountLocked": false, "uid": "ignored"
    });
    let profile = Profile {
        email: Some("e@x".into()),
        locale: Some("fi".into()),
        metrics_enabled: Some(true),
        totp_enabled: Some(false),
        account_disabled: Some(true),
        account_locked: Some(false),
    };
    assert_eq!(change(told(&fxa("profile-change"), payload)), (ISSUED, Change::ProfileChange(profile)));
    for (name, enabled) in [("metrics-opt-out", false), ("metrics-opt-in", true)] {
        let profile = Profile { metrics_enabled: Some(enabled), ..Profile::default() };
        assert_eq!(change(told(&fxa(name), json!({}))), (ISSUED, Change::ProfileChange(profile)));
    }
}

#[test]
fn a_password_change_counts_only_with_an_integer_for_its_time() {
    let table = [
        (json!({}), Reason::MissingMember),
        (json!({"changeTime": null}), Reason::MissingMember),
        (json!({"changeTime": 1.5}), Reason::WrongType),
        (json!({"changeTime": "1789000000100"}), Reason::WrongType),
        (json!({"changeTime": [1]}), Reason::WrongType),
        (json!({"changeTime": u64::MAX}), Reason::WrongType),
        (json!({"changeTime": i64::MAX}), Reason::NoTime),
        (json!({"changeTime": 0}), Reason::NoTime),
        (json!({"changeTime": -5}), Reason::NoTime),
        (json!("now"), Reason::MissingMember),
    ];
    for (payload, reason) in table {
        assert_eq!(junk(told(&fxa("password-change"), payload.clone())), reason, "{payload}");
    }
    assert_eq!(change(told(&fxa("password-change"), json!({"changeTime": 900}))).0, Some(900));
}

#[test]
fn the_time_of_a_subscription_change_is_taken_for_seconds_when_it_is_too_small_for_milliseconds() {
    let subscription =
        Change::SubscriptionChange(Subscription { active: true, capabilities: vec!["vpn".into()] });
    for (time, at) in [
        (json!(1_789_000_000_100_i64), Some(1_789_000_000_100)),
        (json!(1_789_000_000), Some(1_789_000_000_000)),
        (json!(1_789_000_000.5), Some(1_789_000_000_500)),
        (json!(null), ISSUED),
        (json!("soon"), ISSUED),
    ] {
        let payload = json!({"capabilities": ["vpn"], "changeTime": time, "isActive": true});
        assert_eq!(
            change(told(&fxa("subscription-state-change"), payload)),
            (at, subscription.clone()),
            "{time}"
        );
    }
    for payload in [json!({"capabilities": []}), json!({"isActive": true}), json!(7)] {
        assert_eq!(junk(told(&fxa("subscription-state-change"), payload)), Reason::MissingMember);
    }
}

#[test]
fn the_standard_events_that_say_the_same_become_the_same() {
    let at = json!({"event_timestamp": 1_789_000_000});
    let when = Some(1_789_000_000_000);
    assert_eq!(
        change(told(&risc("account-disabled"), json!({"reason": "hijacking"}))),
        (ISSUED, Change::Disable)
    );
    assert_eq!(change(told(&risc("account-disabled"), at.clone())), (when, Change::Disable));
    assert_eq!(change(told(&risc("account-enabled"), at.clone())), (when, Change::Enable));
    assert_eq!(change(told(&risc("account-purged"), at.clone())), (when, Change::Delete { reason: None }));
    for (entity, reason) in
        [("user", Some(DeleteReason::User)), ("admin", Some(DeleteReason::Admin)), ("policy", None)]
    {
        let purged = told(&risc("account-purged"), json!({"initiating_entity": entity}));
        assert_eq!(change(purged), (ISSUED, Change::Delete { reason }));
    }
    assert_eq!(change(told(&risc("sessions-revoked"), at)), (when, Change::SignOutEverywhere));
    for change_type in ["update", "revoke", "delete"] {
        let payload = json!({
            "credential_type": "password", "change_type": change_type, "event_timestamp": 1_789_000_000
        });
        assert_eq!(change(told(&caep("credential-change"), payload)), (when, Change::PasswordChange));
    }
}

#[test]
fn when_it_happened_is_told_by_the_event_then_by_toe_then_by_iat() {
    let disabled = risc("account-disabled");
    let at = |extra, payload| change(told_with(extra, &disabled, payload)).0;
    assert_eq!(at(json!({"toe": 1_788_000_000}), json!({"event_timestamp": 5})), Some(5000));
    assert_eq!(at(json!({"toe": 1_788_000_000}), json!({})), Some(1_788_000_000_000));
    assert_eq!(at(json!({}), json!({"event_timestamp": "?"})), ISSUED);
    assert_eq!(at(json!({"iat": null}), json!({})), None);
    let payload = json!({"credential_type": "password", "change_type": "update"});
    assert_eq!(junk(told_with(json!({"iat": null}), &caep("credential-change"), payload)), Reason::NoTime);
}

#[test]
fn an_event_nobody_knows_is_kept_verbatim() {
    for uri in [
        fxa("apple-user-migration"),
        fxa("password-change/"),
        caep("session-revoked"),
        risc("account-credential-change-required"),
        "x".to_owned(),
        String::new(),
    ] {
        let payload = json!({"a": [1, {"b": null}]});
        let (at, change) = change(told(&uri, payload.clone()));
        assert_eq!((at, change), (ISSUED, Change::Unknown { name: uri, body: payload.to_string() }));
    }
    let payload = json!({"credential_type": "fido2-roaming", "change_type": "create"});
    assert!(matches!(change(told(&caep("credential-change"), payload)).1, Change::Unknown { .. }));
    assert_eq!(junk(told(&"x".repeat(256), json!({}))), Reason::TooLong);
    assert_eq!(junk(told("a\u{0}b", json!({}))), Reason::ControlCharacter);
}

#[test]
fn an_event_about_the_stream_needs_no_account() {
    let extra = json!({"sub": null, "sub_id": {"format": "opaque", "id": "stream-1"}});
    let verification = "https://schemas.openid.net/secevent/ssf/event-type/verification";
    assert_eq!(told_with(extra, verification, json!({"state": "x"})), Told::Stream);
}

#[test]
fn the_account_is_in_sub_or_in_sub_id() {
    let account = |extra: Json| match told_with(extra, &fxa("delete-user"), json!({})) {
        Told::Account(decoded) => Ok(decoded.event.account.to_string()),
        Told::Junk(junk) => Err(junk.reason),
        Told::Stream => panic!("about an account"),
    };
    let iss_sub = |iss: &str| json!({"format": "iss_sub", "iss": iss, "sub": "u2"});
    let firefox = "https://accounts.firefox.com";
    let from_other = "https://id.example.org";
    assert_eq!(account(json!({"sub": "u1"})), Ok("fxa:u1".into()));
    assert_eq!(account(json!({"sub": "u1@api.accounts.firefox.com"})), Ok("fxa:u1".into()));
    assert_eq!(account(json!({"sub": null, "sub_id": iss_sub(firefox)})), Ok("fxa:u2".into()));
    assert_eq!(account(json!({"sub_id": iss_sub(firefox)})), Ok("fxa:u2".into()));
    assert_eq!(account(json!({"iss": from_other, "sub": "u1"})), Ok("other:u1".into()));
    assert_eq!(account(json!({"iss": from_other, "sub_id": iss_sub(firefox)})), Ok("fxa:u2".into()));
    assert_eq!(account(json!({"sub_id": iss_sub(from_other)})), Err(Reason::Foreign));
    assert_eq!(account(json!({"sub": "u1@mail.example"})), Ok("fxa:u1@mail.example".into()));
    assert_eq!(account(json!({"sub": null})), Err(Reason::MissingUid));
    assert_eq!(account(json!({"sub": ""})), Err(Reason::MissingUid));
    assert_eq!(
        account(json!({"sub": null, "sub_id": {"format": "email", "email": "a@b"}})),
        Err(Reason::MissingUid)
    );
    assert_eq!(account(json!({"sub": 7})), Err(Reason::WrongType));
}

#[test]
fn a_token_must_be_of_a_known_issuer_and_for_us_and_of_this_time() {
    let table: &[(Json, Result<(), Refusal>)] = &[
        (json!({}), Ok(())),
        (json!({"iss": "https://accounts.firefox.com/"}), Ok(())),
        (json!({"iss": "api.accounts.firefox.com"}), Err(Refusal::Issuer)),
        (json!({"iss": "https://elsewhere.example"}), Err(Refusal::Issuer)),
        (json!({"iss": ""}), Err(Refusal::Issuer)),
        (json!({"iss": null}), Err(Refusal::Claim("iss"))),
        (json!({"iss": ["https://accounts.firefox.com"]}), Err(Refusal::Claim("iss"))),
        (json!({"aud": ["x", CLIENT]}), Ok(())),
        (json!({"aud": "also"}), Ok(())),
        (json!({"aud": null}), Err(Refusal::Claim("aud"))),
        (json!({"aud": 7}), Err(Refusal::Claim("aud"))),
        (json!({"aud": [7, CLIENT]}), Err(Refusal::Claim("aud"))),
        (json!({"aud": "x"}), Err(Refusal::Audience)),
        (json!({"aud": ""}), Err(Refusal::Audience)),
        (json!({"aud": []}), Err(Refusal::Audience)),
        (json!({"iat": null}), Ok(())),
        (json!({"iat": 5}), Ok(())),
        (json!({"iat": 1_789_000_070}), Ok(())),
        (json!({"iat": 1_789_000_070.5}), Err(Refusal::Early)),
        (json!({"nbf": 1_789_000_071}), Err(Refusal::Early)),
        (json!({"iat": "5"}), Err(Refusal::Claim("iat"))),
        (json!({"iat": -5}), Err(Refusal::Claim("iat"))),
        (json!({"iat": 1e300}), Err(Refusal::Claim("iat"))),
        (json!({"exp": 1_789_000_011}), Ok(())),
        (json!({"exp": 1_788_999_950}), Ok(())),
        (json!({"exp": 1_788_999_949}), Err(Refusal::Expired)),
        (json!({"exp": true}), Err(Refusal::Claim("exp"))),
        (json!({"events": null}), Err(Refusal::Claim("events"))),
        (json!({"events": ["x"]}), Err(Refusal::Events)),
        (json!({"events": "x"}), Err(Refusal::Events)),
        (json!({"jti": null}), Ok(())),
    ];
    for (extra, expected) in table {
        assert_eq!(judged(&claims(extra.clone())).map(|_| ()), *expected, "{extra}");
    }
}

#[test]
fn an_access_token_is_no_security_event_token() {
    let open = |header: &str| Envelope::open(&token(header, &claims(json!({})).to_string())).map(|_| ());
    for header in [
        r#"{"alg":"RS256"}"#,
        r#"{"alg":"RS256","typ":"secevent+jwt"}"#,
        r#"{"alg":"ES256","typ":"application/SecEvent+JWT"}"#,
        r#"{"alg":"EdDSA","typ":"JWT"}"#,
    ] {
        assert_eq!(open(header), Ok(()), "{header}");
    }
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "logout+jwt", "dpop+jwt", ""] {
        let refused = open(&json!({"alg": "RS256", "typ": typ}).to_string());
        assert!(matches!(refused, Err(Refusal::Type(_))), "{typ}");
    }
    for header in [r#"{"alg":"HS256"}"#, r#"{"alg":"none"}"#, "{}", "[]", "x"] {
        assert!(matches!(open(header), Err(Refusal::Malformed(_))), "{header}");
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let header = r#"{"alg":"RS256"}"#;
    for text in ["", "x", "a.b", "a.b.c", "a.b.c.d", "...", "\u{e9}.e30.AA"] {
        assert!(matches!(Envelope::open(text), Err(Refusal::Malformed(_))), "{text}");
    }
    for claims in ["", "x", "[]", "7", "{\"iss\":"] {
        let token = token(header, if claims.is_empty() { " " } else { claims });
        assert_eq!(Envelope::open(&token).err(), Some(Refusal::Claims), "{claims}");
    }
    let latin1 = format!("{}.{}.AA", to_base64url(header.as_bytes()), to_base64url(b"{\"iss\":\"\xe9\"}"));
    assert_eq!(Envelope::open(&latin1).err(), Some(Refusal::Claims));
}

#[test]
fn a_token_is_named_by_its_jti_when_it_has_a_usable_one() {
    let id = |extra| {
        let claims = claims(extra).to_string();
        let token = token(r#"{"alg":"RS256"}"#, &claims);
        let envelope = Envelope::open(&token).expect("well-formed");
        rules().accept(&envelope, NOW).expect("accepted").token_id()
    };
    assert_eq!(id(json!({"jti": "a"})), Some("a".into()));
    for odd in [json!(null), json!(""), json!(7), json!("a\u{0}")] {
        assert_eq!(id(json!({"jti": odd})), None, "{odd}");
    }
}

#[test]
fn a_token_with_several_events_tells_of_each_in_order() {
    let mut claims = claims(json!({}));
    claims["events"] = json!({ risc("account-disabled"): {}, caep("x"): {}, fxa("password-change"): {} });
    let events = judged(&claims).expect("accepted");
    let kinds: Vec<_> = events
        .iter()
        .map(|event| match &event.told {
            Told::Account(decoded) => decoded.event.change.kind().as_str(),
            Told::Junk(junk) => junk.reason.code(),
            Told::Stream => "stream",
        })
        .collect();
    let sorted: std::collections::BTreeMap<_, _> = events.iter().map(|event| &event.uri).zip(kinds).collect();
    assert_eq!(sorted.values().copied().collect::<Vec<_>>(), ["missing_member", "unknown", "disable"]);
}

#[test]
fn what_is_kept_of_each_event_can_be_read_again() {
    let mut claims = claims(json!({"odd \" name": [1.50, "\u{e9}"]}));
    claims["events"] = json!({ risc("account-disabled"): {"reason": "x"}, "odd \" uri": [null] });
    for event in judged(&claims).expect("accepted") {
        let rules = rules();
        let again = rules.reread(&event.claims).expect("readable").events();
        assert_eq!(again, [event]);
    }
}

#[test]
fn a_token_as_mozilla_accounts_signs_it_is_taken() {
    let key = SigningKey::generate(Algorithm::EdDsa).expect("a key").with_kid("k");
    let mut claims = claims(json!({}));
    claims["events"] = json!({ fxa("delete-user"): {} });
    let header = json!({"alg": "EdDSA", "kid": "k"}).to_string();
    let signed = key.sign_compact(header.as_bytes(), claims.to_string().as_bytes()).expect("signed");
    let envelope = Envelope::open(&signed).expect("well-formed");
    assert_eq!(rules().accept(&envelope, NOW).expect("accepted").events().len(), 1);
}

proptest! {
    #[test]
    fn any_text_is_a_token_or_refused(text in "\\PC*", parts in "[A-Za-z0-9_-]{0,40}(\\.[A-Za-z0-9_-]{0,40}){0,3}") {
        let _ = (Envelope::open(&text), Envelope::open(&parts));
    }

    #[test]
    fn any_claims_are_accepted_or_refused(
        name in prop::sample::select(vec!["iss", "aud", "iat", "exp", "nbf", "toe", "sub", "sub_id", "events", "jti"]),
        value in crate::decode::tests::nearly_json(),
        uri in prop::sample::select(vec!["password-change", "delete-user", "profile-change", "subscription-state-change"]),
        payload in crate::decode::tests::nearly_json(),
    ) {
        let mut claims = claims(json!({}));
        claims["events"] = json!({ fxa(uri): payload });
        claims[name] = value;
        if let Ok(events) = judged(&claims) {
            for event in events {
                if let Told::Account(decoded) = event.told {
                    prop_assert!(decoded.event.at.is_none_or(|at| at >= Millis::ZERO));
                }
            }
        }
    }
}
