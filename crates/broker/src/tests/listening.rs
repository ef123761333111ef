//! The local receiver, told by the simulator, by hand, and by a transmitter it polls.

use super::served::Served;
use super::*;
use crate::listen::{CannotPoll, Heard, Keys, Listener, Poller, Trust, Way, listen};
use crate::simulate::{Simulated, SimulatedDelivery, Simulation, simulate};
use crate::{Format, Secret, SigningAlgorithm, Trial, TrialKeys, Vocabulary};
use axum::Router;
use axum::routing::get;
use outbound::{Client, Manners, Url};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn trust(keys: Keys) -> Trust {
    Trust::new(keys, Some(ISSUER.into()), Some(client("rp")), vec![Secret::new(SECRET)]).expect("it can be")
}

fn of_set(keys: &TrialKeys) -> Keys {
    Keys::of_set(&keys.published()).expect("keys")
}

async fn listening(trust: Trust) -> (Served, mpsc::Receiver<Heard>) {
    let (router, heard) = listen(trust, Clock::system());
    (Served::new(router).await, heard)
}

fn fresh() -> TrialKeys {
    TrialKeys::fresh(SigningAlgorithm::EdDsa).expect("a key")
}

async fn simulated(
    at: &Served,
    keys: &TrialKeys,
    format: Format,
    event: Simulated,
) -> Vec<SimulatedDelivery> {
    let config = Config {
        webhook: Some(at.url("/any/path")),
        allow_private: true,
        algorithm: SigningAlgorithm::EdDsa,
        vocabulary: if format == Format::Push { Vocabulary::Ssf } else { Vocabulary::Fxa },
        format,
        ..Config::default()
    };
    let webhook = if format.is_token() { vec![] } else { vec![Secret::new(SECRET)] };
    let secrets = Secrets { webhook, ..Secrets::default() };
    let trial = Trial::new(client("rp"), config, secrets, ISSUER, keys.clone(), Clock::system());
    let subject = Some(Subject::new("u1").expect("valid"));
    let simulation = Simulation { event, capabilities: vec!["vpn".into()], subject };
    simulate(&trial.expect("it can be tried"), &simulation).await.expect("simulated")
}

async fn one(at: &Served, keys: &TrialKeys) -> SimulatedDelivery {
    let event = Simulated::One(crate::EventType::PasswordChange);
    simulated(at, keys, Format::FxaHeader, event).await.remove(0)
}

#[tokio::test]
async fn everything_that_is_sent_is_heard_as_it_was_said() {
    let keys = fresh();
    let (at, mut heard) = listening(trust(of_set(&keys))).await;
    for (format, way) in
        [(Format::FxaHeader, Way::FxaHeader), (Format::Push, Way::Push), (Format::WebhookHmac, Way::Webhook)]
    {
        let told = simulated(&at, &keys, format, Simulated::Any).await;
        assert!(told.len() > 5 && told.iter().all(SimulatedDelivery::is_delivered), "{told:?}");
        for told in told {
            let heard = heard.recv().await.expect("handed over");
            assert!(heard.is_good() && !heard.duplicate, "{heard:?}");
            assert_eq!((heard.way, heard.id.as_deref()), (way, Some(told.jti.as_str())));
            assert_eq!(heard.answered, told.status);
            let about_stream = told.event_type.is_control();
            assert_eq!(heard.subject.as_deref(), Some(if about_stream { "simulated" } else { "u1" }));
            if format.is_token() {
                assert_eq!(heard.event.as_deref(), Some(told.event_type.uri()));
                assert_eq!(heard.said.expect("claims")["events"][told.event_type.uri()], told.payload);
            }
        }
    }
}

#[tokio::test]
async fn keys_are_fetched_when_a_token_names_one_that_is_not_known() {
    let published = Arc::new(Mutex::new(None::<bytes::Bytes>));
    let set = Arc::clone(&published);
    let answer = move || {
        let set = set.lock().clone();
        async move {
            set.map_or((http::StatusCode::SERVICE_UNAVAILABLE, bytes::Bytes::new()), |it| {
                (http::StatusCode::OK, it)
            })
        }
    };
    let jwks = Served::new(Router::new().route("/jwks.json", get(answer))).await;
    let url: Url = jwks.url("/jwks.json").parse().expect("a URL");
    let keys = fresh();
    let told = async |keys: &TrialKeys| {
        // One that has not fetched yet, so that it may.
        let (at, mut heard) = listening(trust(Keys::at(&url).expect("a URL for keys"))).await;
        let told = one(&at, keys).await;
        (told.status, heard.recv().await.expect("handed over").refusal.map(|it| it.to_string()))
    };
    let unavailable = (Some(503), Some("the keys cannot be fetched now".to_owned()));
    assert_eq!(told(&keys).await, unavailable, "no verdict without keys");
    *published.lock() = Some(keys.published());
    assert_eq!(told(&keys).await, (Some(200), None));
    let stranger = (Some(401), Some("the key that signed it is not one of those trusted".to_owned()));
    assert_eq!(told(&fresh()).await, stranger);
}

#[tokio::test]
async fn a_key_of_ones_own_is_published_while_something_is_tried() {
    let private = jose::SigningKey::generate(jose::Algorithm::EdDsa).expect("a key").with_kid("mine");
    let private = private.to_private_jwk().expect("its JSON");
    let keys = TrialKeys::from_private_jwk(private.as_bytes()).expect("a key");
    assert_eq!(keys.algorithm(), Some(SigningAlgorithm::EdDsa));
    let jwks = Served::new(keys.routes()).await;
    let url = jwks.url("/.well-known/jwks.json").parse().expect("a URL");
    let (at, mut heard) = listening(trust(Keys::at(&url).expect("a URL for keys"))).await;
    assert_eq!(one(&at, &keys).await.status, Some(200));
    assert_eq!(heard.recv().await.expect("handed over").kid.as_deref(), Some("mine"));
    assert!(TrialKeys::from_private_jwk(b"{}").is_err());
}

