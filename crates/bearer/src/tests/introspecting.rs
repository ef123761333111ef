use super::*;
use crate::{CannotSign, Signs};
use futures::FutureExt;
use futures::future::BoxFuture;
use jose::{Compact, Jwk};
use std::sync::Arc;

const NOW: i64 = START.seconds();
const FORM: &str = "application/x-www-form-urlencoded";

async fn ask(house: &House, kind: &str, body: impl Into<String>) -> Answer {
    let request = Request::post("/introspect").header("content-type", kind).body(Body::from(body.into()));
    house.service(&["introspect"], request.expect("a request")).await
}

#[tokio::test]
async fn a_service_hears_what_a_token_says_in_seconds() {
    for house in House::on_each_engine().await {
        let token = house.token_with(&json!({ "sub": "u1", "iat": NOW - 10, "auth_time": NOW - 20 }));
        let answer = ask(&house, FORM, format!("token_type_hint=access_token&token={token}")).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let expected = json!({
            "active": true, "sub": "u1", "iss": ISSUER, "client_id": "5882386c6d801776", "token_type": "Bearer",
            "scope": format!("profile {SCOPE}"), "iat": NOW - 10, "exp": NOW + 3_600, "auth_time": NOW - 20,
        });
        assert_eq!(answer.json(), expected);
    }
}

#[tokio::test]
async fn of_a_token_that_does_not_count_only_that_is_said() {
    let house = House::new().await;
    house.happens("u1", Millis::from_seconds(NOW - 50), Change::PasswordChange).await;
    house.happens("u2", Millis::from_seconds(NOW - 50), Change::Disable).await;
    let expired = house.token_with(&json!({ "sub": "u3", "exp": NOW - 3_600 }));
    for token in ["garbage", &expired, &house.token("u1", NOW - 60), &house.token("u2", NOW)] {
        let answer = ask(&house, FORM, format!("token={token}")).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, r#"{"active":false}"#), "{token}");
    }
}

#[tokio::test]
async fn an_outage_is_not_a_no() {
    let house = House::new().await;
    house.says(ResponseTemplate::new(500)).await;
    let answer = ask(&house, FORM, "token=opaque").await;
    assert_eq!(answer.code(), refused(503, "check_unavailable"));
    assert!(!answer.header("retry-after").is_empty());
}

#[tokio::test]
async fn a_form_has_one_token_in_it() {
    let house = House::new().await;
    for (kind, body) in [
        (FORM, ""),
        (FORM, "token="),
        (FORM, "tokens=a"),
        (FORM, "token=a&token=b"),
        ("application/json", r#"{"token":"a"}"#),
        ("", "token=a"),
    ] {
        assert_eq!(ask(&house, kind, body).await.code(), refused(400, "malformed_request"), "{kind} {body}");
    }
    let long = ask(&house, FORM, format!("token={}", "a".repeat(40_000))).await;
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE);
    let request = Request::post("/introspect").body(Body::empty()).expect("a request");
    assert_eq!(house.service(&["verify"], request).await.code(), refused(403, "caller_not_allowed"));
}

const SIGNED: &str = "application/token-introspection+jwt";

/// A key ring with one key, or with none yet.
struct Ring(Option<SigningKey>);

impl Signs for Ring {
    fn issuer(&self) -> &'static str {
        "https://highwater.example"
    }

    fn introspection(&self, claims: Vec<u8>) -> BoxFuture<'_, Result<String, CannotSign>> {
        async move {
            let key = self.0.as_ref().ok_or_else(|| CannotSign("no key yet".to_owned()))?;
            Ok(key.sign_payload("token-introspection+jwt", &claims).expect("signed"))
        }
        .boxed()
    }
}

async fn ask_signed(house: &House, body: String) -> Answer {
    let request = Request::post("/introspect").header("content-type", FORM).header("accept", SIGNED);
    house.service(&["introspect"], request.body(Body::from(body)).expect("a request")).await
}

/// The claims of a JWT that this key has signed.
fn claims(jwt: &str, key: &Jwk) -> Value {
    let compact = Compact::split(jwt).expect("a JWT");
    let header = compact.header().expect("a header");
    assert_eq!(header.typ.as_deref(), Some("token-introspection+jwt"));
    compact.verify(&header, key.public_key()).expect("a good signature");
    serde_json::from_slice(&compact.payload().expect("a payload")).expect("JSON")
}

#[tokio::test]
async fn an_answer_is_signed_for_whoever_asks_for_that() {
    let house = House::new().await;
    let key = SigningKey::generate(Algorithm::EdDsa).expect("a key");
    let published = key.jwk().clone();
    house.bearer.sign_with(Arc::new(Ring(Some(key))));
    let token = house.token("u1", NOW - 10);
    let answer = ask_signed(&house, format!("token={token}")).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, SIGNED));
    assert_eq!(answer.header("cache-control"), "no-store");
    let said = claims(&answer.body, &published);
    let plain = ask(&house, FORM, format!("token={token}")).await.json();
    let expected = json!({
        "iss": "https://highwater.example", "aud": "proxy", "iat": NOW, "token_introspection": plain,
    });
    assert_eq!(said, expected, "nothing beside it that could be taken for an access token's");
    assert_eq!(said["token_introspection"]["sub"], "u1");

    let no = ask_signed(&house, "token=garbage".to_owned()).await;
    assert_eq!(claims(&no.body, &published)["token_introspection"], json!({ "active": false }));
}

#[tokio::test]
async fn an_error_is_never_signed_and_an_outage_of_the_keys_is_none_of_the_tokens() {
    let house = House::new().await;
    let nobody_signs = ask_signed(&house, "token=garbage".to_owned()).await;
    assert_eq!(nobody_signs.code(), refused(406, "not_signed"));
    house.bearer.sign_with(Arc::new(Ring(None)));
    let no_key = ask_signed(&house, "token=garbage".to_owned()).await;
    assert_eq!(no_key.code(), refused(503, "check_unavailable"));
    assert_eq!(no_key.header("retry-after"), "5");
    assert_eq!(ask_signed(&house, "token=".to_owned()).await.code(), refused(400, "malformed_request"));
    house.says(ResponseTemplate::new(500)).await;
    assert_eq!(ask_signed(&house, "token=opaque".to_owned()).await.code(), refused(503, "check_unavailable"));
}
