//! A service at work: what its users get, and how they are placed.

use crate::assign::Assigner;
use crate::rules::{Mapped, Pattern, Row, ServiceName, bucket_of};
use crate::secrets::Secrets;
use crate::settings::Served;
use crate::store::{FindRotation, Policy, ReadBuckets, SpreadBuckets};
use ledger::Tombstones;
use parking_lot::RwLock;
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
    /// Where its buckets are, as far as it was heard; none by another policy.
    buckets: RwLock<Vec<Option<Mapped>>>,
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
            buckets: RwLock::default(),
        }
    }

    /// Takes up what operators have said of it since.
    pub(crate) async fn follow(&self, store: &Store) -> Result<(), StoreError> {
        let rotation = store.scan(FindRotation(self.name.clone())).await?;
        self.secrets.follow(rotation.as_ref());
        if self.assigner.placement().policy == Policy::Bucketed {
            let (service, now) = (self.name.clone(), store.clock().now());
            store.run(SpreadBuckets { service, dry_run: false, first_only: true, now }).await?;
            *self.buckets.write() = store.scan(ReadBuckets(self.name.clone())).await?;
        }
        Ok(())
    }

    /// Takes rows that were left behind by their bucket for rows without a node. What was not heard yet is decided anew
    /// before anything is written.
    pub(crate) fn unsettle(&self, email: &str, rows: &mut [Row]) {
        if self.assigner.placement().policy == Policy::Bucketed
            && let Some(Some(mapped)) = self.buckets.read().get(bucket_of(email))
        {
            mapped.unsettle(rows);
        }
    }
}
