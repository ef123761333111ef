//! Whole checks of requests: the header, the token, the record, the policy.

use account::{AccountId, IdpId, Mark, Millis, State};
use futures::future::{BoxFuture, FutureExt, join_all};
use idp::{IdpConfig, Idps, OpaqueTokens};
use jose::{Algorithm, SigningKey};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use verify::{
    Asking, Gate, How, NewVersion, NoRecords, Options, Pass, Policy, PolicyConfig, Record, Records,
    Rejection, Request, Settings, Verifier,
};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

const NOW: i64 = 1_700_000_000;
static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::generate(Algorithm::EdDsa).expect("a key").with_kid("a"));

#[derive(Default)]
struct Shelf(Mutex<Record>);

impl Records for Shelf {
    fn record<'a>(&'a self, _: &'a AccountId) -> BoxFuture<'a, Result<Record, NoRecords>> {
        let record = *self.0.lock();
        async move { Ok(record) }.boxed()
    }
}

/// A gate in front of an API, an identity provider that introspects, and the house's records.
struct House {
    server: MockServer,
    shelf: Arc<Shelf>,
    gate: Gate,
}

impl House {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut IdpConfig)) -> Self {
        let (server, shelf) = (MockServer::start().await, Arc::new(Shelf::default()));
        let mut config =
            IdpConfig::new(IdpId::new("idp").expect("valid"), "https://idp.example", "idp.example");
        config.server_url = Some(server.uri());
        config.fetch_keys = false;
        config.opaque_tokens = OpaqueTokens::Hex64;
        change(&mut config);
        config.primary_jwk = Some(KEY.jwk().clone());
        let records: Arc<dyn Records> = Arc::clone(&shelf) as _;
        let options =
            Options { records: Some(records), asking: Asking::Introspect, derived_bytes: 0, shared: None };
        let verifier = Verifier::with(Idps::new(&[config]).expect("valid"), &Settings::default(), options);
        let policy: PolicyConfig = serde_json::from_value(json!({
            "realm": "masks",
            "routes": [
                {"path": "/masks/{*rest}", "methods": ["GET"], "scopes": ["masks"], "stale_if_error_seconds": 600},
                {"path": "/masks/{*rest}", "methods": ["POST"], "scopes": ["masks:write"], "max_age_seconds": 0},
                {"path": "/vault", "acr_values": ["AAL2"], "authentication_max_age_seconds": 300},
                {"path": "/health", "anonymous": true},
            ]
        }))
        .expect("well-formed");
        Self { server, shelf, gate: Gate::new(verifier, Policy::new(&policy).expect("valid")) }
    }

    async fn answers(&self, answer: ResponseTemplate) {
        self.server.reset().await;
        Mock::given(path("/v1/introspect")).respond_with(answer).mount(&self.server).await;
    }

    async fn says(&self, changes: &Value) {
        self.answers(ResponseTemplate::new(200).set_body_json(introspection(changes))).await;
    }

    /// Something happened to the account, and everybody knows.
    fn becomes(&self, version: i64, mark: Millis, state: State) {
        *self.shelf.0.lock() = Record { version, mark: Mark::at(mark), state };
        let account =
            AccountId::new(IdpId::new("idp").expect("valid"), account::Subject::new(SUBJECT).expect("valid"));
        self.gate.verifier().account_changed_by(&account, version, NewVersion { version, at: mark });
        self.gate.verifier().feed_read(version, mark);
    }

    async fn admit(&self, method: &str, path: &str, header: &str, now: Millis) -> Result<Pass, Rejection> {
        let authorization: &[&[u8]] = if header.is_empty() { &[] } else { &[header.as_bytes()] };
        self.gate.admit(Request { method, path, authorization }, now).await
    }

    async fn get(&self, header: &str, now: Millis) -> Result<Pass, Rejection> {
        self.admit("GET", "/masks/7", header, now).await
    }

    async fn questions(&self) -> usize {
        self.server.received_requests().await.expect("recorded").len()
    }
}

