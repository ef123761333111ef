//! The simulator and the conformance suite as operators ask for them.

use super::receiver::Receiver;
use super::served::Served;
use super::*;
use crate::listen::{Keys, Trust, listen};
use crate::{Format, Secret};
use http::StatusCode;
use jose::{Compact, JwkSet};
use serde_json::{Value, json};

const SIMULATE: &str = "POST /trials/simulation";
const VERIFY: &str = "POST /trials/conformance";

fn signed_by(token: &str, keys: &Value) -> bool {
    let compact = Compact::split(token).expect("a token");
    let header = compact.header().expect("a header");
    let set = JwkSet::parse(keys.to_string().as_bytes()).expect("a set");
    set.keys.iter().any(|key| compact.verify(&header, key.public_key()).is_ok())
}

#[tokio::test]
async fn a_simulation_needs_no_registration_and_is_signed_by_the_house_or_by_nobody_yet() {
    let house = House::new().await;
    let receiver = Receiver::start().await;
    let of = |keys: &str| {
        let config = json!({ "allow_private": true, "algorithm": "EdDSA" });
        let receiver =
            json!({ "client_id": "NEW", "webhook": receiver.url(), "config": config, "keys": keys });
        json!({ "receiver": receiver, "capabilities": ["vpn"] })
    };
    let house_keys: Value = serde_json::from_slice(&house.broker.signer().published()).expect("JSON");
    for (at, keys) in ["house", "fresh"].into_iter().enumerate() {
        let back = house.ask(SIMULATE, Some(of(keys))).await;
        assert_eq!(back.status, StatusCode::OK, "{}", back.body);
        let report = back.json();
        let got = &receiver.got()[at];
        assert_eq!((got.event(), &got.claims()["aud"]), ("subscription-state-change".into(), &json!("new")));
        assert_eq!((&report["told"][0]["jti"], &report["issuer"]), (&json!(got.jti()), &json!(ISSUER)));
        assert_eq!(report["told"][0]["verdict"], "delivered");
        assert!(signed_by(&got.token(), &report["keys"]));
        assert_eq!(signed_by(&got.token(), &house_keys), keys == "house");
    }
    assert!(house.deliveries().await.is_empty(), "nothing is kept of it");
}

#[tokio::test]
async fn a_command_that_opens_the_store_itself_finds_keys_to_sign_with() {
    let test = sqlite(TABLES).await;
    // No worker has looked after the keys here, as in a command.
    let house = House::on(test.store.clone(), test.clock.clone(), &RootKey::generate());
    let receiver = Receiver::start().await;
    let config = json!({ "allow_private": true });
    let receiver_json = json!({ "client_id": "new", "webhook": receiver.url(), "config": config });
    let back = house.ask(SIMULATE, Some(json!({ "receiver": receiver_json, "event": "delete-user" }))).await;
    assert_eq!(back.json()["told"][0]["verdict"], "delivered", "{}", back.body);
    assert!(signed_by(&receiver.got()[0].token(), &back.json()["keys"]));
}

#[tokio::test]
async fn a_registered_receiver_is_told_as_registered_and_its_secrets_stay_at_its_address() {
    let house = House::new().await;
    let (receiver, other) = (Receiver::start().await, Receiver::start().await);
    house
        .add("aaaa", &receiver, |config, secrets| {
            config.format = Format::Push;
            config.capabilities = vec!["vpn".into()];
            secrets.authorization = Some(Secret::new("Bearer theirs"));
        })
        .await;
    let asked = async |receiver: Value| {
        let back =
            house.ask(SIMULATE, Some(json!({ "receiver": receiver, "subject": "u1", "event": "any" }))).await;
        assert_eq!(back.status, StatusCode::OK, "{}", back.body);
        back.json()["told"].as_array().expect("what was told").len()
    };
    let told = asked(json!({ "client_id": "aaaa" })).await;
    assert_eq!(told, receiver.got().len());
    let stream = receiver.got().iter().filter(|it| it.claims()["sub_id"]["format"] == "opaque").count();
    assert_eq!(stream, 2);
    assert!(receiver.got().iter().all(|got| got.headers["authorization"] == "Bearer theirs"));
    let of_accounts = receiver.got().iter().find(|it| it.subject() == "u1").expect("one").claims();
    assert_eq!(of_accounts["sub_id"]["iss"], "https://idp.example", "accounts are their provider's");
    asked(json!({ "client_id": "aaaa", "webhook": other.url() })).await;
    assert!(
        !other.got().is_empty() && other.got().iter().all(|got| !got.headers.contains_key("authorization"))
    );
}

#[tokio::test]
async fn a_registered_receiver_is_put_to_the_test_with_the_keys_it_trusts() {
    let house = House::new().await;
    let keys = Keys::of_set(&house.broker.signer().published()).expect("keys");
    let trust = Trust::new(keys, Some(ISSUER.into()), Some(client("aaaa")), vec![]).expect("it can be");
    let (router, _heard) = listen(trust, house.clock.clone());
    let served = Served::new(router).await;
    let nowhere = Receiver::start().await;
    house.add("aaaa", &nowhere, |config, _| config.webhook = Some(served.url("/"))).await;
    let verified = async |receiver: Value| {
        let back = house.ask(VERIFY, Some(json!({ "receiver": receiver, "subject": "u1" }))).await;
        assert_eq!(back.status, StatusCode::OK, "{}", back.body);
        back.json()
    };
    let report = verified(json!({ "client_id": "aaaa" })).await;
    assert_eq!((&report["grade"], report["cases"].as_array().map(Vec::len)), (&json!("pass"), Some(13)));
    let untrusted = verified(json!({ "client_id": "aaaa", "keys": "fresh" })).await;
    assert_eq!((&untrusted["grade"], &untrusted["cases"][0]["case"]), (&json!("fail"), &json!("good")));
}

#[tokio::test]
async fn what_cannot_be_tried_is_a_problem_and_sends_nothing() {
    let house = House::new().await;
    let receiver = Receiver::start().await;
    house.add("aaaa", &receiver, |_, _| ()).await;
    let problem = async |what: &str, body: Value| house.ask(what, Some(body)).await.problem();
    let registered = json!({ "client_id": "aaaa" });
    let nonsense = problem(SIMULATE, json!({ "receiver": registered, "event": "nonsense" })).await;
    assert!(nonsense.starts_with("400 \"nonsense\" is no event: say `any`, or one of "), "{nonsense}");
    assert_eq!(
        problem(SIMULATE, json!({ "receiver": registered })).await,
        "400 a subscription is told to those who have a capability of it: name at least one"
    );
    assert_eq!(
        problem(VERIFY, json!({ "receiver": { "client_id": "bbbb" } })).await,
        "400 a receiver needs a webhook, and a format by which it is sent to: not `poll`"
    );
    let plain = json!({ "client_id": "bbbb", "webhook": receiver.url() });
    assert!(problem(VERIFY, json!({ "receiver": plain })).await.starts_with("400 the webhook is plain http"));
    let odd = json!({ "client_id": "aaaa", "config": { "fromat": "push" } });
    assert!(problem(VERIFY, json!({ "receiver": odd })).await.contains("fromat"));
    assert!(problem(VERIFY, json!({ "receiver": registered, "subject": "" })).await.starts_with("400 "));
    assert!(receiver.got().is_empty());
}
