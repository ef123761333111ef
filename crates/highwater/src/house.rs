//! Everything that stands on one store, put together: the ledger, the capabilities, what each hands the binary.
//!
//! `serve` runs it; commands open it for one request; both ask the same routes.

mod sessions;

use crate::admin::{self, Door};
use crate::roles::Roles;
use crate::settings::Settings;
use crate::signing::HouseKeys;
use ::sessions::Sessions;
use anyhow::{Context, Result, ensure};
use axum::Router;
use bearer::{Bearer, Ledgered};
use broker::Broker;
use idp::{Idp, Idps};
use keys::{Callers, RootKey};
use ledger::{Capability, Ledger, Role, Tombstones, Worker};
use shared::Tier;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Clock, Engine, Migration, MigrationReport, Store, StoreError};
use tokenserver::Tokenserver;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use verify::{Asking, Options, Records, Shared, Verifier};
use work::Lifecycle;

/// The composed whole.
pub(crate) struct House {
    pub(crate) store: Store,
    pub(crate) callers: Callers,
    pub(crate) ledger: Ledger,
    pub(crate) bearer: Option<Bearer>,
    pub(crate) broker: Option<Broker>,
    pub(crate) sessions: Option<Sessions>,
    pub(crate) idps: Option<Idps>,
    pub(crate) capabilities: Vec<Capability>,
    /// The sources of events, each with what can be asked how it is.
    pub(crate) sources: BTreeMap<String, ingest::Health>,
}

/// Who serves: as what, and for how long.
#[derive(Clone, Copy)]
pub(crate) struct Serving<'a> {
    pub(crate) life: &'a Lifecycle,
    pub(crate) roles: &'a Roles,
}

impl Serving<'_> {
    fn does(&self, role: Role) -> bool {
        self.roles.any(&[role])
    }
}

impl House {
    /// Opens the store and composes what stands on it: all that commands need, and for those who serve their routes.
    /// A PostgreSQL that is down is found out later: by then the listeners can say so.
    pub(crate) fn open(settings: &Settings, serving: Option<Serving<'_>>) -> Result<Self> {
        let root = root_key(settings)?;
        let store = Store::open(&settings.store, Clock::system())?;
        let tombstones = Tombstones::new(&root, Tombstones::LEAST_LIFE);
        let idps = idps(settings, serving)?;
        let mut capabilities = Vec::new();
        if let Some(idps) = &idps {
            let exchanges = serving.filter(|serving| serving.does(Role::Token));
            let served = exchanges.map(|it| tokenserver(settings, &store, idps, &tombstones, it.life));
            let served = served.transpose()?.flatten();
            capabilities.push(tokenserver_of(&store, idps, settings, served));
            capabilities.push(fresh_keys(idps));
        }
        let shared = settings.bearer.as_ref().and_then(|own| own.shared.clone()).map(Tier::new);
        capabilities.extend(shared.as_ref().map(connected));
        let bearer = bearer(settings, &store, idps.as_ref(), &tombstones, shared)?;
        capabilities.extend(bearer.as_ref().map(|it| bearer_of(it, serving)));
        let broker = broker(settings, &store, &root, &tombstones, serving)?;
        capabilities.extend(broker.as_ref().map(|it| broker_of(it, serving)));
        if let (Some(bearer), Some(broker)) = (&bearer, &broker) {
            bearer.sign_with(Arc::new(HouseKeys::new(broker.clone())));
        }
        let sessions = sessions::open(settings, &store, &root, idps.as_ref(), &tombstones, serving)?;
        capabilities.extend(sessions.as_ref().map(|it| sessions::capability(it, serving)));
        let consequences = capabilities.iter().filter_map(|it| it.consequence.clone()).collect();
        let ledger = Ledger::new(store.clone(), tombstones, consequences);
        capabilities.insert(0, ledger.capability(settings.retention));
        let mut sources = BTreeMap::new();
        if let Some(idps) = &idps {
            let ingest = ingest::capability(&settings.ingest, &ledger, idps).context("ingest")?;
            let takes_in = serving.is_some_and(|serving| serving.does(Role::Ingest));
            let public = if takes_in { ingest.capability.public } else { OpenApiRouter::default() };
            capabilities.push(Capability { public, ..ingest.capability });
            sources = if takes_in { ingest.sources } else { BTreeMap::new() };
        }
        let callers = Callers::new(store.clone(), &root);
        Ok(Self { store, callers, ledger, bearer, broker, sessions, idps, capabilities, sources })
    }

