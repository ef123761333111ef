//! Whatever anybody sends: it is told what is wrong, it is never our fault, and it changes nothing that is there.

use super::api::ask;
use super::receiver::Receiver;
use super::*;
use crate::EventType;
use serde_json::{Value, json};

/// Values that stores, parsers and arithmetic have stumbled over.
fn odd_values() -> Vec<Value> {
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e300),
        json!(""),
        json!("\u{0}"),
        json!("a\u{0}b"),
        json!("\u{202e}\u{fffd}\u{10ffff}"),
        json!("'; drop table deliveries; --"),
        json!("x".repeat(70_000)),
        json!([]),
        json!([null]),
        json!(["\u{0}"]),
        json!({}),
        json!({ "\u{0}": "\u{0}" }),
        deep,
    ]
}

/// The body with each of its members, at any depth, replaced by each odd value in turn; and odd values in its place.
fn bent(body: &Value) -> Vec<Value> {
    let mut all = odd_values();
    match body {
        Value::Object(members) => {
            for (name, value) in members {
                for odd in bent(value) {
                    let mut bent = members.clone();
                    bent.insert(name.clone(), odd);
                    all.push(Value::Object(bent));
                }
            }
            let mut more = members.clone();
            more.insert("\u{0}".into(), json!("\u{0}"));
            all.push(Value::Object(more));
        }
        Value::Array(entries) => {
            for at in 0..entries.len() {
                for odd in bent(&entries[at]) {
                    let mut bent = entries.clone();
                    bent[at] = odd;
                    all.push(Value::Array(bent));
                }
            }
        }
        _ => {}
    }
    all
}

fn operators() -> Vec<(&'static str, Value)> {
    let config = json!({
        "name": "A", "webhook": "https://a.example/", "format": "push", "events": [EventType::SessionRevoked],
        "capabilities": ["x"], "algorithm": "ES256", "concurrency": 1, "rate": 1, "idp": "main",
        "retry": { "delays_seconds": [1] }, "deadline_seconds": 1,
    });
    let secrets = json!({
        "authorization": "Bearer x", "headers": { "x-key": "k" },
        "oauth": { "token_url": "https://as.example/", "client_id": "c", "client_secret": "s", "scope": "x" },
    });
    vec![
        ("POST /rps", json!({ "client_id": "cccc", "config": config, "secrets": secrets })),
        ("PATCH /rps/bbbb", json!({ "config": config, "secrets": secrets })),
        ("POST /rps/bbbb/disable", json!({ "reason": "x" })),
        ("POST /rps/bbbb/tokens", json!({ "scopes": ["ssf.read"], "life_seconds": 1 })),
        ("POST /deliveries/replay", json!({ "rp": "aaaa", "since": 0, "state": "exhausted" })),
        ("POST /keys/rotate", json!({ "algorithm": "HS256", "at_once": false })),
    ]
}

fn receivers(stream_id: &str, jti: &str) -> Vec<(&'static str, Value)> {
    let subject = json!({ "format": "complex", "user": { "format": "iss_sub", "iss": "https://idp.example", "sub": "u9" } });
    let delivery = json!({ "method": "urn:ietf:rfc:8936" });
    let stream = json!({
        "stream_id": stream_id, "events_requested": ["x"], "description": "d", "delivery": delivery, "iss": ISSUER,
    });
    vec![
        ("POST /ssf/streams", stream.clone()),
        ("PATCH /ssf/streams", stream.clone()),
        ("POST /ssf/status", json!({ "stream_id": stream_id, "status": "enabled", "reason": "r" })),
        ("POST /ssf/subjects/add", json!({ "stream_id": stream_id, "subject": subject })),
        ("POST /ssf/subjects/remove", json!({ "stream_id": stream_id, "subject": subject })),
        ("POST /ssf/verification", json!({ "stream_id": stream_id, "state": "s" })),
        (
            "POST /ssf/poll",
            json!({
                "maxEvents": 1, "returnImmediately": true, "ack": ["y"],
                "setErrs": { jti: { "err": "invalid_key", "description": "d" } },
            }),
        ),
    ]
}

