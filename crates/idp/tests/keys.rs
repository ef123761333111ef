//! Keys fetched from an identity provider that rotates them, fails, lies and comes back.

use account::IdpId;
use idp::{Idp, IdpConfig, SignatureError};
use jose::{Algorithm, Compact, JwkSet, SigningKey, Thumbprint};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const NEVER: Duration = Duration::from_hours(1);

fn key(kid: &str) -> SigningKey {
    SigningKey::generate(Algorithm::EdDsa).expect("a key").with_kid(kid)
}

fn set_of(keys: &[&SigningKey]) -> ResponseTemplate {
    let set: JwkSet = keys.iter().map(|key| key.jwk().clone()).collect();
    ResponseTemplate::new(200).set_body_json(set)
}

/// From now on its keys are answered like this.
async fn answers(server: &MockServer, answer: ResponseTemplate) {
    server.reset().await;
    Mock::given(method("GET")).and(path("/v1/jwks")).respond_with(answer).mount(server).await;
}

fn config(server: &MockServer) -> IdpConfig {
    let mut config = IdpConfig::new(IdpId::new("idp").expect("valid"), "https://idp.example", "idp.example");
    config.server_url = Some(server.uri());
    config.unknown_key_refetch = Duration::ZERO;
    config.keys_refresh = NEVER;
    config
}

async fn verified(idp: &Idp, signer: &SigningKey) -> Result<Thumbprint, SignatureError> {
    let token = signer.sign_payload("JWT", b"{}").expect("signed");
    let token = Compact::split(&token).expect("compact");
    idp.verify_signature(&token, &token.header().expect("a header")).await
}

async fn fetches(server: &MockServer) -> usize {
    server.received_requests().await.expect("recorded").len()
}

fn thumbprint(key: &SigningKey) -> Thumbprint {
    *key.jwk().public_key().thumbprint()
}

#[tokio::test]
async fn the_first_token_fetches_the_keys_and_the_next_ones_do_not() {
    let (server, a) = (MockServer::start().await, key("a"));
    answers(&server, set_of(&[&a])).await;
    let idp = Idp::new(&config(&server)).expect("valid");
    for _ in 0..3 {
        assert_eq!(verified(&idp, &a).await, Ok(thumbprint(&a)));
    }
    assert_eq!(fetches(&server).await, 1);
}

#[tokio::test]
async fn many_tokens_of_a_new_key_fetch_the_keys_once() {
    let (server, a, b) = (MockServer::start().await, key("a"), key("b"));
    answers(&server, set_of(&[&a])).await;
    let idp = Arc::new(Idp::new(&config(&server)).expect("valid"));
    assert_eq!(verified(&idp, &a).await, Ok(thumbprint(&a)));

    answers(&server, set_of(&[&b, &a]).set_delay(Duration::from_millis(50))).await;
    let all = (0..64).map(|i| {
        let (idp, b, a) = (&idp, &b, &a);
        async move {
            if i % 2 == 0 {
                verified(idp, b).await == Ok(thumbprint(b))
            } else {
                verified(idp, a).await == Ok(thumbprint(a))
            }
        }
    });
    assert!(futures::future::join_all(all).await.into_iter().all(|accepted| accepted));
    assert_eq!(fetches(&server).await, 1);
}

#[tokio::test]
async fn a_fetch_that_its_first_waiter_gave_up_is_finished_by_the_others() {
    let (server, a) = (MockServer::start().await, key("a"));
    answers(&server, set_of(&[&a]).set_delay(Duration::from_millis(100))).await;
    let idp = Idp::new(&IdpConfig { unknown_key_refetch: NEVER, ..config(&server) }).expect("valid");
    let impatient = tokio::time::timeout(Duration::from_millis(20), verified(&idp, &a)).await;
    assert!(impatient.is_err(), "gave up");
    assert_eq!(verified(&idp, &a).await, Ok(thumbprint(&a)));
    assert_eq!(fetches(&server).await, 1);
}

#[tokio::test]
async fn unknown_keys_cause_no_second_fetch_before_the_floor() {
    let (server, a) = (MockServer::start().await, key("a"));
    answers(&server, set_of(&[&a])).await;
    let idp = Idp::new(&IdpConfig { unknown_key_refetch: NEVER, ..config(&server) }).expect("valid");
    for i in 0..10 {
        assert_eq!(verified(&idp, &key(&format!("unknown {i}"))).await, Err(SignatureError::UnknownKey));
    }
    assert_eq!(fetches(&server).await, 1);
}

#[tokio::test]
async fn a_withdrawn_key_is_honoured_no_longer() {
    let (server, a, b) = (MockServer::start().await, key("a"), key("b"));
    answers(&server, set_of(&[&a])).await;
    let idp = Idp::new(&config(&server)).expect("valid");
    assert_eq!(verified(&idp, &a).await, Ok(thumbprint(&a)));
    answers(&server, set_of(&[&b])).await;
    assert_eq!(verified(&idp, &b).await, Ok(thumbprint(&b)));
    assert_eq!(verified(&idp, &a).await, Err(SignatureError::UnknownKey));
    assert!(!idp.keys().holds(&thumbprint(&a)));
}

