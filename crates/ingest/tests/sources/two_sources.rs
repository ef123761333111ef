//! The same changes told by a queue and by signed tokens, in either order: each is one change.

use crate::queue::{PATIENCE, Queue};
use account::{AccountId, IdpId, Mark, Millis, Subject};
use axum::Router;
use axum::body::Body;
use http::header::AUTHORIZATION;
use http::{Request, StatusCode};
use idp::{IdpConfig, Idps};
use ingest::{Ingest, Settings, capability};
use jose::{Algorithm, SigningKey};
use keys::RootKey;
use ledger::{Ledger, Standing, Tombstones};
use serde_json::{Value, json};
use std::time::Duration;
use store::testing::{START, engines};
use testkit::{data, wait_until};
use tower::ServiceExt;
use work::{Lifecycle, Tick};

const ISSUER: &str = "https://accounts.firefox.com";
const CLIENT: &str = "5882386c6d801776";
const AT: i64 = START.get() - 5_000;

/// Three accounts, and what happens to each.
fn uids() -> [String; 3] {
    [data::uid(1), data::uid(2), data::uid(3)]
}

fn messages() -> Vec<String> {
    let [changed, deleted, subscribed] = uids();
    let subscription = json!({
        "event": "subscription:update", "uid": subscribed, "eventCreatedAt": AT / 1000, "isActive": true,
        "productCapabilities": ["vpn"], "ts": 1_789_000_000.5
    });
    vec![data::password_reset(&changed, AT), data::delete(&deleted, AT), subscription.to_string()]
}

/// As Mozilla accounts mints them, two seconds later.
fn claims() -> Vec<Value> {
    let [changed, deleted, subscribed] = uids();
    let events = [
        (changed, "password-change", json!({ "changeTime": AT })),
        (deleted, "delete-user", json!({})),
        (
            subscribed,
            "subscription-state-change",
            json!({"capabilities": ["vpn"], "changeTime": AT, "isActive": true}),
        ),
    ];
    let claims = |(uid, name, payload): (String, &str, Value)| {
        let uri = format!("https://schemas.accounts.firefox.com/event/{name}");
        let issued_at = 1_788_999_997.25; // seconds
        json!({"aud": CLIENT, "events": {uri: payload}, "iat": issued_at, "jti": name, "sub": uid, "iss": ISSUER})
    };
    events.into_iter().map(claims).collect()
}

/// A node that reads the queue and has the webhook.
struct Node {
    ledger: Ledger,
    webhook: Router,
    life: Lifecycle,
    key: SigningKey,
}

impl Node {
    fn start(ledger: Ledger, queue: &Queue) -> Self {
        let key = SigningKey::generate(Algorithm::Rs256).expect("a key");
        let fxa = IdpId::new("fxa").expect("valid");
        let mut config = IdpConfig::new(fxa, ISSUER, "api.accounts.firefox.com");
        config.set_audience = Some(CLIENT.to_owned());
        config.primary_jwk = Some(key.jwk().clone());
        let settings = Settings { sqs: vec![queue.settings()], ..Settings::default() };
        let idps = Idps::new(&[config]).expect("an identity provider");
        let Ingest { capability, .. } = capability(&settings, &ledger, &idps).expect("settings");
        let life = Lifecycle::new();
        for worker in capability.workers {
            life.spawn(worker.name, (worker.run)(life.stopping()));
        }
        Self { ledger, webhook: capability.public.into(), life, key }
    }

    async fn hear_by_queue(&self, queue: &Queue) {
        queue.send(messages()).await;
        wait_until("the queue is empty", PATIENCE, async || queue.is_empty().await).await;
    }

    async fn hear_by_token(&self) {
        for claims in claims() {
            let header = json!({"alg": "RS256", "kid": self.key.kid()}).to_string();
            let token =
                self.key.sign_compact(header.as_bytes(), claims.to_string().as_bytes()).expect("signed");
            let request =
                Request::post("/1.0/webhooks/fxa/events").header(AUTHORIZATION, format!("Bearer {token}"));
            let request = request.body(Body::empty()).expect("a request");
            let response = self.webhook.clone().oneshot(request).await.expect("infallible");
            assert_eq!(response.status(), StatusCode::OK);
        }
    }

    /// How each account stands, and how many events there are about all of them.
    async fn end(self) -> (Vec<Standing>, usize) {
        self.life.stop();
        self.life.ended(PATIENCE).await.expect("no task dies");
        while self.ledger.clone().place().await == Tick::More {}
        let start = self.ledger.feed().start().await.expect("readable");
        let events = self.ledger.feed().after(&start).await.expect("readable").events;
        let mut standings = Vec::new();
        for uid in uids() {
            let fxa = IdpId::new("fxa").expect("valid");
            let account = AccountId::new(fxa, Subject::new(&uid).expect("valid"));
            standings.push(self.ledger.standing(&account).await.expect("readable").expect("known"));
        }
        (standings, events.len())
    }
}

#[tokio::test]
async fn a_change_told_by_a_queue_and_by_a_token_is_one_change_in_either_order() {
    let mut ends = Vec::new();
    for token_first in [false, true] {
        for test in engines(&[ledger::MIGRATIONS]).await {
            let tombstones = Tombstones::new(&RootKey::generate(), Duration::ZERO);
            let queue = Queue::fresh().await;
            let node = Node::start(Ledger::new(test.store.clone(), tombstones, vec![]), &queue);
            if token_first {
                node.hear_by_token().await;
                node.hear_by_queue(&queue).await;
            } else {
                node.hear_by_queue(&queue).await;
                node.hear_by_token().await;
            }
            ends.push(node.end().await);
        }
    }
    let (standings, events) = &ends[0];
    assert_eq!(*events, 3, "one for each account");
    assert!(standings.iter().all(|standing| standing.version == 1));
    assert_eq!(standings[0].mark, Mark::at(Millis::new(AT)));
    assert_eq!(standings[1].state, account::State::Deleted);
    assert!(ends.iter().all(|end| end == &ends[0]), "{ends:#?}");
}