const SUBJECT: &str = "0123456789abcdef0123456789abcdef";

fn introspection(changes: &Value) -> Value {
    let mut body = json!({
        "active": true, "scope": "masks", "client_id": "5882386c6d801776", "token_type": "access_token",
        "iat": (NOW - 100) * 1000, "exp": (NOW + 3_600) * 1000, "sub": SUBJECT, "jti": jti(),
        "acr": "AAL1", "auth_time": NOW - 100
    });
    body.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
    body
}

/// Mozilla accounts name an opaque token by the digest of its bytes.
fn jti() -> String {
    // SHA-256 of 32 bytes of 0xaa.
    "e0e77a507412b120f6ede61f62295b1a7b2ff19d3dcc8f7253e51663470c888e".to_owned()
}

fn opaque() -> String {
    format!("Bearer {}", "aa".repeat(32))
}

fn signed(claims: &Value) -> String {
    let mut all = json!({"iss": "https://idp.example", "sub": SUBJECT, "scope": "masks", "exp": NOW + 3_600, "iat": NOW - 100});
    all.as_object_mut().expect("an object").extend(claims.as_object().expect("an object").clone());
    format!("Bearer {}", KEY.sign_claims("at+jwt", &all).expect("signed"))
}

fn at(seconds: i64) -> Millis {
    Millis::from_seconds(NOW + seconds)
}

fn how(pass: Result<Pass, Rejection>) -> Result<How, Rejection> {
    pass.map(|pass| pass.answer.expect("a token").how)
}

#[tokio::test]
async fn a_request_is_let_through_by_its_route_its_token_and_its_scopes() {
    let house = House::new().await;
    house.says(&json!({})).await;
    assert_eq!(how(house.get(&opaque(), at(0)).await), Ok(How::Learned));
    assert_eq!(how(house.get(&opaque(), at(1)).await), Ok(How::Remembered));
    let refused = house.admit("POST", "/masks/7", &opaque(), at(1)).await.expect_err("no scope");
    assert!(matches!(&refused, Rejection::InsufficientScope { required } if required.grants("masks:write")));
    let refused = house.admit("PATCH", "/masks/7", &opaque(), at(1)).await.expect_err("no scope");
    assert_eq!(
        refused.challenge(house.gate.policy().realm()).as_deref(),
        Some(
            "Bearer realm=\"masks\", error=\"insufficient_scope\", error_description=\"The access token does not grant what \
             is needed: masks masks:write\", scope=\"masks masks:write\""
        )
    );
    assert_eq!(house.admit("GET", "/else", &opaque(), at(1)).await, Err(Rejection::NotServed));
    assert_eq!(house.admit("GET", "/masks/../vault", &opaque(), at(1)).await, Err(Rejection::AmbiguousPath));
    assert_eq!(house.get("", at(1)).await, Err(Rejection::NoCredentials));
    assert_eq!(house.get("Basic YTpi", at(1)).await, Err(Rejection::NoCredentials));
    assert_eq!(house.get("Bearer", at(1)).await.expect_err("no token").status(), 400);
    assert_eq!(house.get("Bearer garbage", at(1)).await.expect_err("garbage").status(), 401);
}

#[tokio::test]
async fn anonymous_requests_pass_where_they_may_and_a_bad_token_passes_nowhere() {
    let house = House::new().await;
    house.answers(ResponseTemplate::new(200).set_body_json(json!({"active": false}))).await;
    let pass = house.admit("GET", "/health", "", at(0)).await.expect("anonymous");
    assert_eq!((pass.answer, pass.rule.template()), (None, "/health"));
    assert_eq!(
        house.admit("GET", "/health", &opaque(), at(0)).await.expect_err("inactive").error_code(),
        "token_inactive"
    );
    assert_eq!(house.admit("BREW", "/health", "", at(0)).await, Err(Rejection::NoCredentials));
}

