use crate::store::record::{ReadPlacedRecord, ReadRecord};
use account::AccountId;
use futures::FutureExt;
use futures::future::BoxFuture;
use ledger::Tombstones;
use std::time::Duration;
use store::{Store, StoreError};
use verify::{NoRecords, Place, Record, Records};

/// How long to stay away when the store does not do its part.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What the ledger has on record of accounts, for the [`verify::Verifier`]: one point read for each token that something
/// is newly learned of.
#[derive(Clone)]
pub struct Ledgered {
    store: Store,
    tombstones: Tombstones,
}

impl Ledgered {
    /// The records in that store.
    pub fn new(store: Store, tombstones: Tombstones) -> Self {
        Self { store, tombstones }
    }

    pub(crate) async fn read(&self, account: &AccountId) -> Result<Record, NoRecords> {
        let tombstone = self.tombstones.hash(account);
        self.store
            .read(&ReadRecord { account, tombstone: &tombstone })
            .await
            .map_err(|error| cannot_be_read(&error))
    }

    async fn read_placed(&self, account: &AccountId) -> Result<(Record, Option<Place>), NoRecords> {
        let tombstone = self.tombstones.hash(account);
        self.store
            .read(&ReadPlacedRecord { account, tombstone: &tombstone })
            .await
            .map_err(|error| cannot_be_read(&error))
    }

    /// The account's hash in the table of tombstones.
    pub(crate) fn tombstone(&self, account: &AccountId) -> String {
        self.tombstones.hash(account)
    }
}

impl Records for Ledgered {
    fn record<'a>(&'a self, account: &'a AccountId) -> BoxFuture<'a, Result<Record, NoRecords>> {
        self.read(account).boxed()
    }

    fn placed_record<'a>(
        &'a self,
        account: &'a AccountId,
    ) -> BoxFuture<'a, Result<(Record, Option<Place>), NoRecords>> {
        self.read_placed(account).boxed()
    }
}

fn cannot_be_read(error: &StoreError) -> NoRecords {
    tracing::warn!(%error, "what is on record of accounts cannot be read");
    NoRecords { retry_after: RETRY_AFTER }
}
