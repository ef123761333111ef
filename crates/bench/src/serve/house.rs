//! The house as `highwater serve` composes it, as far as the benches need it.

use super::telemetry::Recording;
use super::verify as checks;
use crate::exhaustion::PER_ADDRESS;
use account::IdpId;
use anyhow::{Result, ensure};
use axum::Router;
use bearer::{Bearer, Ledgered};
use broker::Broker;
use idp::{IdpConfig, Idps};
use jose::Jwk;
use keys::{Callers, RootKey};
use ledger::{Capability, Ledger, Retention, Tombstones};
use sessions::Sessions;
use sessions::upstream::Upstream;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{Clock, Settings, Store};
use tokenserver::{NewUserSettings, Secret, Tokenserver};
use verify::{Asking, Options, Records, Verifier};
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

/// The issuer of the broker's tokens, and of those that are checked.
pub(crate) const ISSUER: &str = "https://accounts.example";

/// How long a node may take until it follows the feed.
const PATIENCE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(10);

/// A ledger and capabilities on one store, their workers running.
pub(super) struct House {
    pub(super) ledger: Ledger,
    /// What anybody may reach.
    pub(super) public: Router,
    /// What operators may.
    pub(super) admin: Router,
    /// What proxies and services may.
    pub(super) service: Router,
    pub(super) life: Lifecycle,
    /// What it says of itself.
    pub(super) recording: Recording,
}

impl House {
    /// Opens the store of that URL for a Tokenserver. The identity provider's server is at `idp`.
    pub(super) async fn open(store: &str, idp: &str) -> Result<Self> {
        Self::of_tokenserver(store, idp, NewUserSettings::default()).await
    }

    /// The same, with a budget for each address's new users.
    pub(super) async fn guarded(store: &str, idp: &str) -> Result<Self> {
        let new_users = NewUserSettings { per_address_per_hour: PER_ADDRESS, ..NewUserSettings::default() };
        Self::of_tokenserver(store, idp, new_users).await
    }

    async fn of_tokenserver(store: &str, idp: &str, new_users: NewUserSettings) -> Result<Self> {
        let ground = Ground::open(store)?;
        let idps = idps(idp)?;
        let tokenserver = tokenserver(&ground.store, &idps, &ground.tombstones, &ground.life, new_users)?;
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

    /// Opens the store of that URL for the token check, of tokens signed with that key. Returns once events are followed.
    pub(super) async fn of_bearer(store: &str, key: &str) -> Result<Checking> {
        let ground = Ground::open(store)?;
        let idps = checking_idps(key)?;
        let records = Ledgered::new(ground.store.clone(), ground.tombstones.clone());
        let of_accounts: Arc<dyn Records> = Arc::new(records.clone());
        let options = Options {
            asking: Asking::Introspect,
            derived_bytes: 0,
            records: Some(of_accounts),
            ..Options::default()
        };
        let verifier = Verifier::with(idps.clone(), &checks::settings(), options);
        let settings = bearer::Settings { policy: checks::policy()?, ..bearer::Settings::default() };
        let bearer = Bearer::new(settings, ground.store.clone(), idps, verifier, records)?;
        ground.store.migrate(&[keys::MIGRATIONS]).await?;
        let callers = Callers::new(ground.store.clone(), &ground.root);
        let house = Box::pin(ground.build(bearer.capability())).await?;
        let began = Instant::now();
        while !bearer.findings().iter().all(|it| it.detail.starts_with("at ")) {
            ensure!(began.elapsed() < PATIENCE, "the feed is not followed: {:?}", bearer.findings());
            tokio::time::sleep(STEP).await;
        }
        Ok(Checking { house, callers })
    }

    /// Opens the store of that URL, whose root key that is, for sessions.
    pub(super) async fn of_sessions(
        store: &str,
        key: &str,
        settings: sessions::Settings,
        upstream: Arc<dyn Upstream>,
        staff: Staff,
    ) -> Result<Keeping> {
        let ground = Ground::with(store, RootKey::parse(key)?)?;
        let (store, root, tombstones) = (ground.store.clone(), &ground.root, ground.tombstones.clone());
        let sessions = Sessions::new(settings, store.clone(), root, tombstones, upstream, &ground.life)?;
        ground.store.migrate(&[keys::MIGRATIONS]).await?;
        let mut capability = sessions.capability();
        if staff == Staff::Nobody {
            capability.workers.clear();
        }
        let callers = Callers::new(store.clone(), root);
        Ok(Keeping { house: Box::pin(ground.build(capability)).await?, callers, store })
    }
}

/// Whether what is to be done by itself is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Staff {
    Workers,
    Nobody,
}

/// A house that keeps sessions, and who may ask it to.
pub(super) struct Keeping {
    pub(super) house: House,
    pub(super) callers: Callers,
    pub(super) store: Store,
}

/// A house that checks tokens, and who may ask it to.
pub(super) struct Checking {
    pub(super) house: House,
    pub(super) callers: Callers,
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
        Self::with(store, RootKey::generate())
    }

    fn with(store: &str, root: RootKey) -> Result<Self> {
        let life = Lifecycle::new();
        let recording = Recording::install()?;
        life.spawn("metrics", recording.clone().tidy(life.stopping()));
        let store = Store::open(&Settings::at(store), Clock::system())?;
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
        let (mut public, mut admin, mut service) = (Router::new(), Router::new(), Router::new());
        for capability in capabilities {
            public = public.merge(capability.public.split_for_parts().0);
            admin = admin.merge(capability.admin.split_for_parts().0);
            service = service.merge(capability.service.split_for_parts().0);
            for worker in capability.workers {
                life.spawn(worker.name, (worker.run)(life.stopping()));
            }
        }
        Ok(House { ledger, public, admin, service, life: life.clone(), recording: self.recording.clone() })
    }
}

fn tokenserver(
    store: &Store,
    idps: &Idps,
    tombstones: &Tombstones,
    life: &Lifecycle,
    new_users: NewUserSettings,
) -> Result<Arc<Tokenserver>> {
    let settings = tokenserver::Settings {
        master_secret: Secret::new(MASTER_SECRET),
        metrics_hash_secret: Secret::new("the bench's metrics secret"),
        init_node_url: Some(NODE.to_owned()),
        init_node_capacity: CAPACITY,
        new_users,
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

/// The identity provider whose tokens are checked; its key is known beforehand.
pub(super) fn checking_idps(key: &str) -> Result<Idps> {
    let config = IdpConfig {
        primary_jwk: Some(Jwk::parse(key.as_bytes())?),
        fetch_keys: false,
        ..IdpConfig::new(IdpId::new(IDP)?, ISSUER, ACCOUNT_DOMAIN)
    };
    Ok(Idps::new(&[config])?)
}
