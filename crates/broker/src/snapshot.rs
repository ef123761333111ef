//! The registry as it is held in memory, never older than the transaction that asks.

use crate::registrations::Registration;
use crate::routing::Registry;
use crate::store::reconcile::missing;
use crate::store::registry::{Capabilities, KeptRp, load, revision};
use arc_swap::ArcSwap;
use keys::Cipher;
use std::sync::Arc;
use store::{Operation, StoreError, Tx};

/// The registry, read anew when its revision in the store is another one.
#[derive(Clone)]
pub(crate) struct Snapshots {
    pub(crate) cipher: Cipher,
    held: Arc<ArcSwap<Snapshot>>,
    /// Relying parties of files, until they are known to be in the store.
    awaited: Arc<ArcSwap<Vec<Registration>>>,
}

#[derive(Default)]
struct Snapshot {
    revision: String,
    registry: Arc<Registry>,
}

impl Snapshots {
    pub(crate) fn new(cipher: Cipher, files: &[Registration]) -> Self {
        Self { cipher, held: Arc::default(), awaited: Arc::new(ArcSwap::from_pointee(files.to_vec())) }
    }

    /// The files' relying parties are in the store: it speaks for them from now on.
    pub(crate) fn reconciled(&self) {
        self.awaited.store(Arc::default());
    }

    /// The registry as this transaction sees it. One row is read, unless it has changed.
    ///
    /// Held is what a transaction saw that may yet be rolled back; a revision is never used twice, so nobody after it
    /// mistakes that for what is there.
    pub(crate) async fn current(&self, tx: &mut Tx<'_>) -> Result<Arc<Registry>, StoreError> {
        let revision = revision(tx).await?;
        let held = self.held.load();
        if held.revision == revision {
            return Ok(Arc::clone(&held.registry));
        }
        let (rps, fetched) = load(tx, &self.cipher).await?;
        let registry = Arc::new(registry(rps, fetched, &self.awaited.load()));
        self.held.store(Arc::new(Snapshot { revision, registry: Arc::clone(&registry) }));
        Ok(registry)
    }
}

fn registry(rps: Vec<KeptRp>, fetched: Capabilities, awaited: &[Registration]) -> Registry {
    let awaited: Vec<_> = missing(awaited, &rps).collect();
    Registry::new(rps.into_iter().map(|kept| kept.rp).chain(awaited), fetched)
}

/// Reads the registry outside any other transaction.
pub(crate) struct ReadRegistry(pub(crate) Snapshots);

impl Operation for ReadRegistry {
    const NAME: &'static str = "broker.read_registry";
    type Output = Arc<Registry>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        self.0.current(tx).await
    }
}
