//! What this capability hands the binary.

use crate::admin;
use crate::consequence::CarryIntoRows;
use crate::exchange::Tokenserver;
use crate::http::{nothing_else, public_routes};
use crate::rules::NodeUrl;
use crate::store::{AddNode, MIGRATIONS, NodeChange};
use idp::Idps;
use ledger::{Capability, Role, Worker};
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio_util::sync::CancellationToken;

/// Its name, as effect rows carry it.
pub const CAPABILITY: &str = "tokenserver";
/// Between two tries to add the first node, while the store is down.
const PACE: Duration = Duration::from_secs(1);

/// What every node of the house has of it: tables, the operators' routes, and what account events mean. With `serving`
/// it serves too: the public routes, and the node to begin with.
pub fn capability(store: &Store, idps: Idps, serving: Option<Arc<Tokenserver>>) -> Capability {
    let consequence = CarryIntoRows::new(idps, store.clock().clone());
    let workers = serving.as_ref().and_then(first_node).into_iter().collect();
    Capability {
        name: CAPABILITY,
        public: serving.map_or_else(|| nothing_else(store.clock().clone()), public_routes),
        admin: admin::routes(store.clone()),
        migrations: MIGRATIONS,
        consequence: Some(Arc::new(consequence)),
        workers,
        ..Capability::default()
    }
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
            Ok(Some(node)) => tracing::info!(node = node.url, capacity, "added the first node"),
            Ok(None) => tracing::debug!(%node, "the first node is there"),
            Err(error) => {
                tracing::warn!(%error, %node, "the first node cannot be added yet");
                tokio::time::sleep(PACE).await;
                continue;
            }
        }
        return;
    }
}
