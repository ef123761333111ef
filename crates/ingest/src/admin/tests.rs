use crate::settings::Settings;
use crate::sources::sqs::SqsSettings;
use account::IdpId;
use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use idp::{IdpConfig, Idps};
use keys::RootKey;
use ledger::{DeadLetter, Ledger, SourceId, Tombstones};
use serde_json::{Value, json};
use std::time::Duration;
use store::testing::{START, TestStore, sqlite};
use store::{Clock, Store};
use tower::ServiceExt;

fn id(name: &str) -> IdpId {
    IdpId::new(name).expect("valid")
}

fn idps() -> Idps {
    let config = |name: &str| {
        let issuer = format!("https://{name}.example");
        let mut config = IdpConfig::new(id(name), &issuer, &format!("{name}.example"));
        config.server_url = Some(issuer);
        config.set_audience = Some("us".to_owned());
        config
    };
    Idps::new(&[config("one"), config("two")]).expect("identity providers")
}

fn ledger_in(store: &Store) -> Ledger {
    Ledger::new(store.clone(), Tombstones::new(&RootKey::generate(), Duration::ZERO), vec![])
}

fn queue(also: &[&str]) -> SqsSettings {
    let queue = json!({"name": "queue", "queue_name": "events", "idp": "one", "also_idps": also});
    serde_json::from_value(queue).expect("settings")
}

fn routes(ledger: &Ledger, also: &[&str]) -> Router {
    let settings = Settings { sqs: vec![queue(also)], ..Settings::default() };
    crate::capability(&settings, ledger, &idps()).expect("settings").capability.admin.into()
}

async fn desk() -> (TestStore, Ledger, Router) {
    let test = sqlite(&[ledger::MIGRATIONS]).await;
    let ledger = ledger_in(&test.store);
    let routes = routes(&ledger, &[]);
    (test, ledger, routes)
}

async fn send(routes: &Router, method: Method, uri: &str, body: impl Into<Body>) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(uri).body(body.into()).expect("a request");
    let response: Response = routes.clone().oneshot(request).await.expect("infallible");
    let status = response.status();
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

/// As if a later version could read what this one cannot.
async fn mend_letters(store: &Store, body: &[u8]) {
    store::statements! {
        static MEND = both("update dead_letters set body = $1");
    }
    struct Mend(Vec<u8>);
    impl store::Operation for Mend {
        const NAME: &'static str = "test.mend";
        type Output = u64;
        async fn run(&self, tx: &mut store::Tx<'_>) -> Result<u64, store::StoreError> {
            tx.execute(&MEND, &[self.0.as_slice().into()]).await
        }
    }
    assert_eq!(store.run(Mend(body.to_vec())).await.expect("written"), 1);
}

async fn version(ledger: &Ledger, idp: &str, subject: &str) -> Option<i64> {
    let account = account::AccountId::new(id(idp), account::Subject::new(subject).expect("valid"));
    Some(ledger.standing(&account).await.expect("readable")?.version)
}

#[tokio::test]
async fn a_file_is_taken_in_by_parts_and_once() {
    let (_test, ledger, routes) = desk().await;
    let parts =
        ["{\"event\":\"delete\",\"uid\":\"a\"}\nhello\n", "{\"event\":\"delete\",\"uid\":\"b@two.example\"}"];
    for (known, news) in [(0, 1), (1, 0)] {
        let first = send(&routes, Method::POST, "/events?origin=f", parts[0]).await;
        let expected = json!({"events": 1, "news": news, "known": known, "junk": 1, "bytes": parts[0].len()});
        assert_eq!(first, (StatusCode::OK, expected));
        let rest = format!("/events?origin=f&offset={}&idp=one", parts[0].len());
        assert_eq!(send(&routes, Method::POST, &rest, parts[1]).await.1["news"], news);
    }
    assert_eq!(version(&ledger, "one", "a").await, Some(1));
    assert_eq!(version(&ledger, "two", "b").await, Some(1), "a file may speak for everybody");
    let letters = ledger.dead_letters(0, 10).await.expect("readable");
    assert_eq!((letters.len(), letters[0].message_id.as_str()), (1, "f:29"));
}

