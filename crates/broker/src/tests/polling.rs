//! Receivers that ask (RFC 8936).

use super::receiver::Receiver;
use super::*;
use crate::Format;
use http::StatusCode;
use jose::{Compact, JwkSet};
use serde_json::{Value, json};

const POLL: &str = "POST /ssf/poll";

async fn polled() -> Vec<(House, String)> {
    let mut houses = Vec::new();
    for house in House::on_each_engine().await {
        let nowhere = Receiver::start().await;
        house.add("aaaa", &nowhere, |config, _| (config.format, config.webhook) = (Format::Poll, None)).await;
        let token = house.token_of("aaaa").await;
        house.logs_in("u1", "aaaa").await;
        houses.push((house, token));
    }
    houses
}

async fn poll(house: &House, token: &str, body: Value) -> Value {
    let mut body = body;
    body["returnImmediately"] = json!(true);
    let answer = house.receiver_asks(token, POLL, Some(body)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.headers["cache-control"], "no-store");
    answer.json()
}

fn names(answer: &Value) -> Vec<String> {
    answer["sets"].as_object().expect("sets").keys().cloned().collect()
}

#[tokio::test]
async fn a_token_comes_again_until_it_is_acknowledged_and_then_the_next_of_its_account() {
    for (house, token) in polled().await {
        house.happens("u1", 900, Change::PasswordChange).await;
        house.happens("u1", 901, Change::Disable).await;
        let first = poll(&house, &token, json!({})).await;
        assert_eq!(names(&first).len(), 1, "the order of an account is kept");
        assert_eq!(
            poll(&house, &token, json!({})).await["sets"].as_object().map(serde_json::Map::len),
            Some(1)
        );
        let jti = names(&first)[0].clone();
        let set = first["sets"][&jti].as_str().expect("a token").to_owned();
        let compact = Compact::split(&set).expect("a token");
        let header = compact.header().expect("a header");
        let keys = JwkSet::parse(&house.broker.signer().published()).expect("a set");
        let key = keys.keys.iter().find(|key| key.kid() == header.kid.as_deref()).expect("published");
        assert!(compact.verify(&header, key.public_key()).is_ok());
        let claims: Value = serde_json::from_slice(&compact.payload().expect("claims")).expect("JSON");
        assert_eq!(claims["jti"], jti);
        let second = poll(&house, &token, json!({ "ack": [jti] })).await;
        assert_eq!(names(&second).len(), 1);
        assert_ne!(names(&second)[0], jti);
        let last = poll(&house, &token, json!({ "ack": names(&second), "maxEvents": 0 })).await;
        assert_eq!(last, json!({ "sets": {} }));
        assert!(house.shown().await.iter().all(|line| line.contains(" delivered ")));
    }
}

#[tokio::test]
async fn what_the_receiver_finds_wrong_is_rejected_and_its_line_goes_on() {
    for (house, token) in polled().await {
        house.happens("u1", 900, Change::PasswordChange).await;
        house.happens("u1", 901, Change::Delete { reason: None }).await;
        let first = poll(&house, &token, json!({})).await;
        let jti = &names(&first)[0];
        let errors = json!({ jti: { "err": "invalid_key", "description": "who\nsigned?" } });
        poll(&house, &token, json!({ "setErrs": errors })).await;
        let shown = house.shown().await;
        assert!(
            shown.contains(&"aaaa u1 delete-user rejected 0 (invalid_key: who signed?)".to_owned()),
            "{shown:?}"
        );
        let receipts = house.ask("GET /accounts/main/u1/deletion-receipts", None).await.json();
        assert_eq!((&receipts[0]["state"], receipts.as_array().map(Vec::len)), (&json!("rejected"), Some(1)));
    }
}

#[tokio::test]
async fn a_poll_takes_no_more_than_it_asks_for_and_says_that_there_is_more() {
    for (house, token) in polled().await {
        for user in 0..5 {
            house.logs_in(&format!("m{user}"), "aaaa").await;
            house.happens(&format!("m{user}"), 900, Change::PasswordChange).await;
        }
        let some = poll(&house, &token, json!({ "maxEvents": 2 })).await;
        assert_eq!((names(&some).len(), &some["moreAvailable"]), (2, &json!(true)));
        let all = poll(&house, &token, json!({ "maxEvents": 5 })).await;
        assert_eq!((names(&all).len(), all.get("moreAvailable")), (5, None));
    }
}

#[tokio::test]
async fn a_long_poll_answers_when_there_is_something() {
    for (house, token) in polled().await {
        let asking = house.receiver_asks(&token, POLL, Some(json!({})));
        let happening = async {
            tokio::task::yield_now().await;
            house.happens("u1", 900, Change::PasswordChange).await;
        };
        let (answer, ()) = tokio::join!(asking, happening);
        assert_eq!(names(&answer.json()).len(), 1);
    }
}

#[tokio::test]
async fn anothers_tokens_cannot_be_acknowledged_and_strangers_cannot_poll() {
    for (house, token) in polled().await {
        let nowhere = Receiver::start().await;
        house.add("bbbb", &nowhere, |config, _| (config.format, config.webhook) = (Format::Poll, None)).await;
        house.add("cccc", &nowhere, |_, _| ()).await;
        let (other, pushed) = (house.token_of("bbbb").await, house.token_of("cccc").await);
        house.happens("u1", 900, Change::PasswordChange).await;
        let jti = names(&poll(&house, &token, json!({})).await)[0].clone();
        assert_eq!(names(&poll(&house, &other, json!({ "ack": [jti] })).await).len(), 0);
        assert_eq!(names(&poll(&house, &token, json!({})).await), [jti], "it is still there");
        assert_eq!(house.receiver_asks("", POLL, Some(json!({}))).await.fault(), "401 authentication_failed");
        assert_eq!(house.receiver_asks(&pushed, POLL, Some(json!({}))).await.fault(), "400 invalid_request");
        for odd in [
            "[]",
            "{\"ack\":7}",
            "{\"maxEvents\":-1}",
            "{\"setErrs\":{\"a\":{}}}",
            "{\"ack\":[\"\\u0000\"]}",
            "x",
        ] {
            assert_eq!(
                house.receiver_sends(&token, "/ssf/poll", odd).await.fault(),
                "400 invalid_request",
                "{odd}"
            );
        }
    }
}
