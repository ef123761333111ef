//! What several processes know together: here several verifiers with one tier, one store and one identity provider. The tier
//! is a table in memory, so that each race can be brought about; the crate `shared` has the same on a real server.

mod board;
mod events;
mod failing;
mod knowing;

use account::{AccountId, IdpId, Mark, Millis, Subject};
use board::Board;
use futures::future::BoxFuture;
use idp::{IdpConfig, Idps, IntrospectionConfig, OpaqueTokens, Protocol};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use verify::{
    Answer, Asking, CheckError, Freshness, How, NoRecords, Options, Place, Record, Records, Refusal,
    Settings, Shared, SharedSecret, Verifier,
};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

const NOW: i64 = 1_700_000_000;
const ANY: Freshness = Freshness { max_age: None, stale_if_error: Duration::ZERO, patience: None };
const BRIEFLY: Duration = Duration::from_millis(60);

fn at(seconds: i64) -> Millis {
    Millis::from_seconds(NOW + seconds)
}

fn no_older_than(seconds: u64) -> Freshness {
    Freshness { max_age: Some(Duration::from_secs(seconds)), ..ANY }
}

fn account(subject: &str) -> AccountId {
    AccountId::new(IdpId::new("idp").expect("valid"), Subject::new(subject).expect("valid"))
}

fn token() -> String {
    format!("{:064x}", 1)
}

fn refused() -> Result<Answer, CheckError> {
    Err(CheckError::Refused(Refusal::IdentityProvider))
}

fn secret(byte: u8) -> SharedSecret {
    SharedSecret::new([byte; 32])
}

/// The store of the house: what happened to the one account there is.
#[derive(Clone)]
struct Store(Arc<Mutex<Kept>>);

struct Kept {
    epoch: &'static str,
    version: i64,
    /// Where its latest event is; `None`: it has no position yet.
    position: Option<i64>,
}

impl Records for Store {
    fn record<'a>(&'a self, account: &'a AccountId) -> BoxFuture<'a, Result<Record, NoRecords>> {
        Box::pin(async move { Ok(self.placed_record(account).await?.0) })
    }

    fn placed_record<'a>(
        &'a self,
        _: &'a AccountId,
    ) -> BoxFuture<'a, Result<(Record, Option<Place>), NoRecords>> {
        let kept = self.0.lock();
        let record = Record { version: kept.version, mark: Mark::NONE, ..Record::default() };
        let place = kept.position.map(|position| Place { epoch: kept.epoch.into(), position });
        Box::pin(async move { Ok((record, place)) })
    }
}

impl Store {
    /// An event of the account commits at that position.
    fn commits(&self, position: i64) {
        let mut kept = self.0.lock();
        kept.version += 1;
        kept.position = Some(position);
    }

    /// An event commits, and has no position yet.
    fn commits_unplaced(&self) {
        let mut kept = self.0.lock();
        kept.version += 1;
        kept.position = None;
    }

    fn is_restored(&self, epoch: &'static str, position: i64) {
        *self.0.lock() = Kept { epoch, version: 1, position: Some(position) };
    }
}

/// Everything that the nodes have in common.
struct Town {
    server: MockServer,
    board: Arc<Board>,
    store: Store,
}

impl Town {
    async fn new() -> Self {
        let store = Store(Arc::new(Mutex::new(Kept { epoch: "e", version: 0, position: Some(0) })));
        Self { server: MockServer::start().await, board: Arc::default(), store }
    }

    /// A node that has read the feed up to there.
    fn node(&self, position: i64) -> Verifier {
        self.node_with(position, secret(1), &[])
    }

    fn node_with(&self, position: i64, secret: SharedSecret, others: &[SharedSecret]) -> Verifier {
        let node = self.unfed_node(secret, others);
        node.feed_lost("e", position);
        node.feed_read(position, at(0));
        node
    }

    /// A node that has not read anything of the feed yet.
    fn unfed_node(&self, secret: SharedSecret, others: &[SharedSecret]) -> Verifier {
        let mut config =
            IdpConfig::new(IdpId::new("idp").expect("valid"), "https://idp.example", "idp.example");
        config.fetch_keys = false;
        config.opaque_tokens = OpaqueTokens::Hex64;
        config.introspection = IntrospectionConfig {
            protocol: Protocol::Rfc7662,
            url: Some(format!("{}/introspect", self.server.uri())),
            ..IntrospectionConfig::default()
        };
        let shared = Shared { tier: Arc::clone(&self.board) as _, secret, other_secrets: others.to_vec() };
        let options = Options {
            records: Some(Arc::new(self.store.clone())),
            asking: Asking::Introspect,
            shared: Some(shared),
            ..Options::default()
        };
        Verifier::with(Idps::new(&[config]).expect("valid"), &Settings::default(), options)
    }

    /// From now on the identity provider answers like this.
    async fn answers(&self, how: impl Respond + 'static) {
        self.server.reset().await;
        Mock::given(path("/introspect")).respond_with(how).mount(&self.server).await;
    }

    async fn questions(&self) -> usize {
        self.server.received_requests().await.expect("recorded").len()
    }
}

fn said(claims: &Value) -> ResponseTemplate {
    let mut whole = json!({ "active": true, "token_type": "Bearer", "sub": "u", "scope": "profile" });
    whole.as_object_mut().expect("an object").extend(claims.as_object().expect("an object").clone());
    ResponseTemplate::new(200).set_body_json(whole)
}

fn yes() -> ResponseTemplate {
    said(&json!({ "iat": NOW - 100, "exp": NOW + 3_600 }))
}

fn no() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({ "active": false }))
}

async fn check(node: &Verifier, freshness: &Freshness, now: Millis) -> Result<Answer, CheckError> {
    node.check(&token(), freshness, now).await
}

/// How one comes to an answer.
async fn how(node: &Verifier, freshness: &Freshness, now: Millis) -> How {
    check(node, freshness, now).await.expect("good").how
}

/// An identity provider where something happens while a question is on its way to it.
struct Meanwhile<F>(F, ResponseTemplate);

impl<F: Fn() + Send + Sync> Respond for Meanwhile<F> {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        (self.0)();
        self.1.clone()
    }
}
