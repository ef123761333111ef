//! The whole walk through the built binary (the identity provider answers on a thread of its own): an event by a queue and by a signed token, in either order, ends the same
//! grants, once.

use crate::house::{House, Node};
use crate::http;
use crate::queue::Queue;
use serde_json::{Value, json};
use standins::{Device, SecurityEvent, StandInIdp};
use std::sync::Arc;
use std::time::Duration;
use store::Clock;
use testkit::wait_until;

const PATIENCE: Duration = Duration::from_mins(1);
const AUDIENCE: &str = "here";

/// A node between a stand-in identity provider and a queue.
struct World {
    idp: StandInIdp,
    queue: Queue,
    house: House,
    node: Node,
}

impl World {
    async fn new(name: &str) -> Self {
        let clock = Clock::system();
        let idp = StandInIdp::start(Arc::new(move || clock.now())).await.expect("it starts");
        let queue = Queue::new(name);
        let house = [
            ("IDP__0__ISSUERS", idp.url()),
            ("IDP__0__SERVER_URL", idp.url()),
            ("IDP__0__SET_AUDIENCE", AUDIENCE.to_owned()),
            ("INGEST__SQS__0__QUEUE_URL", queue.url.clone()),
            ("INGEST__SQS__0__REGION", "us-east-1".to_owned()),
            ("INGEST__SQS__0__ACCESS_KEY_ID", "local".to_owned()),
            ("INGEST__SQS__0__SECRET_ACCESS_KEY", "local".to_owned()),
            ("INGEST__SQS__0__WAIT_SECONDS", "1".to_owned()),
            ("INGEST__SQS__0__IDP", "fxa".to_owned()),
        ]
        .into_iter()
        .fold(House::new(), |house, (name, value)| house.with(name, &value));
        let node = house.serve(&[]);
        house.run(&["node", "add", "https://sync.example", "--capacity", "100"]).done();
        Self { idp, queue, house, node }
    }

    fn sign_in(&self, subject: &str) -> Device {
        Device::new(self.idp.sign_in(subject).expect("an account"))
    }

    /// What the device is told: the status, and the body's own word where it is refused.
    fn exchange(&self, device: &Device) -> (u16, Value) {
        let credentials = device.credentials();
        let headers: Vec<(&str, &str)> =
            credentials.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = http::get(self.node.at("public"), "/1.0/sync/1.5", &headers).expect("an answer");
        (answer.status, answer.json()["status"].clone())
    }

    fn told_by_token(&self, subject: &str, event: &SecurityEvent) {
        let bearer = format!("Bearer {}", self.idp.security_event(AUDIENCE, subject, event));
        let headers = [("Authorization", bearer.as_str())];
        let answer = http::ask(self.node.at("public"), "POST", "/1.0/webhooks/fxa/events", &headers, "");
        assert_eq!(answer.expect("an answer").status, 200);
    }

    async fn told_by_queue(&self, body: Value) {
        self.queue.send(&body);
        self.queue.send(&body);
        wait_until("both copies are acknowledged", PATIENCE, async || self.queue.left() == 0).await;
    }

    fn account(&self, subject: &str) -> Value {
        let mut account = self.house.run(&["--json", "account", "show", "fxa", subject]).json();
        for moment in ["first_seen_at", "updated_at", "subject"] {
            account.as_object_mut().expect("an object").remove(moment);
        }
        account
    }
}

fn in_queue(event: &str, subject: &str, at: i64) -> Value {
    let message = json!({ "event": event, "uid": subject, "timestamp": at }).to_string();
    json!({ "Type": "Notification", "Message": message })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_change_by_a_queue_and_by_a_token_counts_once_whichever_comes_first() {
    let world = World::new("two-sources").await;
    let refused = (401, json!("invalid-generation"));
    let mut ended = Vec::new();
    for (subject, queue_first) in [("a".repeat(32), true), ("b".repeat(32), false)] {
        world.idp.sign_up(&subject);
        let old = world.sign_in(&subject);
        assert_eq!(world.exchange(&old).0, 200);

        let at = world.idp.change_password(&subject).expect("an account");
        let token = SecurityEvent::PasswordChange(at);
        if queue_first {
            world.told_by_queue(in_queue("passwordChange", &subject, at)).await;
            assert_eq!(world.exchange(&old), refused, "by the queue alone");
            world.told_by_token(&subject, &token);
        } else {
            world.told_by_token(&subject, &token);
            assert_eq!(world.exchange(&old), refused, "by the token alone");
            world.told_by_queue(in_queue("passwordChange", &subject, at)).await;
        }
        assert_eq!(world.exchange(&old), refused);
        assert_eq!(world.exchange(&world.sign_in(&subject)).0, 200, "a fresh one is served");
        let mut account = world.account(&subject);
        assert_eq!((&account["version"], &account["mark"]), (&json!(1), &json!(at)), "one change, once");
        for moment in ["mark", "credential_at", "state_at"] {
            account.as_object_mut().expect("an object").remove(moment);
        }
        ended.push(account);
    }
    assert_eq!(ended[0], ended[1], "both ways end in the same row");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_account_is_refused_and_its_neighbour_is_not() {
    let world = World::new("deletion").await;
    let (gone, neighbour) = ("c".repeat(32), "d".repeat(32));
    world.idp.sign_up(&gone);
    world.idp.sign_up(&neighbour);
    let devices = [world.sign_in(&gone), world.sign_in(&neighbour)];
    assert!(devices.iter().all(|device| world.exchange(device).0 == 200));
    world.told_by_queue(json!({ "event": "delete", "uid": gone })).await;
    assert_eq!(devices.map(|device| world.exchange(&device).0), [401, 200]);
    assert_eq!(world.account(&gone)["state"], "deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_waiting_in_the_queue_while_the_node_is_killed() {
    let world = World::new("killed").await;
    let subject = "e".repeat(32);
    world.idp.sign_up(&subject);
    let old = world.sign_in(&subject);
    assert_eq!(world.exchange(&old).0, 200);
    let World { idp, queue, house, node } = world;
    node.kill();
    let at = idp.change_password(&subject).expect("an account");
    queue.send(&in_queue("passwordChange", &subject, at));
    let node = house.serve(&[]);
    let world = World { idp, queue, house, node };
    wait_until("taken in after the start", PATIENCE, async || world.queue.left() == 0).await;
    assert_eq!(world.exchange(&old).0, 401);
}
