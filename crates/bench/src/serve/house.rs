//! The house as `highwater serve` composes it, as far as the benches need it.

use super::telemetry;
use account::IdpId;
use anyhow::Result;
use axum::Router;
use idp::{IdpConfig, Idps};
use keys::RootKey;
use ledger::{Capability, Ledger, Retention, Tombstones};
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

/// A ledger and a Tokenserver on one store, their workers running.
pub(super) struct House {
    pub(super) ledger: Ledger,
    /// What anybody may reach.
    pub(super) public: Router,
    pub(super) life: Lifecycle,
}

impl House {
    /// Opens the store of that URL and brings its tables up to date. The identity provider's server is at `idp`.
    pub(super) async fn open(store: &str, idp: &str) -> Result<Self> {
        let life = Lifecycle::new();
        life.spawn("metrics", telemetry::install()?(life.stopping()));
        let store = Store::open(&Settings::at(store), Clock::system())?;
        let tombstones = Tombstones::new(&RootKey::generate(), Duration::ZERO);
        let idps = idps(idp)?;
        let tokenserver = tokenserver(&store, &idps, tombstones.clone(), life.clone())?;
        let tokenserver = tokenserver::capability(&store, idps.clone(), Some(tokenserver));
        let consequences = tokenserver.consequence.iter().cloned().collect();
        let ledger = Ledger::new(store.clone(), tombstones, consequences);
        let capabilities = [ledger.capability(Retention::default()), tokenserver];
        store.migrate(&capabilities.each_ref().map(|capability| capability.migrations)).await?;
        ledger.register_capabilities().await?;
        life.spawn("store", store.background(life.stopping()));
        for idp in &idps {
            life.spawn("idp", Arc::clone(idp).keep_fresh(life.stopping()));
        }
        Ok(Self { ledger, public: start(capabilities, &life), life })
    }
}

/// Starts the workers; what anybody may reach is given back.
fn start(capabilities: impl IntoIterator<Item = Capability>, life: &Lifecycle) -> Router {
    let mut public = Router::new();
    for capability in capabilities {
        let (routes, _) = capability.public.split_for_parts();
        public = public.merge(routes);
        for worker in capability.workers {
            life.spawn(worker.name, (worker.run)(life.stopping()));
        }
    }
    public
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