#[tokio::test]
async fn what_comes_twice_is_taken_twice_and_told_apart() {
    let keys = fresh();
    let (at, mut heard) = listening(trust(of_set(&keys))).await;
    let client = Client::for_operator_addresses(&Manners::default()).expect("a client");
    let url: Url = at.url("/").parse().expect("a URL");
    let body = r#"{"type":"fxa.password_change","timestamp":"2026-09-10T00:26:40Z","data":{"sub":"u1"}}"#;
    let now = Clock::system().now().seconds().to_string();
    let tag = {
        use base64::Engine;
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &(0..32).collect::<Vec<u8>>());
        let tag = aws_lc_rs::hmac::sign(&key, format!("id-1.{now}.{body}").as_bytes());
        base64::engine::general_purpose::STANDARD.encode(tag)
    };
    for duplicate in [false, true] {
        let request = ["webhook-id", "webhook-timestamp", "webhook-signature"]
            .into_iter()
            .zip(["id-1".to_owned(), now.clone(), format!("v1,bm9uZQ== v1,{tag}")])
            .fold(client.post(&url, body.into()), |it, (name, value)| {
                it.header(http::HeaderName::from_static(name), value.parse().expect("a value"))
            });
        assert_eq!(request.send().await.expect("an answer").status(), 200);
        let heard = heard.recv().await.expect("handed over");
        assert_eq!((heard.duplicate, heard.event.as_deref()), (duplicate, Some("fxa.password_change")));
    }
    let get = client.get(&url).send().await.expect("an answer");
    assert_eq!(get.status(), 405);
}

#[tokio::test]
async fn a_good_receiver_needs_keys_and_secrets_that_can_be() {
    assert!(Keys::of_set(b"{\"keys\":[]}").is_err());
    assert!(Keys::of_set(b"[]").is_err());
    assert!(Keys::at(&"ftp://keys.example/".parse().expect("a URL")).is_err());
    for secret in ["whsec_AAAA", "whpk_AAAA", "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "secret"] {
        assert!(Trust::new(Keys::Nobody, None, None, vec![Secret::new(secret)]).is_err(), "{secret}");
    }
    let trusts_nobody = Trust::new(Keys::Nobody, None, None, vec![]).expect("it can be");
    let (at, mut heard) = listening(trusts_nobody).await;
    assert_eq!(one(&at, &fresh()).await.status, Some(401));
    assert_eq!(
        heard.recv().await.expect("handed over").event.expect("it can be read"),
        crate::EventType::PasswordChange.uri()
    );
}

#[tokio::test]
async fn where_nothing_can_be_sent_the_tokens_are_asked_for_and_acknowledged() {
    let house = House::new().await;
    let nowhere = Receiver::start().await;
    house.add("rp", &nowhere, |config, _| (config.format, config.webhook) = (Format::Poll, None)).await;
    let token = Secret::new(house.token_of("rp").await);
    house.logs_in("u1", "rp").await;
    house.happens("u1", 900, Change::PasswordChange).await;
    house.happens("u2", 900, Change::PasswordChange).await;
    let transmitter = Served::new(house.broker.capability().public.split_for_parts().0).await;
    let url: Url = transmitter.url("/ssf/poll").parse().expect("a URL");
    let known = Keys::of_set(&house.broker.signer().published()).expect("keys");
    let (listener, mut heard) = Listener::new(trust(known), house.clock.clone());
    let mut poller = Poller::new(listener, url.clone(), &token).expect("it can ask");
    poller.turn().await.expect("tokens");
    let first = heard.recv().await.expect("handed over");
    assert!(first.is_good(), "{first:?}");
    assert_eq!((first.way, first.subject.as_deref(), first.answered), (Way::Poll, Some("u1"), None));
    poller.settle().await.expect("an answer");
    assert_eq!(house.shown().await, ["rp u1 password-change delivered 0"]);
    house.happens("u1", 910, Change::PasswordChange).await;
    let stop = CancellationToken::new();
    let until_heard = async {
        let second = heard.recv().await.expect("handed over");
        stop.cancel();
        second
    };
    let (ran, second) = tokio::join!(poller.run(stop.clone()), until_heard);
    ran.expect("it was told to stop");
    assert!(second.is_good() && !second.duplicate && second.id != first.id);
    assert_eq!(house.shown().await[1], "rp u1 password-change delivered 0");

    // One that trusts another says so, and the transmitter hears it.
    house.happens("u1", 950, Change::PasswordChange).await;
    let (stranger, mut heard) = Listener::new(trust(of_set(&fresh())), house.clock.clone());
    let mut poller = Poller::new(stranger, url.clone(), &token).expect("it can ask");
    poller.turn().await.expect("tokens");
    assert!(!heard.recv().await.expect("handed over").is_good());
    poller.settle().await.expect("an answer");
    let after = house.shown().await;
    assert!(after[2].starts_with("rp u1 password-change ") && !after[2].contains("delivered"), "{after:?}");

    let (listener, _heard) = Listener::new(trust(Keys::Nobody), house.clock.clone());
    let mut uninvited = Poller::new(listener, url, &Secret::new("nobody")).expect("it can ask");
    assert!(matches!(uninvited.turn().await, Err(CannotPoll::Asking(_))));
}
