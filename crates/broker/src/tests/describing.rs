//! What is described (OpenAPI) is what is served.

use super::receiver::Receiver;
use super::*;
use crate::EventType;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

impl House {
    fn described(&self) -> Value {
        let described = self.broker.capability().public.split_for_parts().1;
        serde_json::to_value(described).expect("JSON")
    }
}

/// What stands at the end of references.
fn resolved<'a>(api: &'a Value, schema: &'a Value) -> &'a Value {
    let Some(reference) = schema["$ref"].as_str() else { return schema };
    api.pointer(reference.strip_prefix('#').expect("a reference within the document")).expect("it is there")
}

fn members(object: &Value) -> BTreeSet<&str> {
    object.as_object().map(|it| it.keys().map(String::as_str).collect()).unwrap_or_default()
}

#[tokio::test]
async fn a_route_that_is_described_is_served_and_a_method_that_is_not_is_not() {
    let house = House::new().await;
    let api = house.described();
    for (path, operations) in api["paths"].as_object().expect("paths") {
        for method in METHODS {
            let what = format!("{} {}", method.to_uppercase(), path.replace("{path}", "elsewhere"));
            // Without a token nothing happens.
            let back = house.receiver_asks("", &what, Some(json!({}))).await;
            let is_served = back.status != 405 && !(back.status == 404 && back.body.is_empty());
            assert_eq!(is_served, operations.get(method).is_some(), "{what}: {} {}", back.status, back.body);
            let needs_a_token = operations[method]["security"].is_array();
            assert_eq!(back.status == 401, needs_a_token, "{what}: {}", back.status);
        }
    }
}

#[tokio::test]
async fn whatever_the_metadata_leads_to_is_described() {
    let house = House::new().await;
    let api = house.described();
    let metadata = house.receiver_asks("", "GET /.well-known/ssf-configuration", None).await.json();
    let leads: Vec<_> = metadata
        .as_object()
        .expect("an object")
        .iter()
        .filter_map(|(name, url)| {
            let url = url.as_str()?.strip_prefix(ISSUER).filter(|path| path.starts_with('/'))?;
            Some((name.as_str(), url))
        })
        .collect();
    assert!(leads.len() >= 6, "{leads:?}");
    for (name, path) in leads {
        assert!(api["paths"].get(path).is_some(), "{name} leads to {path}");
    }
}

#[tokio::test]
async fn what_is_answered_has_the_status_and_the_members_that_are_described() {
    let house = House::new().await;
    let receiver = Receiver::start().await;
    house.add("aaaa", &receiver, |_, _| ()).await;
    let token = house.token_of("aaaa").await;
    let reads = house.ask("POST /rps/aaaa/tokens", Some(json!({ "scopes": ["ssf.read"] }))).await.json();
    let reads = reads["token"].as_str().expect("a token").to_owned();
    let api = house.described();
    let asked = async |token: &str, what: &str, body: Value, expected: u16| -> Value {
        let back = house.receiver_asks(token, what, Some(body)).await;
        assert_eq!(back.status, expected, "{what}: {}", back.body);
        let (method, path) = what.split_once(' ').expect("a method and a path");
        let path = path.split('?').next().expect("a path");
        let answer = &api["paths"][path][method.to_lowercase()]["responses"][expected.to_string()];
        assert!(answer.is_object(), "{what}: {expected} is not described");
        if back.body.is_empty() {
            assert!(answer.get("content").is_none(), "{what}: {expected} has no body");
            return Value::Null;
        }
        let said = back.json();
        let schema = resolved(&api, &answer["content"]["application/json"]["schema"]);
        let described = members(&schema["properties"]);
        assert!(said.is_array() || members(&said).is_subset(&described), "{what}: {said}");
        let mut missing = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        assert_eq!(missing.find(|it| said.get(it).is_none()), None, "{what}: {said}");
        said
    };
    let wanted = json!({ "events_requested": [EventType::SessionRevoked], "description": "mine" });
    asked(&reads, "POST /ssf/streams", wanted.clone(), 403).await;
    let stream = asked(&token, "POST /ssf/streams", wanted.clone(), 201).await;
    asked(&token, "POST /ssf/streams", wanted, 409).await;
    asked(&token, "POST /ssf/streams", json!({ "delivery": 7 }), 400).await;
    let id = stream["stream_id"].as_str().expect("an id");
    asked(&reads, &format!("GET /ssf/streams?stream_id={id}"), json!({}), 200).await;
    asked(&token, "GET /ssf/streams?stream_id=another", json!({}), 404).await;
    asked(&token, "PATCH /ssf/streams", json!({ "stream_id": id, "description": "yours" }), 200).await;
    asked(&reads, "PATCH /ssf/streams", json!({ "stream_id": id }), 403).await;
    asked(&token, "PUT /ssf/streams", json!({ "stream_id": id, "events_requested": [] }), 200).await;
    asked(&reads, &format!("GET /ssf/status?stream_id={id}"), json!({}), 200).await;
    asked(&token, "POST /ssf/status", json!({ "stream_id": id, "status": "paused", "reason": "r" }), 200)
        .await;
    asked(&token, "POST /ssf/status", json!({ "stream_id": id, "status": "odd" }), 400).await;
    let subject = json!({ "format": "iss_sub", "iss": "https://idp.example", "sub": "u1" });
    let subject = json!({ "stream_id": id, "subject": subject });
    asked(&token, "POST /ssf/subjects/remove", subject.clone(), 204).await;
    asked(&token, "POST /ssf/subjects/add", subject.clone(), 200).await;
    asked(&reads, "POST /ssf/subjects/add", subject, 403).await;
    asked(&token, "POST /ssf/verification", json!({ "stream_id": id, "state": "s" }), 204).await;
    asked(&token, "POST /ssf/verification", json!({ "stream_id": id }), 429).await;
    let polled = asked(&reads, "POST /ssf/poll", json!({ "returnImmediately": true }), 200).await;
    assert!(!members(&polled["sets"]).is_empty(), "the verification, at least");
    asked(&token, "POST /ssf/poll", json!({ "ack": [7] }), 400).await;
    asked("", "POST /ssf/poll", json!({}), 401).await;
    asked(&token, &format!("DELETE /ssf/streams?stream_id={id}"), json!({}), 204).await;
    asked(&token, &format!("GET /ssf/status?stream_id={id}"), json!({}), 404).await;
}
