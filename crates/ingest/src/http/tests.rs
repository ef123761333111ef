#![expect(clippy::needless_pass_by_value, reason = "claims are written in place")]

mod any;
mod push;

use crate::settings::{Settings, Webhook};
use account::{AccountId, IdpId, Mark, Millis, Subject};
use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use idp::{IdpConfig, Idps};
use jose::{Algorithm, SigningKey, to_base64url};
use keys::RootKey;
use ledger::{Ledger, Tombstones};
use serde_json::{Value, json};
use std::time::Duration;
use store::testing::{START, TestStore, sqlite};
use store::{Clock, Store};
use tower::ServiceExt;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

const ISSUER: &str = "https://accounts.firefox.com";
const CLIENT: &str = "5882386c6d801776";
const HOOK: &str = "/1.0/webhooks/fxa/events";
const FXA: &str = "https://schemas.accounts.firefox.com/event";

fn signer(kid: &str) -> SigningKey {
    SigningKey::generate(Algorithm::EdDsa).expect("a key").with_kid(kid)
}

fn idp(extra: impl FnOnce(&mut IdpConfig)) -> Idps {
    let mut config = IdpConfig::new(IdpId::new("fxa").expect("valid"), ISSUER, "api.accounts.firefox.com");
    config.set_audience = Some(CLIENT.to_owned());
    config.unknown_key_refetch = Duration::ZERO;
    extra(&mut config);
    Idps::new(&[config]).expect("an identity provider")
}

fn ledger_in(store: &Store) -> Ledger {
    Ledger::new(store.clone(), Tombstones::new(&RootKey::generate(), Duration::ZERO), vec![])
}

/// A node with its ledger, and an identity provider whose one key it knows.
struct Node {
    _test: TestStore,
    ledger: Ledger,
    routes: Router,
    key: SigningKey,
}

impl Node {
    async fn fresh() -> Self {
        Self::with(&Settings::default()).await
    }

    async fn with(settings: &Settings) -> Self {
        let key = signer("k1");
        let idps = idp(|config| config.primary_jwk = Some(key.jwk().clone()));
        let test = sqlite(&[ledger::MIGRATIONS]).await;
        let ledger = ledger_in(&test.store);
        Self { routes: routes(settings, &ledger, &idps), _test: test, ledger, key }
    }

    async fn mark(&self, subject: &str) -> Option<(i64, Mark)> {
        let account =
            AccountId::new(IdpId::new("fxa").expect("valid"), Subject::new(subject).expect("valid"));
        let standing = self.ledger.standing(&account).await.expect("readable")?;
        Some((standing.version, standing.mark))
    }

    async fn hook(&self, claims: &Value) -> Response {
        hook(&self.routes, &signed(&self.key, claims)).await
    }

    async fn push(&self, claims: &Value) -> Response {
        push(&self.routes, signed(&self.key, claims)).await
    }
}

fn routes(settings: &Settings, ledger: &Ledger, idps: &Idps) -> Router {
    crate::capability(settings, ledger, idps).expect("settings").capability.public.into()
}

fn claims(uri: &str, payload: Value) -> Value {
    json!({
        "aud": CLIENT, "events": {uri: payload}, "iat": 1_789_000_000.417, "jti": "j1", "sub": "u1", "iss": ISSUER
    })
}

fn password_change(at: i64) -> Value {
    claims(&format!("{FXA}/password-change"), json!({ "changeTime": at }))
}

/// As Mozilla accounts signs: without a `typ`.
fn signed(key: &SigningKey, claims: &Value) -> String {
    let header = json!({"alg": key.algorithm().name(), "kid": key.kid()});
    key.sign_compact(header.to_string().as_bytes(), claims.to_string().as_bytes()).expect("signed")
}

async fn hook(routes: &Router, token: &str) -> Response {
    let request = Request::post(HOOK).header(AUTHORIZATION, format!("Bearer {token}"));
    send(routes, request.body(Body::empty()).expect("a request")).await
}

