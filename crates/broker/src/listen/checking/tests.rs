use super::*;
use crate::listen::Keys;
use crate::{ClientId, Secret};
use futures::FutureExt;
use http::{HeaderName, HeaderValue};
use jose::{Algorithm, SigningKey};
use proptest::prelude::*;
use serde_json::json;
use std::sync::LazyLock;

const NOW: Millis = Millis::new(1_789_000_000_123);
const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const URI: &str = "https://schemas.accounts.firefox.com/event/profile-change";

static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::generate(Algorithm::EdDsa).expect("a key").with_kid("k"));

fn trust() -> Trust {
    let set = json!({ "keys": [KEY.jwk()] }).to_string();
    let keys = Keys::of_set(set.as_bytes()).expect("keys");
    let audience = ClientId::new("rp").expect("valid");
    Trust::new(keys, Some("https://a.example".into()), Some(audience), vec![Secret::new(SECRET)])
        .expect("it can be")
}

fn good() -> Value {
    json!({ "iss": "https://a.example", "aud": "RP", "iat": NOW.seconds(), "jti": "1", "sub": "u", "events": { URI: {} } })
}

fn heard(headers: &[(HeaderName, &str)], body: &[u8]) -> Heard {
    let value = |text: &str| HeaderValue::from_str(text).expect("a value");
    let headers = headers.iter().map(|(name, text)| (name.clone(), value(text))).collect();
    trust().check(&headers, body, NOW).now_or_never().expect("known keys need no waiting")
}

fn pushed(typ: &str, claims: &Value) -> Heard {
    let token = KEY.sign_claims(typ, claims).expect("signed");
    heard(&[(CONTENT_TYPE, "application/secevent+jwt; charset=utf-8")], token.as_bytes())
}

/// The verdict over good claims with one of them changed; null takes it out.
fn with(member: &str, value: Value) -> String {
    let mut claims = good();
    claims[member] = value;
    if claims[member].is_null() {
        claims.as_object_mut().expect("an object").remove(member);
    }
    pushed("secevent+jwt", &claims).refusal.map_or_else(|| "good".to_owned(), |it| it.to_string())
}

#[test]
fn each_claim_is_looked_at() {
    let seconds = NOW.seconds();
    let opaque = json!({ "format": "opaque", "id": "s1" });
    for (member, value, verdict) in [
        ("extra", json!({ "any": [1] }), "good"),
        ("iss", json!("https://a.example/"), "its issuer is https://a.example/"),
        ("iss", Value::Null, "its issuer is "),
        ("aud", json!(["other", "rp"]), "good"),
        ("aud", json!("other"), "its audience is \"other\""),
        ("aud", json!([]), "its audience is []"),
        ("aud", Value::Null, "its audience is null"),
        ("iat", json!(seconds + 60), "good"),
        ("iat", json!(seconds + 61), "its time is wrong: it is issued in the future"),
        ("iat", json!(0), "good"),
        ("iat", json!(1.5), "no Security Event Token: `iat` is no integer"),
        ("iat", Value::Null, "no Security Event Token: `iat` is no integer"),
        ("exp", json!(seconds - 58), "good"),
        ("exp", json!(seconds - 61), "its time is wrong: it has ended"),
        ("exp", json!("soon"), "its time is wrong: it has ended"),
        ("jti", Value::Null, "no Security Event Token: it has no `jti`"),
        ("jti", json!(""), "no Security Event Token: it has no `jti`"),
        ("events", json!({}), "no Security Event Token: it has no event"),
        ("events", json!([URI]), "no Security Event Token: it has no event"),
        ("sub", Value::Null, "no Security Event Token: it is about nobody"),
        ("sub_id", opaque, "good"),
    ] {
        assert_eq!(with(member, value.clone()), verdict, "{member}: {value}");
    }
}

#[test]
fn a_push_says_of_itself_what_it_is_and_a_header_need_not() {
    for (typ, is_good) in
        [("secevent+jwt", true), ("application/secevent+jwt", true), ("JWT", false), ("at+jwt", false)]
    {
        assert_eq!(pushed(typ, &good()).is_good(), is_good, "{typ}");
    }
    let token = KEY.sign_claims("JWT", &good()).expect("signed");
    let in_header = heard(&[(AUTHORIZATION, &format!("bearer  {token}"))], b"");
    assert_eq!((in_header.way, in_header.is_good()), (Way::FxaHeader, true));
    let with_a_body = heard(&[(AUTHORIZATION, &format!("Bearer {token}"))], b"x");
    assert_eq!(with_a_body.way, Way::Unknown, "the header is somebody's authorization then");
}

#[test]
fn what_is_refused_is_told_as_far_as_it_can_be_read() {
    let stranger = SigningKey::generate(Algorithm::EdDsa).expect("a key");
    let token = stranger.with_kid("other").sign_claims("secevent+jwt", &good()).expect("signed");
    let unknown = heard(&[(CONTENT_TYPE, "application/secevent+jwt")], token.as_bytes());
    assert_eq!(unknown.refusal, Some(Refusal::Key));
    assert_eq!((unknown.id.as_deref(), unknown.subject.as_deref()), (Some("1"), Some("u")));
    assert_eq!((unknown.event.as_deref(), unknown.kid.as_deref()), (Some(URI), Some("other")));
    let impostor = SigningKey::generate(Algorithm::EdDsa).expect("a key").with_kid("k");
    let token = impostor.sign_claims("secevent+jwt", &good()).expect("signed");
    let heard = heard(&[(CONTENT_TYPE, "application/secevent+jwt")], token.as_bytes());
    assert_eq!(heard.refusal, Some(Refusal::Signature), "it goes by a name that is not its own");
}

proptest! {
    #[test]
    fn nothing_that_is_not_signed_is_good_and_nothing_makes_the_reader_panic(
        authorization in "(Bearer )?[ -~]{0,60}",
        content_type in "(application/secevent\\+jwt|application/json|[ -~]{0,20})",
        signature in prop::option::of("(v1|v1a|v2)?,?[ -~]{0,40}"),
        body in prop::collection::vec(any::<u8>(), 0..80),
        token in "[A-Za-z0-9_-]{0,30}(\\.[A-Za-z0-9_-]{0,30}){0,3}",
        timestamp in "[0-9-]{0,20}",
    ) {
        let mut headers = vec![(AUTHORIZATION, authorization.as_str()), (CONTENT_TYPE, content_type.as_str())];
        if let Some(signature) = &signature {
            headers.push((webhook::SIGNATURE, signature));
            headers.push((HeaderName::from_static("webhook-id"), "1"));
            headers.push((HeaderName::from_static("webhook-timestamp"), &timestamp));
        }
        for body in [body.as_slice(), token.as_bytes(), b""] {
            prop_assert!(!heard(&headers, body).is_good());
        }
    }
}