#[tokio::test]
async fn a_sign_in_must_be_sure_and_recent_enough_at_the_time_of_the_request() {
    let house = House::new().await;
    house.says(&json!({})).await;
    let vault = async |now| house.admit("GET", "/vault", &opaque(), now).await;
    let refused = vault(at(0)).await.expect_err("not sure enough");
    assert_eq!((refused.status(), refused.error()), (401, Some("insufficient_user_authentication")));
    house.says(&json!({"acr": "AAL2"})).await;
    assert_eq!(how(vault(at(60)).await), Ok(How::Learned));
    assert_eq!(how(vault(at(61)).await), Ok(How::Remembered));
    house.says(&json!({"acr": "AAL2", "auth_time": NOW - 300})).await;
    assert_eq!(
        how(vault(at(121)).await).expect_err("too long ago").error_code(),
        "insufficient_authentication"
    );
}

#[tokio::test]
async fn an_outage_is_503_and_stale_where_the_route_allows_it() {
    let house = House::new().await;
    house.says(&json!({"scope": "masks masks:write"})).await;
    assert_eq!(how(house.get(&opaque(), at(0)).await), Ok(How::Learned));
    house.answers(ResponseTemplate::new(503).insert_header("retry-after", "7")).await;
    assert_eq!(how(house.get(&opaque(), at(100)).await), Ok(How::Stale));
    let refused = house.admit("POST", "/masks/7", &opaque(), at(100)).await.expect_err("trouble");
    assert_eq!(refused.status(), 503);
    assert!(refused.retry_after().is_some_and(|seconds| seconds >= 1));
    assert_eq!(refused.challenge("masks"), None, "an outage never looks like bad credentials");
}

#[tokio::test]
async fn a_disabled_or_deleted_account_is_refused_at_once() {
    let house = House::new().await;
    house.says(&json!({})).await;
    assert!(house.get(&opaque(), at(0)).await.is_ok());
    house.becomes(1, Millis::ZERO, State::Disabled);
    assert_eq!(house.get(&opaque(), at(0)).await, Err(Rejection::AccountDisabled));
    house.becomes(2, Millis::ZERO, State::Active);
    assert!(house.get(&opaque(), at(0)).await.is_ok());
    house.becomes(3, at(0), State::Deleted);
    assert_eq!(house.get(&opaque(), at(0)).await, Err(Rejection::AccountDeleted));
}

#[tokio::test]
async fn a_signed_token_ends_with_the_change_after_it_unless_the_identity_provider_stands_by_it() {
    let house = House::new().await;
    let (old, new) = (signed(&json!({})), signed(&json!({"iat": NOW + 10})));
    assert!(house.get(&old, at(0)).await.is_ok());
    house.becomes(1, at(5), State::Active);
    house.answers(ResponseTemplate::new(200).set_body_json(json!({"active": false}))).await;
    assert_eq!(house.get(&old, at(6)).await, Err(Rejection::TokenEnded));
    assert_eq!(house.questions().await, 1);
    assert!(house.get(&new, at(11)).await.is_ok());
    assert_eq!(house.questions().await, 1, "born after it");
    house.says(&json!({"jti": null})).await;
    assert_eq!(how(house.get(&old, at(12)).await), Ok(How::Learned));
}

#[tokio::test]
async fn a_change_ahead_of_our_clock_refuses_nothing_that_is_vouched_for_after_it() {
    let house = House::new().await;
    house.becomes(1, at(3), State::Active);
    house.says(&json!({})).await;
    assert_eq!(how(house.get(&opaque(), at(0)).await), Ok(How::Learned));
    house.answers(ResponseTemplate::new(200).set_body_json(json!({"active": false}))).await;
    assert_eq!(house.get(&opaque(), at(1)).await, Err(Rejection::TokenEnded), "and asks until it is past");
}