async fn push(routes: &Router, token: impl Into<Body>) -> Response {
    let request = Request::post("/events").header(CONTENT_TYPE, "application/secevent+jwt");
    send(routes, request.body(token.into()).expect("a request")).await
}

async fn send(routes: &Router, request: Request<Body>) -> Response {
    routes.clone().oneshot(request).await.expect("infallible")
}

async fn body(response: Response) -> String {
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8(bytes.into()).expect("text")
}

async fn assert_ok_and_empty(response: Response, status: StatusCode) {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers().get(CONTENT_TYPE), None);
    assert_eq!(body(response).await, "");
}

const AT: i64 = START.get() - 5_000;

#[tokio::test]
async fn a_token_of_mozilla_accounts_is_committed_and_answered_200_and_empty() {
    let node = Node::fresh().await;
    assert_ok_and_empty(node.hook(&password_change(AT)).await, StatusCode::OK).await;
    assert_eq!(node.mark("u1").await, Some((1, Mark::at(Millis::new(AT)))));
}

#[tokio::test]
async fn the_same_event_in_tokens_minted_anew_is_applied_once() {
    let node = Node::fresh().await;
    for jti in ["a", "a", "b"] {
        let mut claims = password_change(AT);
        claims["jti"] = jti.into();
        assert_eq!(node.hook(&claims).await.status(), StatusCode::OK);
        assert_eq!(node.push(&claims).await.status(), StatusCode::ACCEPTED);
    }
    assert_eq!(node.mark("u1").await, Some((1, Mark::at(Millis::new(AT)))));
}

#[tokio::test]
async fn a_token_counts_once_whichever_door_it_comes_by() {
    let node = Node::fresh().await;
    let claims = claims(&format!("{FXA}/profile-change"), json!({"email": "e@x"}));
    assert_eq!(node.hook(&claims).await.status(), StatusCode::OK);
    assert_eq!(node.push(&claims).await.status(), StatusCode::ACCEPTED);
    assert_eq!(node.mark("u1").await.map(|(version, _)| version), Some(1));
    let mut other = claims.clone();
    other["jti"] = "another".into();
    assert_eq!(node.hook(&other).await.status(), StatusCode::OK);
    assert_eq!(
        node.mark("u1").await.map(|(version, _)| version),
        Some(2),
        "profile changes are no duplicates"
    );
}