#[tokio::test]
async fn odd_bodies_are_never_our_fault() {
    for house in House::on_each_engine().await {
        let receiver = Receiver::start().await;
        for name in ["aaaa", "bbbb"] {
            house.add(name, &receiver, |config, _| config.resource_server = true).await;
        }
        let token = house.token_of("bbbb").await;
        let made = house.receiver_asks(&token, "POST /ssf/streams", Some(json!({}))).await.json();
        let stream_id = made["stream_id"].as_str().expect("an id").to_owned();
        let (admin, public) = (house.admin(), house.public());
        let (mut sent, mut accepted) = (0, 0);
        for (what, body) in operators() {
            for body in bent(&body) {
                let back = ask(&admin, None, what, Some(&body)).await;
                assert!(!back.status.is_server_error(), "{what} {body}: {} {}", back.status, back.body);
                (sent, accepted) = (sent + 1, accepted + usize::from(back.status.is_success()));
                if back.status == http::StatusCode::CREATED && what == "POST /rps" {
                    ask(&admin, None, "DELETE /rps/cccc", None).await;
                }
            }
        }
        house.ask("POST /rps/bbbb/enable", None).await;
        house.happens("u1", 900, Change::PasswordChange).await;
        for (what, body) in receivers(&stream_id, "a-jti") {
            for body in bent(&body) {
                // What waits for something to tell is not what is asked here.
                if what == "POST /ssf/poll" && body["returnImmediately"] != true {
                    continue;
                }
                let back = ask(&public, Some(&token), what, Some(&body)).await;
                assert!(!back.status.is_server_error(), "{what} {body}: {} {}", back.status, back.body);
                (sent, accepted) = (sent + 1, accepted + usize::from(back.status.is_success()));
            }
        }
        assert!(sent > 1_000 && accepted > 0 && accepted < sent / 2, "{accepted} of {sent}");
        let aaaa = house.ask("GET /rps/aaaa", None).await.json();
        assert_eq!((&aaaa["status"], &aaaa["config"]["resource_server"]), (&json!("enabled"), &json!(true)));
    }
}

#[tokio::test]
async fn odd_paths_and_queries_are_never_our_fault() {
    const ODD: [&str; 9] =
        ["%00", "%FF", "..", "a%2Fb", "%F0%9F%92%A9", "9223372036854775808", "-1", "%27%3B--", "a%20b"];
    for house in House::on_each_engine().await {
        let receiver = Receiver::start().await;
        house.add("bbbb", &receiver, |_, _| ()).await;
        let token = house.token_of("bbbb").await;
        let (admin, public, long) = (house.admin(), house.public(), "x".repeat(5_000));
        for odd in ODD.into_iter().chain([long.as_str()]) {
            for what in [
                format!("GET /rps/{odd}"),
                format!("DELETE /rps/{odd}"),
                format!("POST /rps/{odd}/pause"),
                format!("DELETE /rps/{odd}/tokens"),
                format!("GET /deliveries/{odd}"),
                format!("POST /deliveries/{odd}/retry"),
                format!("GET /deliveries?rp={odd}"),
                format!("GET /deliveries?state={odd}"),
                format!("GET /deliveries?since={odd}"),
                format!("GET /deliveries?idp={odd}&subject={odd}"),
                format!("GET /deliveries?after={odd}&limit={odd}"),
                format!("GET /accounts/{odd}/{odd}/logins"),
                format!("GET /accounts/main/{odd}/deletion-receipts"),
                format!("DELETE /accounts/main/u1/logins/{odd}"),
            ] {
                let back = ask(&admin, None, &what, None).await;
                assert!(!back.status.is_server_error(), "{what}: {} {}", back.status, back.body);
            }
            for what in [
                format!("GET /ssf/streams?stream_id={odd}"),
                format!("DELETE /ssf/streams?stream_id={odd}"),
                format!("GET /ssf/status?stream_id={odd}"),
                format!("GET /.well-known/ssf-configuration/{odd}"),
            ] {
                let back = ask(&public, Some(&token), &what, None).await;
                assert!(!back.status.is_server_error(), "{what}: {} {}", back.status, back.body);
            }
        }
    }
}
