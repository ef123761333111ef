//! A node between a stand-in identity provider and, where one is asked for, a queue.

use crate::house::{House, Node};
use crate::http::{self, Answer};
use crate::queue::Queue;
use serde_json::{Value, json};
use standins::{Device, SecurityEvent, SignIn, StandInIdp};
use std::sync::Arc;
use std::time::Duration;
use store::Clock;
use testkit::wait_until;

pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
const AUDIENCE: &str = "here";

/// Everything around the node, and the node.
pub(crate) struct World {
    pub(crate) idp: StandInIdp,
    pub(crate) house: House,
    pub(crate) node: Node,
}

impl World {
    /// With settings of its own. Its one service node has room for a hundred users.
    pub(crate) async fn new(settings: &[(&str, &str)]) -> Self {
        let clock = Clock::system();
        let idp = StandInIdp::start(Arc::new(move || clock.now())).await.expect("it starts");
        let url = idp.url();
        let by_default = [
            ("IDP__0__ISSUERS", &*url),
            ("IDP__0__SERVER_URL", &*url),
            ("IDP__0__SET_AUDIENCE", AUDIENCE),
            // Machines that run tests are busy.
            ("STORE__READ_TIMEOUT_MS", "5000"),
        ];
        let all = by_default.iter().chain(settings);
        let house = all.fold(House::new(), |house, (name, value)| house.with(name, value));
        let node = house.serve(&[]);
        house.run(&["node", "add", "https://sync.example", "--capacity", "100"]).done();
        Self { idp, house, node }
    }

    /// With a queue of the identity provider's events.
    pub(crate) async fn with_queue(queue: &Queue) -> Self {
        Self::new(&[
            ("INGEST__SQS__0__QUEUE_URL", &queue.url),
            ("INGEST__SQS__0__REGION", "us-east-1"),
            ("INGEST__SQS__0__ACCESS_KEY_ID", "local"),
            ("INGEST__SQS__0__SECRET_ACCESS_KEY", "local"),
            ("INGEST__SQS__0__WAIT_SECONDS", "1"),
            // The server hands messages to a poll whose asker was killed, too; they come again after this.
            ("INGEST__SQS__0__VISIBILITY_TIMEOUT_SECONDS", "2"),
            ("INGEST__SQS__0__IDP", "fxa"),
        ])
        .await
    }

    pub(crate) fn sign_in(&self, subject: &str) -> SignIn {
        self.idp.sign_in(subject).expect("an account")
    }

    /// The user changes the password, at a later millisecond than anything before: a token granted in the very
    /// millisecond of a change counts as granted after it.
    pub(crate) async fn change_password(&self, subject: &str) -> i64 {
        let clock = Clock::system();
        let now = clock.now();
        wait_until("time passes", PATIENCE, async || clock.now() > now).await;
        self.idp.change_password(subject).expect("an account")
    }

    pub(crate) fn ask(&self, sign_in: &SignIn) -> Answer {
        exchange(self.node.at("public"), sign_in)
    }

    /// What a device is told: the status, and the body's own word where it is refused.
    pub(crate) fn exchange(&self, sign_in: &SignIn) -> (u16, Value) {
        let answer = self.ask(sign_in);
        (answer.status, answer.json()["status"].clone())
    }

    pub(crate) fn told_by_token(&self, subject: &str, event: &SecurityEvent) {
        let bearer = format!("Bearer {}", self.idp.security_event(AUDIENCE, subject, event));
        let headers = [("Authorization", bearer.as_str())];
        let answer = http::ask(self.node.at("public"), "POST", "/1.0/webhooks/fxa/events", &headers, "");
        assert_eq!(answer.expect("an answer").status, 200);
    }

    /// How the account stands, but for the moments of this run and its name.
    pub(crate) fn account(&self, subject: &str) -> Value {
        let mut account = self.house.run(&["--json", "account", "show", "fxa", subject]).json();
        for member in ["first_seen_at", "updated_at", "subject"] {
            account.as_object_mut().expect("an object").remove(member);
        }
        account
    }
}

/// Asks for a token, as a device does.
pub(crate) fn exchange(address: &str, sign_in: &SignIn) -> Answer {
    let credentials = Device::new(sign_in.clone()).credentials();
    let headers: Vec<(&str, &str)> =
        credentials.iter().map(|(name, value)| (*name, value.as_str())).collect();
    http::get(address, "/1.0/sync/1.5", &headers).expect("an answer")
}

/// The event as the queue has it, twice, until both copies are acknowledged.
pub(crate) async fn told_by_queue(queue: &Queue, body: Value) {
    queue.send(&body);
    queue.send(&body);
    wait_until("both copies are acknowledged", PATIENCE, async || queue.left() == 0).await;
}

/// An event inside the notification that carries it.
pub(crate) fn in_queue(event: &str, subject: &str, at: i64) -> Value {
    let message = json!({ "event": event, "uid": subject, "timestamp": at }).to_string();
    json!({ "Type": "Notification", "Message": message })
}