#[tokio::test]
async fn a_token_of_the_second_of_the_change_is_asked_about_once_for_all() {
    let house = House::new().await;
    let token = signed(&json!({}));
    house.becomes(1, at(-100).plus(Duration::from_millis(500)), State::Active);
    house
        .answers(
            ResponseTemplate::new(200)
                .set_body_json(introspection(&json!({"jti": null})))
                .set_delay(Duration::from_millis(50)),
        )
        .await;
    let all = join_all((0..100).map(|_| house.get(&token, at(0)))).await;
    assert!(all.iter().all(Result::is_ok), "{:?}", all.iter().find(|it| it.is_err()));
    assert_eq!(house.questions().await, 1);
    assert_eq!(how(house.get(&token, at(1)).await), Ok(How::Remembered));
    house.becomes(2, at(-100).plus(Duration::from_millis(501)), State::Active);
    house.answers(ResponseTemplate::new(200).set_body_json(json!({"active": false}))).await;
    assert_eq!(house.get(&token, at(2)).await, Err(Rejection::TokenEnded));
}

#[tokio::test]
async fn an_older_token_the_identity_provider_stands_by_lives_on_unless_changes_end_all() {
    let house = House::new().await;
    house.says(&json!({})).await;
    assert!(house.get(&opaque(), at(0)).await.is_ok());
    house.becomes(1, at(1), State::Active);
    assert_eq!(how(house.get(&opaque(), at(2)).await), Ok(How::Learned), "asked after the change");
    assert_eq!(how(house.get(&opaque(), at(3)).await), Ok(How::Remembered));
    let config: PolicyConfig = serde_json::from_value(
        json!({"routes": [{"path": "/masks/{*rest}"}], "after_change": {"idp": "reject"}}),
    )
    .expect("well-formed");
    let strict = Gate::new(house.gate.verifier().clone(), Policy::new(&config).expect("valid"));
    let token = opaque();
    let request = Request { method: "GET", path: "/masks/7", authorization: &[token.as_bytes()] };
    assert_eq!(strict.admit(request, at(3)).await, Err(Rejection::TokenEnded));
}

#[tokio::test]
async fn a_flood_of_tokens_nobody_knows_leaves_the_known_ones_their_questions() {
    let house = House::with(|config| {
        config.introspection.requests_per_minute = Some(8);
        config.introspection.burst = 8;
    })
    .await;
    let write = json!({"scope": "masks masks:write"});
    house.says(&write).await;
    let change = async || house.admit("POST", "/masks/7", &opaque(), at(0)).await;
    assert_eq!(how(change().await), Ok(How::Learned));
    house.answers(ResponseTemplate::new(200).set_body_json(json!({"active": false}))).await;
    let mut turned_away = 0;
    for number in 0..50 {
        let refused = house.get(&format!("Bearer {number:064x}"), at(0)).await.expect_err("never good");
        turned_away += usize::from(refused.status() == 503);
    }
    assert!(turned_away > 40 && house.questions().await < 10, "{turned_away} were turned away");
    house.says(&write).await;
    assert_eq!(how(change().await), Ok(How::Learned), "asked now, and there was a question left for it");
}

#[tokio::test]
async fn the_first_refusal_for_a_change_is_timed_and_no_other() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let house = House::new().await;
    house.says(&json!({})).await;
    house.get(&opaque(), at(0)).await.expect("good");
    house.becomes(1, at(5), State::Active);
    house.answers(ResponseTemplate::new(200).set_body_json(json!({"active": false}))).await;
    for seconds in [7, 8, 60] {
        house.get(&opaque(), at(seconds)).await.expect_err("the identity provider says no");
    }
    let fresh = signed(&json!({ "iat": NOW + 6 }));
    house.get(&fresh, at(69)).await.expect("good");
    house.becomes(2, at(70), State::Disabled);
    for seconds in [73, 80] {
        assert_eq!(house.get(&fresh, at(seconds)).await, Err(Rejection::AccountDisabled));
    }
    let text = handle.render();
    assert!(text.contains("verify_first_refusal_sum 5\n"), "{text}");
    assert!(text.contains("verify_first_refusal_count 2\n"), "{text}");
}
