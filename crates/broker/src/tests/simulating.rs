//! The simulator against a receiver on a socket.

use super::receiver::{Answer, Got, Receiver};
use super::*;
use crate::simulate::{CannotSimulate, Simulated, Simulation, simulate};
use crate::{EventType, Format, Secret, SigningAlgorithm, Trial, TrialKeys, Vocabulary};
use jose::{Compact, JwkSet};

fn config(receiver: &Receiver) -> Config {
    Config {
        webhook: Some(receiver.url()),
        allow_private: true,
        algorithm: SigningAlgorithm::EdDsa,
        ..Config::default()
    }
}

fn trial(config: Config, secrets: Secrets) -> Trial {
    let keys = TrialKeys::fresh(config.algorithm).expect("a key");
    Trial::new(client("rp"), config, secrets, ISSUER, keys, Clock::system()).expect("it can be tried")
}

fn of(event: Simulated) -> Simulation {
    Simulation { event, capabilities: vec!["vpn".into(), "relay".into()], subject: None }
}

fn verifies(token: &str, keys: &[u8]) -> bool {
    let (compact, set) = (Compact::split(token).expect("a token"), JwkSet::parse(keys).expect("a set"));
    let header = compact.header().expect("a header");
    set.keys
        .iter()
        .any(|key| key.kid() == header.kid.as_deref() && compact.verify(&header, key.public_key()).is_ok())
}

#[tokio::test]
async fn a_subscription_is_simulated_as_a_delivery_of_it_would_be() {
    let receiver = Receiver::answering(Answer::Says(200, "thanks")).await;
    let trial = trial(config(&receiver), Secrets::default());
    let before = Clock::system().now();
    let simulation = of(Simulated::One(EventType::SubscriptionStateChange));
    let told = simulate(&trial, &simulation).await.expect("it can be simulated");
    let [got] = &receiver.got()[..] else { panic!("one request") };
    assert_eq!((got.method.as_str(), got.body.len()), ("POST", 0));
    assert!(verifies(&got.token(), &trial.keys().published()));
    let claims = got.claims();
    assert_eq!((&claims["aud"], &claims["iss"]), (&"rp".into(), &ISSUER.into()));
    let payload = &claims["events"][EventType::SubscriptionStateChange.uri()];
    assert_eq!(payload["capabilities"], serde_json::json!(["vpn", "relay"]));
    // Milliseconds: seconds would be a thousandth of it.
    assert!(payload["changeTime"].as_i64().expect("an integer") >= before.get());
    assert_eq!(got.subject().len(), 32, "an account that nobody has");
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].status, told[0].verdict.as_str()), (Some(200), "delivered"));
    assert_eq!((told[0].jti.clone(), told[0].answer.as_deref()), (got.jti(), Some("thanks")));
    assert_eq!(told[0].payload, *payload);
}

#[tokio::test]
async fn any_is_everything_the_receiver_can_get_in_its_words_and_no_more() {
    let receiver = Receiver::start().await;
    let any = of(Simulated::Any);
    simulate(&trial(config(&receiver), Secrets::default()), &any).await.expect("simulated");
    let events: std::collections::BTreeSet<_> = receiver.got().iter().map(Got::event).collect();
    let usual = ["delete-user", "password-change", "profile-change", "subscription-state-change"];
    assert_eq!(events, usual.map(str::to_owned).into(), "nothing that must be listed");

    let receiver = Receiver::start().await;
    let listed = [EventType::MetricsOptOut, EventType::SessionEstablished].into();
    let only = Config { events: Some(listed), ..config(&receiver) };
    simulate(&trial(only, Secrets::default()), &any).await.expect("simulated");
    let events: Vec<_> = receiver.got().iter().map(Got::event).collect();
    assert_eq!(events, ["session-established", "metrics-opt-out"]);

    let receiver = Receiver::answering(Answer::Status(202)).await;
    let push = Config { format: Format::Push, vocabulary: Vocabulary::Ssf, ..config(&receiver) };
    simulate(&trial(push, Secrets::default()), &any).await.expect("simulated");
    let of_stream = receiver.got().iter().filter(|got| got.claims()["sub_id"]["format"] == "opaque").count();
    assert_eq!(of_stream, 2, "what is said of the stream too");
    assert!(receiver.got().iter().all(|got| got.claims().get("sub").is_none()));
}

