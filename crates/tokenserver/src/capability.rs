//! What this capability hands the binary.

use crate::Settings;
use crate::admin::{self, Desk};
use crate::consequence::CarryIntoRows;
use crate::drain::{Drainer, TOPIC};
use crate::exchange::{Tokenserver, placement};
use crate::http::{nothing_else, public_routes};
use crate::purge::Purger;
use crate::rules::NodeUrl;
use crate::store::{AddNode, Added, MIGRATIONS, NodeChange};
use idp::Idps;
use ledger::{Capability, Role, Worker};
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio_util::sync::CancellationToken;
use work::{Pace, work_through};

/// Its name, as effect rows carry it.
pub const CAPABILITY: &str = "tokenserver";
/// Between two tries to add the first node, while the store is down.
const PACE: Duration = Duration::from_secs(1);
/// How often it is looked for drains that were begun elsewhere.
const DRAINS: Pace = Pace::every(Duration::from_secs(5));

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

/// Operators can do all but purge where the settings cannot work; whoever serves by these is told.
fn desk(store: &Store, idps: Idps, settings: Option<&Settings>) -> Desk {
    let placement = Arc::new(placement(settings.unwrap_or(&Settings::default())));
    let purger = settings.and_then(|settings| Purger::new(store.clone(), settings).ok()).map(Arc::new);
    Desk { store: store.clone(), idps, placement, purger }
}

fn workers(serving: &Arc<Tokenserver>, desk: &Desk) -> Vec<Worker> {
    let store = desk.store.clone();
    let drainer = Drainer::new(store.clone(), desk.idps.clone(), Arc::clone(&desk.placement));
    let drains = async move |stop: CancellationToken| {
        let wake = store.signals().listen(TOPIC);
        work_through(stop.clone(), wake, DRAINS, || drainer.turn(&stop)).await;
    };
    let drains = Worker::new("tokenserver.drains", Some(Role::Token), drains);
    first_node(serving).into_iter().chain([drains]).collect()
}

/// Adds the node to begin with, once, when there is none of that URL.
fn first_node(tokenserver: &Arc<Tokenserver>) -> Option<Worker> {
    let settings = &tokenserver.settings;
    let node = settings.init_node().expect("checked when it was put together")?;
    let capacity = i64::from(settings.init_node_capacity);
    let store = tokenserver.store.clone();
    let run = async move |stop: CancellationToken| {
        stop.run_until_cancelled(add_until_there(store, node, capacity)).await;
        stop.cancelled().await;
    };
    Some(Worker::new("tokenserver.first_node", Some(Role::Token), run))
}

/// All of its capacity is open at once.
async fn add_until_there(store: Store, node: NodeUrl, capacity: i64) {
    loop {
        let rest = NodeChange::default();
        match store.run(AddNode { node: node.clone(), capacity, available: capacity, rest }).await {
            Ok(Added::New(node)) => tracing::info!(node = node.url, capacity, "added the first node"),
            Ok(Added::There(node)) => tracing::debug!(node, "the first node is there"),
            Err(error) => {
                tracing::warn!(%error, %node, "the first node cannot be added yet");
                tokio::time::sleep(PACE).await;
                continue;
            }
        }
        return;
    }
}
