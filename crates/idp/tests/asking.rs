//! Asking an identity provider what a token means, in its good and its bad hours.

use account::{IdpId, Subject};
use idp::{AskError, Idp, IdpConfig, OpaqueTokens, Told};
use proptest::prelude::*;
use serde_json::json;
use std::time::Duration;
use wiremock::matchers::{any, body_json, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

fn idp(server_url: &str) -> Idp {
    let mut config = IdpConfig::new(IdpId::new("idp").expect("valid"), "https://idp.example", "idp.example");
    config.server_url = Some(server_url.to_owned());
    config.request_timeout = Duration::from_secs(5);
    Idp::new(&config).expect("valid")
}

async fn told(answer: ResponseTemplate) -> Result<Told, AskError> {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    idp(&server.uri()).ask("token").await
}

fn json_answer(body: &serde_json::Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

#[tokio::test]
async fn what_it_says_of_a_good_token_is_read_whole() {
    let server = MockServer::start().await;
    let body = json!({
        "user": "u", "scope": ["profile", "https://identity.mozilla.com/apps/oldsync"], "client_id": "c",
        "generation": 1_700_000_000_000_i64, "profile_changed_at": 5, "unheard_of": {}
    });
    Mock::given(method("POST"))
        .and(path("/v1/verify"))
        .and(body_json(json!({"token": "a token, with \"spaces\""})))
        .respond_with(json_answer(&body))
        .mount(&server)
        .await;
    let told = idp(&server.uri()).ask("a token, with \"spaces\"").await.expect("told");
    assert_eq!(told.user, Subject::new("u").expect("valid"));
    assert_eq!(told.scope, ["profile", "https://identity.mozilla.com/apps/oldsync"]);
    assert_eq!(
        (told.client_id.as_deref(), told.generation, told.profile_changed_at),
        (Some("c"), Some(1_700_000_000_000), Some(5))
    );

    let least =
        self::told(json_answer(&json!({"user": "u", "scope": [], "generation": null}))).await.expect("told");
    assert_eq!((least.client_id, least.generation), (None, None));
}

#[tokio::test]
async fn a_4xx_is_a_refusal_and_everything_else_is_trouble() {
    for status in [400, 401, 403, 404, 422] {
        assert_eq!(told(ResponseTemplate::new(status)).await, Err(AskError::Refused), "{status}");
    }
    for status in [204, 302, 408, 429, 500, 502, 503] {
        let answer = told(ResponseTemplate::new(status)).await;
        assert!(matches!(answer, Err(AskError::Unavailable { .. })), "{status}: {answer:?}");
    }
}

#[tokio::test]
async fn an_answer_of_the_wrong_shape_is_trouble_and_no_refusal() {
    let bodies = [
        json!({"user": 5, "scope": []}),
        json!({"user": "", "scope": []}),
        json!({"user": "u", "scope": "profile"}),
        json!({"user": "u", "scope": [1]}),
        json!({"user": "u"}),
        json!({"scope": []}),
        json!({"user": "u", "scope": [], "generation": 1.5}),
        json!({"user": "u", "scope": [], "generation": "1"}),
        json!(["u", []]),
        json!(null),
    ];
    for body in bodies {
        let answer = told(json_answer(&body)).await;
        assert!(matches!(answer, Err(AskError::Unavailable { .. })), "{body}: {answer:?}");
    }
    let html = told(ResponseTemplate::new(200).set_body_string("<html>")).await;
    assert!(matches!(html, Err(AskError::Unavailable { .. })));
    let endless = told(ResponseTemplate::new(200).set_body_bytes(vec![b' '; 65 * 1024])).await;
    assert!(matches!(endless, Err(AskError::Unavailable { .. })));
}

#[tokio::test]
async fn it_says_when_to_ask_again() {
    let answer = told(ResponseTemplate::new(429).insert_header("retry-after", "30")).await;
    assert_eq!(answer, Err(AskError::Unavailable { retry_after: Duration::from_secs(30) }));
}

#[tokio::test]
async fn silence_and_absence_are_trouble() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_delay(Duration::from_mins(1)))
        .mount(&server)
        .await;
    let mut config = IdpConfig::new(IdpId::new("idp").expect("valid"), "https://idp.example", "idp.example");
    config.server_url = Some(server.uri());
    config.request_timeout = Duration::from_millis(100);
    let silent = Idp::new(&config).expect("valid").ask("token").await;
    assert!(matches!(silent, Err(AskError::TimedOut { .. })), "{silent:?}");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let absent = idp(&format!("http://{address}")).ask("token").await;
    assert!(matches!(absent, Err(AskError::Unavailable { .. })), "{absent:?}");
}

#[tokio::test]
async fn no_more_questions_are_on_their_way_than_allowed() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_delay(Duration::from_mins(1)))
        .mount(&server)
        .await;
    let mut config = IdpConfig::new(IdpId::new("idp").expect("valid"), "https://idp.example", "idp.example");
    config.server_url = Some(server.uri());
    config.max_in_flight = 2;
    let idp = Idp::new(&config).expect("valid");
    let asked = async || server.received_requests().await.expect("recorded").len();
    let watched = async {
        while asked().await < 2 {
            tokio::task::yield_now().await;
        }
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        asked().await
    };
    tokio::select! {
        answers = futures::future::join_all((0..10).map(|_| idp.ask("token"))) => panic!("none was to answer: {answers:?}"),
        asked = watched => assert_eq!(asked, 2),
    }
}

#[tokio::test]
async fn one_that_cannot_be_asked_takes_no_opaque_tokens() {
    let mut config = IdpConfig::new(IdpId::new("idp").expect("valid"), "https://idp.example", "idp.example");
    config.jwks_url = Some("http://127.0.0.1:9/jwks".to_owned());
    let idp = Idp::new(&config).expect("valid");
    assert_eq!((idp.opaque_tokens(), idp.can_be_asked()), (OpaqueTokens::Refuse, false));
    assert_eq!(idp.ask("token").await, Err(AskError::Refused));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_answer_makes_the_reader_panic_and_none_but_a_4xx_is_a_refusal(
        status in 200_u16..600, body in prop_oneof!["\\PC*", r#"\{"(user|scope)":("u"|\["s"\]|1)(,"(user|scope)":("u"|\["s"\]|1))?\}"#]
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let answer = runtime.block_on(told(ResponseTemplate::new(status).set_body_string(body)));
        let is_no = (400..500).contains(&status) && ![408, 429].contains(&status);
        prop_assert_eq!(answer == Err(AskError::Refused), is_no);
        prop_assert!(status == 200 || answer.is_err());
    }
}
