//! Against a real Redis: plain, by TLS, as a cluster; killed, held up, spoiled and searched for secrets.

mod keeping;
mod losing;
mod processes;
mod secrecy;

use account::{AccountId, IdpId, Millis};
use aws_lc_rs::rand;
use futures::future::BoxFuture;
use idp::{IdpConfig, Idps, OpaqueTokens};
use serde_json::{Value, json};
use shared::{Settings, Tier};
use standins::{AccessClaims, StandInIdp};
use std::sync::Arc;
use std::time::Duration;
use testkit::{Redis, wait_until};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use verify::{
    Answer, Asking, CheckError, Freshness, How, NoRecords, Options, Place, Record, Records,
    Settings as Checking, Shared, SharedTier, Verifier,
};

const NOW: Millis = Millis::new(1_800_000_000_000);
const PATIENCE: Duration = Duration::from_mins(1);
const ANY: Freshness = Freshness { max_age: None, stale_if_error: Duration::ZERO, patience: None };

/// What `bearer.shared` would say, with something changed.
fn settings(url: &str, change: &Value) -> Settings {
    // Machines that run tests are busy: an answer may take its time.
    let mut whole = json!({ "url": url, "secrets": ["A".repeat(43)], "response_timeout_ms": 5_000, "connect_timeout_ms": 10_000 });
    whole.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
    let settings: Settings = serde_json::from_value(whole).expect("settings");
    settings.check().expect("settings that work");
    settings
}

/// A tier that is kept connected for as long as this lives.
struct Connected {
    tier: Arc<Tier>,
    _keeping: JoinSet<()>,
}

impl Connected {
    /// It may not be connected yet.
    fn begin(settings: Settings) -> Self {
        let (tier, mut keeping) = (Tier::new(settings), JoinSet::new());
        keeping.spawn(Arc::clone(&tier).keep_connected(CancellationToken::new()));
        Self { tier, _keeping: keeping }
    }

    async fn to(settings: Settings) -> Self {
        let connected = Self::begin(settings);
        connected.is_well().await;
        connected
    }

    async fn is_well(&self) {
        wait_until("it is connected", PATIENCE, async || self.tier.trouble().is_none()).await;
    }

    async fn is_in_trouble(&self) -> String {
        let trouble = || self.tier.trouble().filter(|trouble| trouble != "not connected yet");
        wait_until("it is in trouble", PATIENCE, async || trouble().is_some()).await;
        trouble().expect("it is")
    }

    /// A verifier of this identity provider's tokens, one of several with what this tier keeps.
    fn verifier(&self, idp: &StandInIdp) -> Verifier {
        let shared = Shared {
            tier: Arc::clone(&self.tier) as Arc<dyn SharedTier>,
            secret: verify::SharedSecret::new([1; 32]),
            other_secrets: vec![],
        };
        verifier(&idp.url(), Some(shared))
    }
}

fn verifier(idp: &str, shared: Option<Shared>) -> Verifier {
    let mut config = IdpConfig::new(IdpId::new("idp").expect("valid"), idp, "idp.example");
    config.fetch_keys = false;
    config.server_url = Some(idp.to_owned());
    config.opaque_tokens = OpaqueTokens::Hex64;
    config.introspection.requests_per_minute = Some(1_000_000);
    config.introspection.burst = 100_000;
    let options = Options {
        records: Some(Arc::new(Uneventful)),
        asking: Asking::Introspect,
        shared,
        ..Options::default()
    };
    let verifier = Verifier::with(Idps::new(&[config]).expect("valid"), &Checking::default(), options);
    verifier.feed_lost("e", 0);
    verifier.feed_read(0, NOW);
    verifier
}

/// A store in which nothing ever happened to anybody.
struct Uneventful;

impl Records for Uneventful {
    fn record<'a>(&'a self, _: &'a AccountId) -> BoxFuture<'a, Result<Record, NoRecords>> {
        Box::pin(async { Ok(Record::default()) })
    }

    fn placed_record<'a>(
        &'a self,
        _: &'a AccountId,
    ) -> BoxFuture<'a, Result<(Record, Option<Place>), NoRecords>> {
        Box::pin(async { Ok((Record::default(), Some(Place { epoch: "e".into(), position: 0 }))) })
    }
}

async fn idp() -> StandInIdp {
    StandInIdp::start(Arc::new(|| NOW)).await.expect("it starts")
}

/// An opaque token of that account.
fn token(idp: &StandInIdp, subject: &str) -> String {
    idp.mint_opaque(&AccessClaims::new(subject, NOW.get() - 9_000, NOW.seconds() - 5))
}

/// A token of nobody's.
fn unknown_token() -> String {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).expect("the system has randomness");
    hex::encode(bytes)
}

async fn how(verifier: &Verifier, token: &str) -> How {
    check(verifier, token).await.expect("good").how
}

async fn check(verifier: &Verifier, token: &str) -> Result<Answer, CheckError> {
    verifier.check(token, &ANY, NOW).await
}