#[tokio::test]
async fn a_files_events_are_about_the_identity_provider_that_is_named() {
    let (_test, ledger, routes) = desk().await;
    let body = "{\"event\":\"delete\",\"uid\":\"a\"}";
    assert_eq!(send(&routes, Method::POST, "/events?origin=f&idp=two", body).await.0, StatusCode::OK);
    assert_eq!(version(&ledger, "two", "a").await, Some(1));
    let (status, problem) = send(&routes, Method::POST, "/events?origin=f&idp=three", body).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(problem["detail"], "no identity provider has the id \"three\"");
    assert_eq!(send(&routes, Method::POST, "/events", body).await.0, StatusCode::BAD_REQUEST, "no origin");
}

#[tokio::test]
async fn a_file_that_was_read_for_the_wrong_identity_provider_can_be_read_for_the_right_one() {
    let (_test, ledger, routes) = desk().await;
    let body = "{\"event\":\"delete\",\"uid\":\"a\"}";
    for idp in ["one", "two"] {
        let taken = send(&routes, Method::POST, &format!("/events?origin=f&idp={idp}"), body).await;
        assert_eq!(taken.1["news"], 1, "{idp}");
    }
    assert_eq!(version(&ledger, "two", "a").await, Some(1));
}

#[tokio::test]
async fn a_dead_letter_of_a_file_is_tried_again_for_the_identity_provider_of_that_file() {
    let (test, ledger, routes) = desk().await;
    let body = "{\"event\":\"delete\",\"uid\":\"a\"";
    send(&routes, Method::POST, "/events?origin=f&idp=two", body).await;
    mend_letters(&test.store, br#"{"event":"delete","uid":"a"}"#).await;
    let retried = send(&routes, Method::POST, "/dead-letters/1/retry", Body::empty()).await;
    assert_eq!(retried, (StatusCode::OK, json!({"accepted": true, "news": true})));
    assert_eq!(version(&ledger, "one", "a").await, None);
    assert_eq!(version(&ledger, "two", "a").await, Some(1));
}

#[tokio::test]
async fn a_dead_letter_of_a_source_that_is_not_known_here_is_left_alone() {
    let (_test, ledger, routes) = desk().await;
    let letter = DeadLetter {
        source: SourceId::new("elsewhere"),
        message_id: "m".to_owned(),
        reason: "foreign",
        detail: String::new(),
        body: br#"{"event":"delete","uid":"a","iss":"https://two.example"}"#.to_vec(),
    };
    ledger.bury(vec![letter]).await.expect("buried");
    let (status, problem) = send(&routes, Method::POST, "/dead-letters/1/retry", Body::empty()).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    assert_eq!(version(&ledger, "two", "a").await, None, "that source may not speak for everybody");
    assert_eq!(ledger.count_dead_letters().await.expect("readable"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_file_is_not_taken_in_while_the_store_is_down() {
    let nowhere = store::Settings::at("postgres://nobody@127.0.0.1:9/none");
    let store = Store::open(&nowhere, Clock::manual(START)).expect("found out later");
    let routes = routes(&ledger_in(&store), &[]);
    let body = "{\"event\":\"delete\",\"uid\":\"a\"}";
    let (status, problem) = send(&routes, Method::POST, "/events?origin=f", body).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
}

#[tokio::test]
async fn a_dead_letter_is_accepted_once_what_was_wrong_is_mended() {
    let (test, ledger, routes_before) = desk().await;
    let letter = |message_id: &str, body: &str| DeadLetter {
        source: SourceId::new("queue"),
        message_id: message_id.to_owned(),
        reason: "foreign",
        detail: String::new(),
        body: body.as_bytes().to_vec(),
    };
    let good = r#"{"event":"delete","uid":"a","iss":"https://two.example"}"#;
    ledger.bury(vec![letter("m1", good), letter("m2", "hello")]).await.expect("buried");
    let retry = async |routes: &Router, id: i64| {
        send(routes, Method::POST, &format!("/dead-letters/{id}/retry"), Body::empty()).await
    };
    let still_junk = (StatusCode::OK, json!({"accepted": false, "news": false}));
    assert_eq!(retry(&routes_before, 1).await, still_junk, "the queue may not speak for that one");
    let routes = routes(&ledger_in(&test.store), &["two"]);
    assert_eq!(retry(&routes, 1).await, (StatusCode::OK, json!({"accepted": true, "news": true})));
    assert_eq!(retry(&routes, 2).await, still_junk);
    assert_eq!(retry(&routes, 1).await.0, StatusCode::NOT_FOUND, "it is gone");
    assert_eq!(version(&ledger, "two", "a").await, Some(1));
    let left: Vec<_> = ledger
        .dead_letters(0, 10)
        .await
        .expect("readable")
        .into_iter()
        .map(|letter| letter.message_id)
        .collect();
    assert_eq!(left, ["m2"]);
}

#[tokio::test]
async fn what_was_kept_of_a_token_is_tried_again_without_a_signature() {
    let (_test, ledger, routes) = desk().await;
    let claims = |iss: &str| {
        let event = "https://schemas.openid.net/secevent/risc/event-type/account-purged";
        json!({"iss": iss, "aud": "us", "sub": "a", "exp": 5, "events": {event: {}}}).to_string().into_bytes()
    };
    let letter = |message_id: &str, body: Vec<u8>| DeadLetter {
        source: SourceId::new("set"),
        message_id: message_id.to_owned(),
        reason: "refused",
        detail: String::new(),
        body,
    };
    let letters = vec![
        letter("two j", claims("https://two.example")),
        letter("x", claims("https://x.example")),
        letter("y", b"\xff".to_vec()),
    ];
    ledger.bury(letters).await.expect("buried");
    for (id, accepted) in [(1, true), (2, false), (3, false)] {
        let uri = format!("/dead-letters/{id}/retry");
        let (status, retried) = send(&routes, Method::POST, &uri, Body::empty()).await;
        assert_eq!((status, &retried["accepted"]), (StatusCode::OK, &json!(accepted)), "{id}");
    }
    assert_eq!(version(&ledger, "two", "a").await, Some(1));
    assert_eq!(ledger.count_dead_letters().await.expect("readable"), 2);
}

#[tokio::test]
async fn the_sources_say_how_they_are() {
    let (_test, _ledger, routes) = desk().await;
    let told = send(&routes, Method::GET, "/sources", Body::empty()).await;
    assert_eq!(told, (StatusCode::OK, json!([{"name": "queue", "state": "stopped"}])));
}

#[tokio::test]
async fn queues_that_cannot_be_told_apart_or_speak_for_nobody_are_refused() {
    let (_test, ledger, _routes) = desk().await;
    let refused = |sqs: Vec<SqsSettings>| {
        let settings = Settings { sqs, ..Settings::default() };
        crate::capability(&settings, &ledger, &idps()).err().map(|error| error.to_string())
    };
    assert_eq!(refused(vec![queue(&["two"])]), None);
    let two = refused(vec![queue(&[]), queue(&[])]);
    assert_eq!(two.as_deref(), Some("the name \"queue\" is taken; each queue needs a `name` of its own"));
    let taken = refused(vec![SqsSettings { name: "set".into(), ..queue(&[]) }]);
    assert_eq!(taken.as_deref(), Some("the name \"set\" is taken; each queue needs a `name` of its own"));
    let unknown = refused(vec![queue(&["three"])]);
    assert_eq!(unknown.as_deref(), Some("queue queue: no identity provider has the id \"three\""));
    let both = refused(vec![SqsSettings { queue_url: Some("http://h/q".into()), ..queue(&[]) }]);
    assert_eq!(both.as_deref(), Some("queue queue: set either queue_url or queue_name"));
}