#[tokio::test]
async fn what_is_answered_is_told_without_what_was_sent() {
    let receiver = Receiver::start().await;
    let trial = trial(config(&receiver), Secrets::default());
    let one = Simulation {
        subject: Some(account::Subject::new("u1").expect("valid")),
        ..of(Simulated::One(EventType::DeleteUser))
    };
    for (answer, status, verdict, detail) in [
        (Answer::Status(302), Some(302), "failed", Some("a redirect, which is not followed")),
        (Answer::Status(410), Some(410), "gone", Some("gone")),
        (
            Answer::Says(500, "token eyJhbGciOiJSUzI1NiJ9.e30.AA of a@example.org"),
            Some(500),
            "failed",
            Some("status 500"),
        ),
    ] {
        receiver.answers(answer);
        let told = simulate(&trial, &one).await.expect("simulated").remove(0);
        assert_eq!((told.status, told.verdict.as_str(), told.detail.as_deref()), (status, verdict, detail));
        assert!(!told.is_delivered());
        assert!(told.answer.is_none_or(|it| it == "token [redacted] of [redacted]"));
    }
    assert!(receiver.got().iter().all(|got| got.subject() == "u1"));
    let nobody = receiver.url();
    drop(receiver);
    let closed = Config { webhook: Some(nobody), allow_private: true, ..Config::default() };
    let told = simulate(&self::trial(closed, Secrets::default()), &one).await.expect("simulated").remove(0);
    assert_eq!((told.status, told.verdict.as_str()), (None, "failed"));
    assert!(told.detail.expect("a reason").starts_with("no connection to http://127.0.0.1:"));
}

#[tokio::test]
async fn private_addresses_are_reached_only_when_they_may_be() {
    let receiver = Receiver::start().await;
    let port = receiver.url();
    // An address that is written out is refused before anything is simulated.
    let https = port.replace("http://127.0.0.1", "https://localhost");
    let guarded = Config { webhook: Some(https), allow_private: false, ..config(&receiver) };
    let told =
        simulate(&trial(guarded, Secrets::default()), &of(Simulated::One(EventType::DeleteUser))).await;
    let detail = told.expect("simulated").remove(0).detail.expect("a reason");
    assert!(detail.ends_with("is no public address, and only those are reached"), "{detail}");
    assert!(receiver.got().is_empty());
}

#[tokio::test]
async fn a_webhook_is_signed_with_the_secret_given() {
    let receiver = Receiver::start().await;
    let secret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let secrets = Secrets { webhook: vec![Secret::new(secret)], ..Secrets::default() };
    let hmac = Config { format: Format::WebhookHmac, ..config(&receiver) };
    simulate(&trial(hmac, secrets), &of(Simulated::One(EventType::DeleteUser))).await.expect("simulated");
    let [got] = &receiver.got()[..] else { panic!("one request") };
    assert!(got.headers["webhook-signature"].to_str().expect("ASCII").starts_with("v1,"));
}

#[tokio::test]
async fn what_cannot_be_told_is_said_before_anything_is_sent() {
    let receiver = Receiver::start().await;
    let trial = trial(config(&receiver), Secrets::default());
    let without =
        Simulation { capabilities: vec![], ..of(Simulated::One(EventType::SubscriptionStateChange)) };
    assert_eq!(simulate(&trial, &without).await, Err(CannotSimulate::NoCapabilities));
    let other = of(Simulated::One(EventType::AccountPurged));
    assert_eq!(simulate(&trial, &other).await, Err(CannotSimulate::NotTold("account-purged")));
    assert!(receiver.got().is_empty());
    let new = |config: Config| {
        let keys = TrialKeys::fresh(SigningAlgorithm::EdDsa).expect("a key");
        Trial::new(client("rp"), config, Secrets::default(), ISSUER, keys, Clock::system()).err()
    };
    assert!(new(Config::default()).is_some(), "nowhere to send to");
    assert!(
        new(Config { format: Format::Poll, ..config(&receiver) }).is_some(),
        "nothing is sent to who polls"
    );
}

#[tokio::test]
async fn the_house_signs_a_simulation_with_its_own_ring() {
    let house = House::new().await;
    let receiver = Receiver::start().await;
    let signer = house.broker.signer().clone();
    let keys = TrialKeys::House(signer.clone());
    let config = Config { algorithm: SigningAlgorithm::Es256, ..config(&receiver) };
    let trial = Trial::new(client("rp"), config, Secrets::default(), ISSUER, keys, house.clock.clone());
    let one = of(Simulated::One(EventType::PasswordChange));
    simulate(&trial.expect("it can be tried"), &one).await.expect("simulated");
    assert!(verifies(&receiver.got()[0].token(), &signer.published()));
}
