//! The layer around an axum service, request by request.
#![cfg(feature = "tower")]

use account::{IdpId, Millis};
use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::response::Response;
use axum::routing::any;
use axum::{Extension, Router};
use idp::{IdpConfig, Idps, OpaqueTokens};
use jose::{Algorithm, SigningKey};
use serde_json::{Value, json};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
use tower::ServiceExt;
use verify::{Answer, BearerLayer, Gate, Options, Policy, PolicyConfig, Settings, Verifier};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

const NOW: i64 = 1_700_000_000;
static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::generate(Algorithm::EdDsa).expect("a key").with_kid("a"));

async fn who(answer: Option<Extension<Answer>>) -> String {
    answer.map_or_else(|| "nobody".to_owned(), |Extension(answer)| answer.facts.subject.to_string())
}

fn api(config: IdpConfig, clock: &'static AtomicI64) -> Router {
    let policy: PolicyConfig = serde_json::from_value(json!({"routes": [
        {"path": "/me", "scopes": ["profile"], "stale_if_error_seconds": 600},
        {"path": "/public/{*rest}", "anonymous": true},
    ]}))
    .expect("well-formed");
    let verifier =
        Verifier::with(Idps::new(&[config]).expect("valid"), &Settings::default(), Options::default());
    let gate = Gate::new(verifier, Policy::new(&policy).expect("valid"));
    let now = || Millis::from_seconds(clock.load(Ordering::Relaxed));
    Router::new().fallback(any(who)).layer(BearerLayer::new(gate, now))
}

fn by_key() -> IdpConfig {
    let mut config = IdpConfig::new(IdpId::new("idp").expect("valid"), "https://idp.example", "idp.example");
    config.primary_jwk = Some(KEY.jwk().clone());
    config
}

fn token(scope: &str) -> String {
    let claims = json!({"iss": "https://idp.example", "sub": "u", "scope": scope, "exp": NOW + 600});
    KEY.sign_claims("at+jwt", &claims).expect("signed")
}

async fn ask(api: &Router, path: &str, authorization: &[&str]) -> Response {
    let mut request = Request::get(path);
    for value in authorization {
        request = request.header("authorization", *value);
    }
    api.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("never fails")
}

async fn body(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), 1 << 16).await.expect("short");
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[tokio::test]
async fn the_service_learns_who_asks_and_only_of_those_who_may() {
    static CLOCK: AtomicI64 = AtomicI64::new(NOW);
    let api = api(by_key(), &CLOCK);
    let good = format!("Bearer {}", token("profile"));
    assert_eq!(body(ask(&api, "/me?x=1", &[&good]).await).await, "u");
    assert_eq!(body(ask(&api, "/public/x", &[&good]).await).await, "u");
    assert_eq!(body(ask(&api, "/public/x", &[]).await).await, "nobody");
    let refused = ask(&api, "/me", &[&format!("bearer {}", token("masks"))]).await;
    assert_eq!(refused.status(), 403);
    assert!(refused.headers()["www-authenticate"].to_str().expect("text").contains("scope=\"profile\""));
    assert_eq!(refused.headers()["content-type"], "application/json");
    let told: Value = serde_json::from_str(&body(refused).await).expect("JSON");
    assert_eq!(told["error_code"], "insufficient_scope");
    // Nobody reads a token that is remembered once more; what only begins like one is read.
    let [followed, quoted, padded] = [format!("{good} x"), format!("{good}\""), format!("{good}= =")];
    let [too_long, long_and_odd] = ["xx", "x, "].map(|it| format!("Bearer {}", it.repeat(5_000)));
    for (path, headers, status) in [
        ("/me", vec![], 401),
        ("/me", vec![followed.as_str()], 400),
        ("/me", vec![quoted.as_str()], 400),
        ("/me", vec![padded.as_str()], 400),
        ("/me", vec![too_long.as_str()], 401),
        ("/me", vec![long_and_odd.as_str()], 400),
        ("/me", vec![good.as_str(), good.as_str()], 400),
        ("/me", vec!["Bearer"], 400),
        ("/public/x", vec!["Bearer x"], 401),
        ("/public/../me", vec![good.as_str()], 400),
        ("/elsewhere", vec![good.as_str()], 403),
    ] {
        assert_eq!(ask(&api, path, &headers).await.status(), status, "{path} {headers:?}");
    }
    CLOCK.store(NOW + 700, Ordering::Relaxed);
    let expired = ask(&api, "/me", &[&good]).await;
    assert_eq!(expired.status(), 401);
    assert!(expired.headers()["www-authenticate"].to_str().expect("text").contains("invalid_token"));
}

#[tokio::test]
async fn an_outage_is_told_as_one_and_stale_facts_as_stale() {
    static CLOCK: AtomicI64 = AtomicI64::new(NOW);
    let server = MockServer::start().await;
    let mut config = IdpConfig::new(IdpId::new("idp").expect("valid"), "https://idp.example", "idp.example");
    config.server_url = Some(server.uri());
    config.opaque_tokens = OpaqueTokens::Hex64;
    let api = api(config, &CLOCK);
    let says = |answer| Mock::given(path("/v1/verify")).respond_with(answer).mount(&server);
    says(ResponseTemplate::new(200).set_body_json(json!({"user": "u", "scope": ["profile"]}))).await;
    let (known, strange) = (format!("Bearer {}", "a".repeat(64)), format!("Bearer {}", "b".repeat(64)));
    let first = ask(&api, "/me", &[&known]).await;
    assert_eq!((first.status().as_u16(), first.headers().contains_key("token-check")), (200, false));
    server.reset().await;
    says(ResponseTemplate::new(503).insert_header("retry-after", "30")).await;
    CLOCK.store(NOW + 100, Ordering::Relaxed);
    let stale = ask(&api, "/me", &[&known]).await;
    assert_eq!(
        (stale.status().as_u16(), &stale.headers()["token-check"]),
        (200, &"stale".parse().expect("a value"))
    );
    let refused = ask(&api, "/me", &[&strange]).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &30.into()));
    assert!(!refused.headers().contains_key("www-authenticate"));
}