    /// What brings the tables up to date.
    pub(crate) fn schema(&self) -> Schema {
        let own = [keys::MIGRATIONS, import::MIGRATIONS];
        let steps = own.into_iter().chain(self.capabilities.iter().map(|it| it.migrations)).collect();
        Schema { ledger: self.ledger.clone(), steps }
    }

    /// For a command that opened the store itself: a file of its own is brought up to date, a shared database is not
    /// touched behind the back of the nodes that use it.
    pub(crate) async fn bring_up_to_date(&self) -> Result<()> {
        let schema = self.schema();
        if self.store.engine() == Engine::Sqlite {
            schema.refuse_a_later_file().await?;
            schema.migrate().await?;
            return Ok(());
        }
        let pending = schema.pending().await.context("the database")?;
        ensure!(
            pending.applied.is_empty(),
            "the database's tables are not up to date; run `highwater migrate`"
        );
        Ok(())
    }

    /// What each route of a listener takes and answers.
    pub(crate) fn describe(&mut self, door: Door) -> OpenApi {
        let mut whole = admin::description(door);
        if door == Door::Admin {
            whole.merge(self.own_admin().to_openapi());
        }
        for it in &mut self.capabilities {
            whole.merge(match door {
                Door::Public => it.public.to_openapi(),
                Door::Service => it.service.to_openapi(),
                Door::Admin => it.admin.to_openapi(),
            });
        }
        admin::complete(whole)
    }

    /// The admin API's part that is no capability's.
    fn own_admin(&self) -> OpenApiRouter {
        admin::tokens::routes(self.callers.clone()).merge(admin::importing::routes(self.store.clone()))
    }

    /// The admin API, all of it, with no question asked who calls. To be taken before the other routes are.
    pub(crate) fn admin_api(&mut self) -> Router {
        let descriptions = Door::ALL.map(|door| (door, self.describe(door)));
        let own = self.own_admin();
        let routes =
            self.capabilities.iter_mut().fold(own, |api, it| api.merge(std::mem::take(&mut it.admin)));
        admin::with_descriptions(routes.into(), descriptions)
    }
}

/// Every step that this version knows, of whatever is configured or not.
static EVERY_STEP: [&[Migration]; 7] = [
    keys::MIGRATIONS,
    import::MIGRATIONS,
    ledger::MIGRATIONS,
    tokenserver::MIGRATIONS,
    bearer::MIGRATIONS,
    broker::MIGRATIONS,
    ::sessions::MIGRATIONS,
];

/// The tables of the house.
pub(crate) struct Schema {
    ledger: Ledger,
    steps: Vec<&'static [Migration]>,
}

