//! A service at work: what its users get, and how they are placed.

use crate::assign::Assigner;
use crate::rules::{Pattern, ServiceName};
use crate::secrets::Secrets;
use crate::settings::Served;
use crate::store::FindRotation;
use ledger::Tombstones;
use std::sync::Arc;
use store::{Store, StoreError};
use work::Lifecycle;

/// Sent when an operator has said something of the services.
pub(crate) const TOPIC: &str = "tokenserver.services";

/// A service that tokens are given out for.
pub(crate) struct Service {
    pub(crate) name: ServiceName,
    pub(crate) application: String,
    pub(crate) version: String,
    pub(crate) pattern: Pattern,
    pub(crate) secrets: Secrets,
    /// Seconds, at most.
    pub(crate) token_duration: u64,
    pub(crate) node_type: String,
    pub(crate) assigner: Arc<Assigner>,
}

impl Service {
    /// One by these settings.
    pub(crate) fn new(served: Served, store: &Store, tombstones: &Tombstones, lifecycle: &Lifecycle) -> Self {
        let assigner = Assigner::new(store.clone(), served.placement, tombstones.clone(), lifecycle.clone());
        Self {
            secrets: Secrets::new(&served.secrets),
            name: served.name,
            application: served.application,
            version: served.version,
            pattern: served.pattern,
            token_duration: served.token_duration_seconds,
            node_type: served.node_type,
            assigner,
        }
    }

    /// Takes up what operators have said of it since.
    pub(crate) async fn follow(&self, store: &Store) -> Result<(), StoreError> {
        let rotation = store.scan(FindRotation(self.name.clone())).await?;
        self.secrets.follow(rotation.as_ref());
        Ok(())
    }
}
