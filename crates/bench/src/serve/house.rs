//! The house as `highwater serve` composes it, as far as the benches need it.

use super::telemetry::Recording;
use account::IdpId;
use anyhow::Result;
use axum::Router;
use broker::Broker;
use idp::{IdpConfig, Idps};
use keys::RootKey;
use ledger::{Capability, Ledger, Retention, Tombstones};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::{Clock, Settings, Store};
use tokenserver::{Secret, Tokenserver};
use verify::Verifier;
use work::Lifecycle;

/// The secret that the Tokenserver shares with its node.
pub(crate) const MASTER_SECRET: &str = "the bench's master secret";
/// The one node.
pub(crate) const NODE: &str = "https://node.example";
/// The identity provider's name in the house, and the domain of its accounts.
pub(super) const IDP: &str = "fxa";
pub(super) const ACCOUNT_DOMAIN: &str = "api.accounts.firefox.com";

/// Room for everybody.
const CAPACITY: i32 = 100_000_000;

/// The issuer of the broker's tokens.
const ISSUER: &str = "https://accounts.example";

/// A ledger and capabilities on one store, their workers running.
pub(super) struct House {
    pub(super) ledger: Ledger,
    /// What anybody may reach.
    pub(super) public: Router,
    /// What operators may.
    pub(super) admin: Router,
    pub(super) life: Lifecycle,
    /// What it says of itself.
    pub(super) recording: Recording,
}

impl House {
    /// Opens the store of that URL for a Tokenserver. The identity provider's server is at `idp`.
    pub(super) async fn open(store: &str, idp: &str) -> Result<Self> {
        let ground = Ground::open(store)?;
        let idps = idps(idp)?;
        let tokenserver = tokenserver(&ground.store, &idps, ground.tombstones.clone(), ground.life.clone())?;
        let house = Box::pin(ground.build(tokenserver::capability(
            &ground.store,
            idps.clone(),
            None,
            Some(tokenserver),
        )))
        .await?;
        for idp in &idps {
            house.life.spawn("idp", Arc::clone(idp).keep_fresh(house.life.stopping()));
        }
        Ok(house)
    }

    /// Opens the store of that URL for a broker.
    pub(super) async fn of_broker(store: &str) -> Result<Self> {
        let ground = Ground::open(store)?;
        let settings = broker::Settings { issuer: ISSUER.to_owned(), ..broker::Settings::default() };
        let (store, tombstones) = (ground.store.clone(), ground.tombstones.clone());
        let broker = Broker::new(settings, store, &ground.root, tombstones, BTreeMap::new(), &ground.life)?;
        Box::pin(ground.build(broker.capability())).await
    }
}

/// What every capability stands on.
struct Ground {
    store: Store,
    root: RootKey,
    tombstones: Tombstones,
    life: Lifecycle,
    recording: Recording,
}

impl Ground {
    fn open(store: &str) -> Result<Self> {
        let life = Lifecycle::new();
        let recording = Recording::install()?;
        life.spawn("metrics", recording.clone().tidy(life.stopping()));
        let store = Store::open(&Settings::at(store), Clock::system())?;
        let root = RootKey::generate();
        let tombstones = Tombstones::new(&root, Duration::ZERO);
        Ok(Self { store, root, tombstones, life, recording })
    }

    /// Brings the tables up to date and starts the workers.
    async fn build(&self, capability: Capability) -> Result<House> {
        let Self { store, tombstones, life, .. } = self;
        let consequences = capability.consequence.iter().cloned().collect();
        let ledger = Ledger::new(store.clone(), tombstones.clone(), consequences);
        let capabilities = [ledger.capability(Retention::default()), capability];
        store.migrate(&capabilities.each_ref().map(|capability| capability.migrations)).await?;
        ledger.register_capabilities().await?;
        life.spawn("store", store.clone().background(life.stopping()));
        let (mut public, mut admin) = (Router::new(), Router::new());
        for capability in capabilities {
            public = public.merge(capability.public.split_for_parts().0);
            admin = admin.merge(capability.admin.split_for_parts().0);
            for worker in capability.workers {
                life.spawn(worker.name, (worker.run)(life.stopping()));
            }
        }
        Ok(House { ledger, public, admin, life: life.clone(), recording: self.recording.clone() })
    }
}

fn tokenserver(
    store: &Store,
    idps: &Idps,
    tombstones: Tombstones,
    life: Lifecycle,
) -> Result<Arc<Tokenserver>> {
    let settings = tokenserver::Settings {
        master_secret: Secret::new(MASTER_SECRET),
        metrics_hash_secret: Secret::new("the bench's metrics secret"),
        init_node_url: Some(NODE.to_owned()),
        init_node_capacity: CAPACITY,
        ..tokenserver::Settings::default()
    };
    let verifier = Verifier::new(idps.clone(), &verify::Settings::default());
    Ok(Tokenserver::new(settings, store.clone(), idps.clone(), verifier, tombstones, life)?)
}

fn idps(server: &str) -> Result<Idps> {
    let config = IdpConfig {
        server_url: Some(server.to_owned()),
        ..IdpConfig::new(IdpId::new(IDP)?, server, ACCOUNT_DOMAIN)
    };
    Ok(Idps::new(&[config])?)
}