#[tokio::test]
async fn the_last_good_keys_outlive_every_kind_of_failure() {
    let (server, a) = (MockServer::start().await, key("a"));
    answers(&server, set_of(&[&a])).await;
    let idp = Idp::new(&IdpConfig { request_timeout: Duration::from_millis(200), ..config(&server) })
        .expect("valid");
    assert_eq!(verified(&idp, &a).await, Ok(thumbprint(&a)));
    let failures = [
        ResponseTemplate::new(500),
        ResponseTemplate::new(404),
        ResponseTemplate::new(302).insert_header("location", "/elsewhere"),
        ResponseTemplate::new(200).set_body_string("<html>"),
        ResponseTemplate::new(200).set_body_json(serde_json::json!({"keys": 7})),
        ResponseTemplate::new(200).set_body_json(serde_json::json!({"keys": []})),
        ResponseTemplate::new(200).set_body_json(serde_json::json!({"keys": [{"fake": "RSA key"}]})),
        ResponseTemplate::new(200).set_body_bytes(vec![b' '; jose::MAX_SET + 1]),
        set_of(&[&a]).set_delay(Duration::from_secs(30)),
    ];
    for (i, failure) in failures.into_iter().enumerate() {
        answers(&server, failure).await;
        let unknown = verified(&idp, &key("unknown")).await;
        assert!(matches!(unknown, Err(SignatureError::Unavailable { .. })), "failure {i}: {unknown:?}");
        assert_eq!(verified(&idp, &a).await, Ok(thumbprint(&a)), "failure {i}");
    }
    drop(server);
    assert_eq!(verified(&idp, &a).await, Ok(thumbprint(&a)));
}

#[tokio::test]
async fn without_any_key_an_outage_is_no_refusal() {
    let server = MockServer::start().await;
    answers(&server, ResponseTemplate::new(503).insert_header("retry-after", "7")).await;
    let idp = Idp::new(&config(&server)).expect("valid");
    let retry_after = Duration::from_secs(7);
    assert_eq!(verified(&idp, &key("a")).await, Err(SignatureError::NoKeys { retry_after }));
}

#[tokio::test]
async fn it_stays_away_as_long_as_it_is_told_to() {
    let (server, a) = (MockServer::start().await, key("a"));
    answers(&server, ResponseTemplate::new(429).insert_header("retry-after", "60")).await;
    let idp = Idp::new(&config(&server)).expect("valid");
    for _ in 0..3 {
        assert!(matches!(verified(&idp, &a).await, Err(SignatureError::NoKeys { .. })));
    }
    assert_eq!(fetches(&server).await, 1);
}

#[tokio::test]
async fn configured_keys_need_no_network() {
    let (server, a) = (MockServer::start().await, key("a"));
    let only_configured =
        IdpConfig { primary_jwk: Some(a.jwk().clone()), fetch_keys: false, ..config(&server) };
    let idp = Idp::new(&only_configured).expect("valid");
    assert_eq!(verified(&idp, &a).await, Ok(thumbprint(&a)));
    assert_eq!(verified(&idp, &key("b")).await, Err(SignatureError::UnknownKey));
    assert_eq!(fetches(&server).await, 0);
}

#[tokio::test]
async fn configured_keys_stay_when_fetched_ones_come_and_go() {
    let (server, a, b) = (MockServer::start().await, key("a"), key("b"));
    answers(&server, set_of(&[&b])).await;
    let config = IdpConfig { secondary_jwk: Some(a.jwk().clone()), ..config(&server) };
    let idp = Idp::new(&config).expect("valid");
    assert_eq!(verified(&idp, &b).await, Ok(thumbprint(&b)));
    assert_eq!(verified(&idp, &a).await, Ok(thumbprint(&a)));
}

#[tokio::test]
async fn the_background_fetches_at_once_and_stops_when_told() {
    let (server, a) = (MockServer::start().await, key("a"));
    answers(&server, set_of(&[&a])).await;
    let idp = Arc::new(Idp::new(&config(&server)).expect("valid"));
    let stop = CancellationToken::new();
    let background = Arc::clone(&idp).keep_fresh(stop.clone());
    let stopper = async {
        while idp.keys().keys().is_empty() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    tokio::join!(background, stopper);
    assert!(idp.keys().holds(&thumbprint(&a)));
}

#[tokio::test]
async fn the_background_follows_a_rotation_and_survives_an_outage() {
    let (server, a, b) = (MockServer::start().await, key("a"), key("b"));
    answers(&server, set_of(&[&a])).await;
    let config = IdpConfig { keys_refresh: Duration::from_millis(1), ..config(&server) };
    let idp = Arc::new(Idp::new(&config).expect("valid"));
    let stop = CancellationToken::new();
    let background = Arc::clone(&idp).keep_fresh(stop.clone());
    let holds = async |key: &SigningKey| {
        while !idp.keys().holds(&thumbprint(key)) {
            tokio::task::yield_now().await;
        }
    };
    let story = async {
        holds(&a).await;
        answers(&server, ResponseTemplate::new(500)).await;
        while fetches(&server).await < 3 {
            tokio::task::yield_now().await;
        }
        holds(&a).await;
        answers(&server, set_of(&[&b])).await;
        holds(&b).await;
        assert!(!idp.keys().holds(&thumbprint(&a)));
        stop.cancel();
    };
    tokio::join!(background, story);
}
