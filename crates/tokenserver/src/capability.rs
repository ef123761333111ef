//! What this capability hands the binary.

use crate::admin::{self, Counter, Desk};
use crate::consequence::CarryIntoRows;
use crate::drain::{Drainer, TOPIC};
use crate::exchange::Tokenserver;
use crate::http::{nothing_else, public_routes};
use crate::purge::Purger;
use crate::secrets::Secrets;
use crate::settings::Served;
use crate::store::{AddNode, AddService, Added, MIGRATIONS, NodeChange};
use crate::{Hasher, Settings, service};
use idp::Idps;
use ledger::{Capability, Role, Worker};
use std::sync::Arc;
use std::time::Duration;
use store::{Store, StoreError};
use tokio_util::sync::CancellationToken;
use work::{Pace, work_through};

/// Its name, as effect rows carry it.
pub const CAPABILITY: &str = "tokenserver";
/// Between two tries to add what there is to begin with, while the store is down.
const PACE: Duration = Duration::from_secs(1);
/// How often it is looked for drains that were begun elsewhere.
const DRAINS: Pace = Pace::every(Duration::from_secs(5));
/// How often it is looked for what operators have said elsewhere.
const ORDERS: Pace = Pace::every(Duration::from_secs(5));

/// What every node of the house has of it: tables, the operators' routes, and what account events mean. Operators need
/// the settings, where there are any. With `serving` it serves too: the public routes, the node to begin with, drains.
pub fn capability(
    store: &Store,
    idps: Idps,
    settings: Option<&Settings>,
    serving: Option<Arc<Tokenserver>>,
) -> Capability {
    let consequence = CarryIntoRows::new(idps.clone(), store.clock().clone());
    let desk = desk(store, idps, settings);
    let workers = serving.as_ref().map(|serving| workers(serving, &desk)).unwrap_or_default();
    Capability {
        name: CAPABILITY,
        public: serving.map_or_else(|| nothing_else(store.clock().clone()), public_routes),
        admin: admin::routes(&desk),
        migrations: MIGRATIONS,
        consequence: Some(Arc::new(consequence)),
        workers,
        ..Capability::default()
    }
}

/// Operators can do all but purge and rotate where the settings cannot work; whoever serves by these is told.
fn desk(store: &Store, idps: Idps, settings: Option<&Settings>) -> Desk {
    let none = Settings::default();
    let works = settings.filter(|settings| settings.check().is_ok());
    let served = works.or(settings).unwrap_or(&none).served();
    let served = served.or_else(|_| none.served()).expect("without a word said there is the field's one");
    let counter = |it: Served| {
        let hasher = works.map(|settings| Hasher::new(&settings.metrics_hash_secret));
        let purger = hasher.and_then(|hasher| Purger::new(store.clone(), &it, hasher).ok());
        Arc::new(Counter {
            name: it.name,
            application: it.application,
            version: it.version,
            scope: it.scope,
            pattern: it.pattern.as_str().to_owned(),
            placement: Arc::new(it.placement),
            token_duration: it.token_duration_seconds,
            secrets: Secrets::new(if works.is_some() { &it.secrets } else { &[] }),
            purger,
        })
    };
    let services = served.into_iter().map(counter).collect();
    let shedding = works.unwrap_or(&none).shedding;
    Desk { store: store.clone(), idps, services, shedding }
}

fn workers(serving: &Arc<Tokenserver>, desk: &Desk) -> Vec<Worker> {
    let store = desk.store.clone();
    let placements = desk.services.iter().map(|it| Arc::clone(&it.placement)).collect();
    let drainer = Drainer::new(store.clone(), desk.idps.clone(), placements);
    let drains = async move |stop: CancellationToken| {
        let wake = store.signals().listen(TOPIC);
        work_through(stop.clone(), wake, DRAINS, || drainer.turn(&stop)).await;
    };
    vec![beginning(serving), orders(serving), Worker::new("tokenserver.drains", Some(Role::Token), drains)]
}

/// Follows what operators say of the services.
fn orders(serving: &Arc<Tokenserver>) -> Worker {
    let serving = Arc::clone(serving);
    let run = async move |stop: CancellationToken| {
        let wake = serving.store.signals().listen(service::TOPIC);
        work_through(stop, wake, ORDERS, || serving.follow()).await;
    };
    Worker::new("tokenserver.orders", Some(Role::Token), run)
}

/// Adds what there is to begin with: the services' rows, and a node for each that has one to begin with.
fn beginning(serving: &Arc<Tokenserver>) -> Worker {
    let served = serving.settings.served().expect("checked when it was put together");
    let store = serving.store.clone();
    let run = async move |stop: CancellationToken| {
        let add = async {
            for service in served {
                add_until_there(&store, service).await;
            }
        };
        stop.run_until_cancelled(add).await;
        stop.cancelled().await;
    };
    Worker::new("tokenserver.beginning", Some(Role::Token), run)
}

async fn add_until_there(store: &Store, service: Served) {
    while let Err(error) = add(store, &service).await {
        tracing::warn!(%error, service = %service.name, "the service or its first node cannot be added yet");
        tokio::time::sleep(PACE).await;
    }
}

/// All of the node's capacity is open at once.
async fn add(store: &Store, it: &Served) -> Result<(), StoreError> {
    let (service, pattern) = (it.name.clone(), it.pattern.as_str().to_owned());
    if store.run(AddService { service: service.clone(), pattern }).await? {
        tracing::info!(%service, "added the service");
    }
    let Some(node) = it.init_node.clone() else { return Ok(()) };
    let (capacity, rest) = (i64::from(it.init_node_capacity), NodeChange::default());
    match store.run(AddNode { service, node, capacity, available: capacity, rest }).await? {
        Added::New(node) => tracing::info!(node = node.url, capacity, "added the first node"),
        Added::There(node) => tracing::debug!(node, "the first node is there"),
    }
    Ok(())
}