impl Schema {
    /// Fails where a later version has brought a SQLite file up to date: it may have taken away what this one looks for, and
    /// what this one writes may lack what that one needs. (PostgreSQL is never without what a version before needs: there
    /// nodes of both run side by side.)
    pub(crate) async fn refuse_a_later_file(&self) -> Result<()> {
        if self.ledger.store().engine() == Engine::Postgres {
            return Ok(());
        }
        // What is not configured now may have been before.
        let is_known =
            |name: &String| EVERY_STEP.iter().copied().flatten().any(|step| step.name == name.as_str());
        let unknown: Vec<String> = match self.pending().await {
            Ok(report) => report.unknown.into_iter().filter(|name| !is_known(name)).collect(),
            Err(error) if error.is_outage() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        ensure!(
            unknown.is_empty(),
            "a later version of Highwater has brought the database file up to date ({}), and there is no way back; run \
             that version, or put the file's copy from before in its place",
            unknown.join(", ")
        );
        Ok(())
    }

    /// Applies what is missing, and makes this node's capabilities known.
    pub(crate) async fn migrate(&self) -> Result<MigrationReport, StoreError> {
        let report = self.ledger.store().migrate(&self.steps).await?;
        self.ledger.register_capabilities().await?;
        Ok(report)
    }

    /// Whether users are still being imported: until that has ended nothing is to be done for any.
    pub(crate) async fn waits_for_an_import(&self) -> Result<bool, StoreError> {
        import::is_under_way(self.ledger.store()).await
    }

    /// What is missing.
    pub(crate) async fn pending(&self) -> Result<MigrationReport, StoreError> {
        self.ledger.store().pending_migrations(&self.steps).await
    }
}

/// The identity providers. A command that asks none of them works without one; what serves does not.
fn idps(settings: &Settings, serving: Option<Serving<'_>>) -> Result<Option<Idps>> {
    if settings.idp.is_empty() && serving.is_none() {
        return Ok(None);
    }
    Ok(Some(Idps::new(&settings.idp)?))
}

/// The Tokenserver, where it is configured.
fn tokenserver(
    settings: &Settings,
    store: &Store,
    idps: &Idps,
    tombstones: &Tombstones,
    life: &Lifecycle,
) -> Result<Option<Arc<Tokenserver>>> {
    let Some(own) = settings.tokenserver.clone() else { return Ok(None) };
    let verifier = Verifier::new(idps.clone(), &settings.verify);
    let built = Tokenserver::new(own, store.clone(), idps.clone(), verifier, tombstones, life);
    built.map(Some).context("tokenserver")
}

/// What the Tokenserver does here. Nobody changes its users while they are still imported.
fn tokenserver_of(
    store: &Store,
    idps: &Idps,
    settings: &Settings,
    serving: Option<Arc<Tokenserver>>,
) -> Capability {
    let own = settings.tokenserver.as_ref();
    let capability = tokenserver::capability(store, idps.clone(), own, serving);
    Capability { admin: admin::importing::held_back(capability.admin, store.clone()), ..capability }
}

/// The token check, where it is configured. What it remembers of tokens knows the ledger.
fn bearer(
    settings: &Settings,
    store: &Store,
    idps: Option<&Idps>,
    tombstones: &Tombstones,
    tier: Option<Arc<Tier>>,
) -> Result<Option<Bearer>> {
    let (Some(own), Some(idps)) = (settings.bearer.clone(), idps) else { return Ok(None) };
    let records = Ledgered::new(store.clone(), tombstones.clone());
    let records_of_accounts: Arc<dyn Records> = Arc::new(records.clone());
    let secrets = own.shared.as_ref().and_then(shared::Settings::secrets);
    let shared =
        tier.zip(secrets).map(|(tier, (secret, other_secrets))| Shared { tier, secret, other_secrets });
    // Nothing is derived from facts here: the room is for tokens.
    let options =
        Options { asking: Asking::Introspect, derived_bytes: 0, records: Some(records_of_accounts), shared };
    let verifier = Verifier::with(idps.clone(), &settings.verify, options);
    Bearer::new(own, store.clone(), idps.clone(), verifier, records).map(Some).context("bearer")
}

/// What the token check does here: every node keeps its accounts in step; those whose role it is answer.
fn bearer_of(bearer: &Bearer, serving: Option<Serving<'_>>) -> Capability {
    let capability = bearer.capability();
    if serving.is_some_and(|serving| serving.does(Role::Verify)) {
        return capability;
    }
    Capability { public: OpenApiRouter::default(), service: OpenApiRouter::default(), ..capability }
}

/// The broker, where it is configured.
fn broker(
    settings: &Settings,
    store: &Store,
    root: &RootKey,
    tombstones: &Tombstones,
    serving: Option<Serving<'_>>,
) -> Result<Option<Broker>> {
    let Some(own) = settings.broker.clone() else { return Ok(None) };
    let issuers = settings.idp.iter().filter_map(|it| Some((it.id.clone(), it.issuers.first()?.clone())));
    let life = serving.map_or_else(Lifecycle::new, |serving| serving.life.clone());
    Ok(Some(Broker::new(own, store.clone(), root, tombstones.clone(), issuers.collect(), &life)?))
}

/// What the broker does here: every node writes deliveries; those whose role it is send them, and answer the relying
/// parties that ask.
fn broker_of(broker: &Broker, serving: Option<Serving<'_>>) -> Capability {
    let capability = broker.capability();
    let delivers = serving.is_some_and(|serving| serving.does(Role::Deliver));
    let public = if delivers { capability.public } else { OpenApiRouter::default() };
    Capability { public, ..capability }
}

/// The loop that keeps the nodes' shared memory connected.
fn connected(tier: &Arc<Tier>) -> Capability {
    let tier = Arc::clone(tier);
    let worker = Worker::new("bearer.shared", Some(Role::Verify), move |stop| tier.keep_connected(stop));
    Capability { name: "shared", workers: vec![worker], ..Capability::default() }
}

/// The loops that keep the identity providers' keys fresh.
fn fresh_keys(idps: &Idps) -> Capability {
    let worker = |idp: &Arc<Idp>| {
        let idp = Arc::clone(idp);
        Worker::new("idp.keys", None, move |stop| idp.keep_fresh(stop))
    };
    Capability { name: "idp", workers: idps.iter().map(worker).collect(), ..Capability::default() }
}

fn root_key(settings: &Settings) -> Result<RootKey> {
    settings.keys.root.clone().context(
        "no root key: `highwater init` writes a configuration with a fresh one (or set keys.root, or HIGHWATER__KEYS__ROOT)",
    )
}
