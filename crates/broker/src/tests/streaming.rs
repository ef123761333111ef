//! The transmitter of the Shared Signals Framework, as receivers meet it.

use super::api::Back;
use super::receiver::{Answer, Receiver};
use super::*;
use crate::EventType;
use http::StatusCode;
use serde_json::{Value, json};

const STREAMS: &str = "/ssf/streams";

/// A house with a relying party that may make a stream, and its token.
async fn with_receiver(receiver: &Receiver) -> (House, String) {
    let house = House::new().await;
    house.add("aaaa", receiver, |_, _| ()).await;
    let token = house.token_of("aaaa").await;
    (house, token)
}

fn wanted(receiver: &Receiver) -> Value {
    json!({
        "events_requested": [EventType::SessionRevoked, EventType::AccountPurged, "https://example.com/unknown"],
        "delivery": {
            "method": "urn:ietf:rfc:8935", "endpoint_url": receiver.url(), "authorization_header": "Bearer theirs",
        },
        "description": "mine",
    })
}

async fn made(house: &House, token: &str, wanted: Value) -> (String, Back) {
    let made = house.receiver_asks(token, &format!("POST {STREAMS}"), Some(wanted)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    (made.json()["stream_id"].as_str().expect("an id").to_owned(), made)
}

#[tokio::test]
async fn the_metadata_says_where_everything_is() {
    let house = House::new().await;
    let metadata = house.receiver_asks("", "GET /.well-known/ssf-configuration", None).await.json();
    assert_eq!((&metadata["spec_version"], &metadata["issuer"]), (&json!("1_0"), &json!(ISSUER)));
    for endpoint in [
        "jwks_uri",
        "configuration_endpoint",
        "status_endpoint",
        "add_subject_endpoint",
        "remove_subject_endpoint",
        "verification_endpoint",
    ] {
        let url = metadata[endpoint].as_str().expect("a URL");
        assert!(url.starts_with("https://accounts.example/"), "{endpoint}: {url}");
    }
    let odd = house.receiver_asks("", "GET /.well-known/ssf-configuration/other", None).await;
    assert_eq!(odd.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_stream_is_made_read_changed_replaced_and_deleted() {
    let receiver = Receiver::start().await;
    let (house, token) = with_receiver(&receiver).await;
    let (id, made) = made(&house, &token, wanted(&receiver)).await;
    assert_eq!(made.headers["cache-control"], "no-store");
    let config = made.json();
    assert_eq!((&config["iss"], &config["aud"]), (&json!(ISSUER), &json!("aaaa")));
    assert_eq!(config["events_delivered"], json!([EventType::SessionRevoked, EventType::AccountPurged]));
    assert_eq!(config["events_requested"].as_array().expect("a list").len(), 3);
    assert!(!made.body.contains("theirs"), "a secret");
    let again = house.receiver_asks(&token, &format!("POST {STREAMS}"), Some(json!({}))).await;
    assert_eq!(again.fault(), "409 conflict");

    let path = format!("{STREAMS}?stream_id={id}");
    assert_eq!(house.receiver_asks(&token, &format!("GET {path}"), None).await.json(), config);
    assert_eq!(house.receiver_asks(&token, &format!("GET {STREAMS}"), None).await.json(), json!([config]));
    let change = json!({ "stream_id": id, "description": "ours", "iss": ISSUER });
    let patched = house.receiver_asks(&token, &format!("PATCH {STREAMS}"), Some(change)).await.json();
    assert_eq!((&patched["description"], &patched["delivery"]), (&json!("ours"), &config["delivery"]));
    let foreign = json!({ "stream_id": id, "aud": "bbbb" });
    assert_eq!(
        house.receiver_asks(&token, &format!("PATCH {STREAMS}"), Some(foreign)).await.fault(),
        "400 invalid_request"
    );
    let put = json!({ "stream_id": id, "events_requested": [EventType::SessionRevoked] });
    let replaced = house.receiver_asks(&token, &format!("PUT {STREAMS}"), Some(put)).await.json();
    assert_eq!(replaced.get("description"), None);
    assert_eq!(replaced["delivery"]["method"], "urn:ietf:rfc:8936", "none was given");
    assert_eq!(
        house.receiver_asks(&token, &format!("DELETE {path}"), None).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(house.receiver_asks(&token, &format!("GET {path}"), None).await.fault(), "404 not_found");
    assert_eq!(house.receiver_asks(&token, &format!("GET {STREAMS}"), None).await.json(), json!([]));
}

#[tokio::test]
async fn a_stream_tells_what_was_asked_for_as_the_framework_has_it() {
    let receiver = Receiver::answering(Answer::Status(202)).await;
    let (house, token) = with_receiver(&receiver).await;
    let (_, _) = made(&house, &token, wanted(&receiver)).await;
    house.logs_in("u1", "aaaa").await;
    house.happens("u1", 900_000, Change::PasswordChange).await;
    house.deliver().await;
    house.happens("u1", 901_000, Change::Delete { reason: None }).await;
    house.deliver().await;
    assert_eq!(receiver.heard(), ["u1 session-revoked", "u1 account-purged"]);
    let got = receiver.got();
    assert_eq!(got[0].headers["authorization"], "Bearer theirs");
    assert_eq!(got[0].claims()["events"][EventType::SessionRevoked.uri()]["event_timestamp"], 900);
}

#[tokio::test]
async fn a_verification_comes_back_with_its_state_and_not_too_often() {
    for house in House::on_each_engine().await {
        let receiver = Receiver::answering(Answer::Status(202)).await;
        house.add("aaaa", &receiver, |_, _| ()).await;
        let token = house.token_of("aaaa").await;
        let (id, _) = made(&house, &token, wanted(&receiver)).await;
        let ask = json!({ "stream_id": id, "state": "s1" });
        let path = "POST /ssf/verification";
        assert_eq!(house.receiver_asks(&token, path, Some(ask.clone())).await.status, StatusCode::NO_CONTENT);
        let soon = house.receiver_asks(&token, path, Some(ask.clone())).await;
        assert_eq!(
            (soon.fault().as_str(), &soon.headers["retry-after"]),
            ("429 too_many_requests", &"60".parse().expect("a value"))
        );
        house.deliver().await;
        let claims = receiver.got()[0].claims();
        assert_eq!(claims["events"][EventType::Verification.uri()], json!({ "state": "s1" }));
        assert_eq!(claims["sub_id"], json!({ "format": "opaque", "id": id }));
        house.clock.advance(Duration::from_mins(1));
        assert_eq!(house.receiver_asks(&token, path, Some(ask)).await.status, StatusCode::NO_CONTENT);
    }
}

#[tokio::test]
async fn a_receiver_pauses_its_stream_and_an_operators_pause_is_told_to_it() {
    for house in House::on_each_engine().await {
        let receiver = Receiver::answering(Answer::Status(202)).await;
        house.add("aaaa", &receiver, |_, _| ()).await;
        let token = house.token_of("aaaa").await;
        let (id, _) = made(&house, &token, wanted(&receiver)).await;
        house.logs_in("u1", "aaaa").await;
        let set = async |status: &str| {
            let body = json!({ "stream_id": id, "status": status });
            house.receiver_asks(&token, "POST /ssf/status", Some(body)).await
        };
        assert_eq!(set("paused").await.json(), json!({ "stream_id": id, "status": "paused" }));
        house.happens("u1", 900, Change::PasswordChange).await;
        house.deliver().await;
        assert!(receiver.got().is_empty(), "it knows what it did itself");
        assert_eq!(set("enabled").await.json()["status"], "enabled");
        house.deliver().await;
        assert_eq!(receiver.got().len(), 1);
        house.ask("POST /rps/aaaa/pause", None).await;
        house.deliver().await;
        assert_eq!(
            receiver.got()[1].claims()["events"][EventType::StreamUpdated.uri()],
            json!({ "status": "paused" })
        );
        house.ask("POST /rps/aaaa/disable", Some(json!({ "reason": "maintenance" }))).await;
        house.deliver().await;
        let told = receiver.got()[2].claims()["events"][EventType::StreamUpdated.uri()].clone();
        assert_eq!(told, json!({ "status": "disabled", "reason": "maintenance" }));
        assert_eq!(set("enabled").await.fault(), "403 access_denied");
        let shown =
            house.receiver_asks(&token, &format!("GET /ssf/status?stream_id={id}"), None).await.json();
        assert_eq!(shown["reason"], "maintenance");
    }
}

#[tokio::test]
async fn a_removed_subject_is_told_of_until_the_grace_is_over_and_can_be_added_again() {
    for house in House::on_each_engine().await {
        let receiver = Receiver::answering(Answer::Status(202)).await;
        house.add("aaaa", &receiver, |_, _| ()).await;
        let token = house.token_of("aaaa").await;
        let (id, _) = made(&house, &token, wanted(&receiver)).await;
        house.logs_in("u1", "aaaa").await;
        let subject = json!({ "format": "iss_sub", "iss": "https://idp.example", "sub": "u1" });
        let change = async |what: &str| {
            let body = json!({ "stream_id": id, "subject": subject });
            house.receiver_asks(&token, &format!("POST /ssf/subjects/{what}"), Some(body)).await.status
        };
        assert_eq!(change("remove").await, StatusCode::NO_CONTENT);
        house.happens("u1", 900, Change::PasswordChange).await;
        house.clock.advance(Duration::from_hours(25));
        house.happens("u1", 901, Change::PasswordChange).await;
        assert_eq!(change("add").await, StatusCode::OK);
        house.happens("u1", 902, Change::SignOutEverywhere).await;
        house.deliver().await;
        let times: Vec<_> = house.deliveries().await.iter().map(|it| it.event_at.get()).collect();
        assert_eq!(times, [900, 902]);
    }
}

#[tokio::test]
async fn whoever_is_not_the_receiver_gets_nothing_and_changes_nothing() {
    let receiver = Receiver::start().await;
    let (house, token) = with_receiver(&receiver).await;
    house.add("bbbb", &receiver, |_, _| ()).await;
    let other = house.token_of("bbbb").await;
    let (id, made) = made(&house, &token, wanted(&receiver)).await;
    let subject = json!({ "format": "iss_sub", "iss": "https://idp.example", "sub": "u1" });
    let calls = [
        (format!("GET {STREAMS}?stream_id={id}"), None),
        (format!("PATCH {STREAMS}"), Some(json!({ "stream_id": id, "description": "x" }))),
        (format!("PUT {STREAMS}"), Some(json!({ "stream_id": id }))),
        (format!("DELETE {STREAMS}?stream_id={id}"), None),
        (format!("GET /ssf/status?stream_id={id}"), None),
        ("POST /ssf/status".into(), Some(json!({ "stream_id": id, "status": "disabled" }))),
        ("POST /ssf/subjects/add".into(), Some(json!({ "stream_id": id, "subject": subject }))),
        ("POST /ssf/subjects/remove".into(), Some(json!({ "stream_id": id, "subject": subject }))),
        ("POST /ssf/verification".into(), Some(json!({ "stream_id": id }))),
    ];
    for (call, body) in calls {
        for stranger in ["", "hwr_wrong", "x", &"y".repeat(5_000)] {
            let refused = house.receiver_asks(stranger, &call, body.clone()).await;
            assert_eq!(refused.fault(), "401 authentication_failed", "{call}");
            assert_eq!(refused.headers["www-authenticate"], "Bearer");
        }
        assert_eq!(house.receiver_asks(&other, &call, body).await.fault(), "404 not_found", "{call}");
    }
    let same = house.receiver_asks(&token, &format!("GET {STREAMS}?stream_id={id}"), None).await;
    assert_eq!(same.json(), made.json());
    assert!(house.deliveries().await.is_empty());
}

#[tokio::test]
async fn a_token_allows_what_its_scopes_say_until_it_ends_or_is_revoked() {
    let receiver = Receiver::start().await;
    let (house, manages) = with_receiver(&receiver).await;
    let new = json!({ "scopes": ["ssf.read"], "life_seconds": 60 });
    let reads = house.ask("POST /rps/aaaa/tokens", Some(new)).await.json();
    let reads = reads["token"].as_str().expect("a token");
    let (id, _) = made(&house, &manages, wanted(&receiver)).await;
    let read = format!("GET {STREAMS}?stream_id={id}");
    assert_eq!(house.receiver_asks(reads, &read, None).await.status, StatusCode::OK);
    let delete = house.receiver_asks(reads, &format!("DELETE {STREAMS}?stream_id={id}"), None).await;
    assert_eq!(delete.fault(), "403 access_denied");
    house.clock.advance(Duration::from_mins(1));
    assert_eq!(house.receiver_asks(reads, &read, None).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(house.ask("DELETE /rps/aaaa/tokens", None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(house.receiver_asks(&manages, &read, None).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn bad_input_is_told_and_is_never_our_fault() {
    let receiver = Receiver::start().await;
    let (house, token) = with_receiver(&receiver).await;
    for body in
        ["", "{", "[]", "7", "null", "\"x\"", "{\"events_requested\":7}", "{\"delivery\":{}}", "\u{0}"]
    {
        for path in [STREAMS, "/ssf/status", "/ssf/subjects/add", "/ssf/subjects/remove", "/ssf/verification"]
        {
            let refused = house.receiver_sends(&token, path, body).await;
            assert_eq!(refused.fault(), "400 invalid_request", "{path} {body}");
        }
    }
    let create =
        async |body: Value| house.receiver_asks(&token, &format!("POST {STREAMS}"), Some(body)).await.fault();
    let push = |url: &str| json!({ "delivery": { "method": "urn:ietf:rfc:8935", "endpoint_url": url } });
    for odd in [
        push("ftp://a.example/"),
        push("https://u:p@a.example/"),
        push(""),
        json!({ "delivery": { "method": "urn:ietf:rfc:8935" } }),
        json!({ "delivery": { "method": "pigeon" } }),
        json!({ "description": "x".repeat(2_000) }),
        json!({ "events_requested": vec!["x"; 200] }),
        json!({ "delivery": { "method": "urn:ietf:rfc:8935", "endpoint_url": receiver.url(), "authorization_header": "a\nb" } }),
    ] {
        assert_eq!(create(odd.clone()).await, "400 invalid_request", "{odd}");
    }
    let (id, _) = made(&house, &token, json!({})).await;
    for subject in [
        json!({ "format": "iss_sub" }),
        json!({ "format": "odd" }),
        json!({ "format": "iss_sub", "iss": "https://idp.example", "sub": "" }),
        json!({ "format": "iss_sub", "iss": "https://idp.example", "sub": "x".repeat(300) }),
        json!({}),
    ] {
        let body = json!({ "stream_id": id, "subject": subject });
        let refused = house.receiver_asks(&token, "POST /ssf/subjects/add", Some(body)).await;
        assert_eq!(refused.fault(), "400 invalid_request", "{subject}");
    }
    let stranger = json!({ "format": "iss_sub", "iss": "https://nobody.example", "sub": "u" });
    let body = json!({ "stream_id": id, "subject": stranger });
    let silent = house.receiver_asks(&token, "POST /ssf/subjects/add", Some(body)).await;
    assert_eq!(silent.status, StatusCode::OK, "who exists is not told");
    let status = json!({ "stream_id": id, "status": "asleep" });
    assert_eq!(
        house.receiver_asks(&token, "POST /ssf/status", Some(status)).await.fault(),
        "400 invalid_request"
    );
}