#[tokio::test]
async fn a_token_that_is_not_authentic_or_not_for_us_is_refused_in_the_shape_of_the_field() {
    let node = Node::fresh().await;
    let with = |name: &str, value: Value| {
        let mut claims = password_change(AT);
        if value.is_null() {
            claims.as_object_mut().expect("an object").remove(name);
        } else {
            claims[name] = value;
        }
        signed(&node.key, &claims)
    };
    let payload = password_change(AT).to_string();
    let typed = |typ: &str| node.key.sign_payload(typ, payload.as_bytes()).expect("signed");
    let hs256 = format!("{}.{}.AA", to_base64url(br#"{"alg":"HS256"}"#), to_base64url(payload.as_bytes()));
    for (what, token) in [
        ("nothing", String::new()),
        ("garbage", "garbage".into()),
        ("another's signature", signed(&signer("k1"), &password_change(AT))),
        ("an unknown key", signed(&signer("k2"), &password_change(AT))),
        ("a symmetric algorithm", hs256),
        ("an access token", typed("at+jwt")),
        ("no audience", with("aud", json!(null))),
        ("another audience", with("aud", json!("x"))),
        ("no issuer", with("iss", json!(null))),
        ("another issuer", with("iss", json!("https://elsewhere.example"))),
        ("no events", with("events", json!(null))),
        ("expired", with("exp", json!(1_788_999_000))),
        ("from the future", with("iat", json!(1_789_000_100))),
    ] {
        let response = hook(&node.routes, &token).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{what}");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json", "{what}");
        assert_eq!(
            body(response).await,
            r#"{"status":"invalid-credentials","errors":[{"location":"body","name":"","description":"Unauthorized"}]}"#,
            "{what}"
        );
    }
    assert_eq!(node.mark("u1").await, None);
    for good in
        [typed("secevent+jwt"), typed("JWT"), with("iat", json!(1_789_000_010)), with("iat", json!(5))]
    {
        assert_eq!(hook(&node.routes, &good).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn without_a_bearer_token_nobody_is_let_in() {
    let node = Node::fresh().await;
    let token = signed(&node.key, &password_change(AT));
    for header in [None, Some("Bearer".to_owned()), Some(format!("Basic {token}")), Some(token.clone())] {
        let mut request = Request::post(HOOK);
        if let Some(header) = &header {
            request = request.header(AUTHORIZATION, header);
        }
        let response = send(&node.routes, request.body(Body::empty()).expect("a request")).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{header:?}");
    }
    for header in [format!("bearer {token}"), format!("BEARER  {token} ")] {
        let request = Request::post(HOOK).header(AUTHORIZATION, header).body(Body::from("ignored"));
        assert_eq!(send(&node.routes, request.expect("a request")).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn strangers_unknown_events_and_events_that_cannot_be_used_are_answered_200() {
    let node = Node::fresh().await;
    for claims in [
        claims(&format!("{FXA}/delete-user"), json!({})),
        claims("https://example.org/event/unheard-of", json!([1])),
        claims(&format!("{FXA}/password-change"), json!({})),
        claims(&format!("{FXA}/password-change"), json!({"changeTime": 1.5})),
        claims(&format!("{FXA}/subscription-state-change"), json!({"isActive": 7})),
    ] {
        assert_ok_and_empty(node.hook(&claims).await, StatusCode::OK).await;
    }
    let mut odd = password_change(AT);
    odd["events"] = json!(["x"]);
    assert_ok_and_empty(node.hook(&odd).await, StatusCode::OK).await;
    odd["events"] = json!({});
    assert_ok_and_empty(node.hook(&odd).await, StatusCode::OK).await;
}

#[tokio::test]
async fn an_event_that_cannot_be_used_is_kept_without_its_token() {
    let node = Node::fresh().await;
    let mut claims = claims(&format!("{FXA}/password-change"), json!({"changeTime": "now"}));
    claims["events"][format!("{FXA}/delete-user")] = json!({});
    assert_eq!(node.hook(&claims).await.status(), StatusCode::OK);
    let letters = node.ledger.dead_letters(0, 10).await.expect("readable");
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].source.as_str(), letters[0].reason.as_str()), ("set", "wrong_type"));
    let kept: Value = serde_json::from_str(&letters[0].body).expect("claims");
    claims["events"].as_object_mut().expect("an object").remove(&format!("{FXA}/delete-user"));
    assert_eq!(kept, claims);
    assert_eq!(node.mark("u1").await.map(|(version, _)| version), Some(1), "the other event counts");
}

#[tokio::test]
async fn the_webhook_takes_post_alone() {
    let node = Node::fresh().await;
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
        let request = Request::builder().method(method.clone()).uri(HOOK).body(Body::empty());
        let response = send(&node.routes, request.expect("a request")).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(response.headers()[ALLOW], "POST", "{method}");
        assert_eq!(
            body(response).await,
            r#"{"status":"error","errors":[{"location":"url","name":"","description":"Method Not Allowed"}]}"#
        );
    }
}

#[test]
fn where_events_are_only_counted_nothing_is_done_about_them() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let node = Node::with(&Settings { webhook: Webhook::MetricsOnly, ..Settings::default() }).await;
            assert_ok_and_empty(node.hook(&password_change(AT)).await, StatusCode::OK).await;
            let mut claims = claims(&format!("{FXA}/delete-user"), json!({}));
            claims["events"][format!("{FXA}/profile-change")] = json!({});
            assert_ok_and_empty(node.hook(&claims).await, StatusCode::OK).await;
            assert_eq!(hook(&node.routes, "garbage").await.status(), StatusCode::UNAUTHORIZED);
            assert_eq!(node.mark("u1").await, None);
        });
    });
    let text = handle.render();
    for line in [
        "webhook_events_received 3",
        r#"webhook_events_processed{event_type="password_change"} 1"#,
        r#"webhook_events_processed{event_type="delete_user"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn what_is_switched_off_is_not_there() {
    let settings = Settings { webhook: Webhook::Off, push: false, ..Settings::default() };
    let node = Node::with(&settings).await;
    assert_eq!(node.hook(&password_change(AT)).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(node.push(&password_change(AT)).await.status(), StatusCode::NOT_FOUND);
    let nobody = idp(|config| {
        config.set_audience = None;
        config.primary_jwk = Some(node.key.jwk().clone());
    });
    let routes = routes(&Settings::default(), &node.ledger, &nobody);
    assert_eq!(hook(&routes, "x").await.status(), StatusCode::NOT_FOUND, "nobody may send tokens");
}

async fn publish(server: &MockServer, keys: &[&SigningKey]) {
    server.reset().await;
    let set: jose::JwkSet = keys.iter().map(|key| key.jwk().clone()).collect();
    let answer = ResponseTemplate::new(200).set_body_json(&set);
    Mock::given(method("GET")).respond_with(answer).mount(server).await;
}

#[tokio::test]
async fn keys_are_chosen_by_their_name_and_a_new_one_is_fetched() {
    let (server, node) = (MockServer::start().await, Node::fresh().await);
    let (old, new) = (signer("old"), signer("new"));
    publish(&server, &[&signer("other"), &old]).await;
    let idps = idp(|config| config.jwks_url = Some(server.uri()));
    let routes = routes(&Settings::default(), &node.ledger, &idps);
    assert_eq!(hook(&routes, &signed(&old, &password_change(AT))).await.status(), StatusCode::OK);
    assert_eq!(hook(&routes, &signed(&new, &password_change(AT))).await.status(), StatusCode::UNAUTHORIZED);
    publish(&server, &[&old, &new]).await;
    let mut claims = password_change(AT + 1);
    claims["jti"] = "j2".into();
    assert_eq!(hook(&routes, &signed(&new, &claims)).await.status(), StatusCode::OK);
    assert_eq!(node.mark("u1").await, Some((2, Mark::at(Millis::new(AT + 1)))));
}

#[tokio::test]
async fn an_identity_provider_that_is_down_is_never_a_refusal() {
    let node = Node::fresh().await;
    let server = MockServer::start().await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(500)).mount(&server).await;
    let idps = idp(|config| config.jwks_url = Some(server.uri()));
    let routes = routes(&Settings::default(), &node.ledger, &idps);
    assert_comes_again(&routes, &signed(&node.key, &password_change(AT))).await;
}

#[tokio::test]
async fn a_store_that_is_down_is_never_a_refusal() {
    let key = signer("k1");
    let nowhere = format!("postgres://postgres@127.0.0.1:{}/none", testkit::free_port());
    let store = Store::open(&store::Settings::at(nowhere), Clock::manual(START)).expect("found out later");
    let idps = idp(|config| config.primary_jwk = Some(key.jwk().clone()));
    let routes = routes(&Settings::default(), &ledger_in(&store), &idps);
    assert_comes_again(&routes, &signed(&key, &password_change(AT))).await;
    assert_eq!(hook(&routes, "garbage").await.status(), StatusCode::UNAUTHORIZED);
}

async fn assert_comes_again(routes: &Router, token: &str) {
    let response = hook(routes, token).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[RETRY_AFTER], "10");
    assert_eq!(
        body(response).await,
        r#"{"status":"internal-error","errors":[{"location":"internal","name":"","description":"Server error"}]}"#
    );
    let response = push(routes, token.to_owned()).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[RETRY_AFTER], "10");
}
