//! Deliveries on their way from the transaction that makes them to the worker of the same process.
//!
//! The transaction writes them as claimed by this process and leaves them here. It may still be rolled back, or run
//! again, so they are believed only when their first row is seen committed: a transaction commits all of them or none.
//! What is not seen once the transaction is over is dropped; if it is committed all the same, its claims end with their
//! lease.

use crate::lanes::Lane;
use crate::store::rows::{Delivery, IsThere};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use store::{Store, StoreError};
use tokio::sync::OwnedSemaphorePermit;

/// A claimed delivery, and the leave to send it.
pub(crate) struct Held {
    pub(crate) lane: Arc<Lane>,
    pub(crate) delivery: Delivery,
    pub(crate) permit: OwnedSemaphorePermit,
}

/// What one transaction left.
struct Batch {
    held: Vec<Held>,
    /// Gone when that is over, whichever way.
    transaction: Weak<()>,
}

/// The place between transactions and worker.
#[derive(Default)]
pub(crate) struct Handover {
    batches: Mutex<Vec<Batch>>,
    /// Whether there is a worker to hand over to.
    is_open: AtomicBool,
}

impl Handover {
    /// The worker is there, or has gone.
    pub(crate) fn set_open(&self, open: bool) {
        self.is_open.store(open, Ordering::Release);
        if !open {
            self.batches.lock().clear();
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// Leaves what a transaction is about to commit.
    pub(crate) fn leave(&self, held: Vec<Held>, transaction: Weak<()>) {
        if !held.is_empty() {
            self.batches.lock().push(Batch { held, transaction });
        }
    }

    /// Takes what is committed by now.
    pub(crate) async fn committed(&self, store: &Store) -> Result<Vec<Held>, StoreError> {
        let batches = std::mem::take(&mut *self.batches.lock());
        let (mut taken, mut waiting, mut failed) = (Vec::new(), Vec::new(), None);
        for batch in batches {
            // Looked at before the row is looked for: what is not seen then will not be seen later.
            let is_over = batch.transaction.strong_count() == 0;
            let seen = match (&failed, batch.held.first()) {
                (None, Some(first)) => is_there(store, &first.delivery).await,
                _ => Ok(false),
            };
            match seen {
                Ok(true) => taken.extend(batch.held),
                Ok(false) if is_over && failed.is_none() => {}
                Ok(false) => waiting.push(batch),
                Err(error) => {
                    failed = Some(error);
                    waiting.push(batch);
                }
            }
        }
        self.batches.lock().append(&mut waiting);
        // What was seen goes; the error comes again with what was not.
        match failed {
            Some(error) if taken.is_empty() => Err(error),
            _ => Ok(taken),
        }
    }
}

async fn is_there(store: &Store, delivery: &Delivery) -> Result<bool, StoreError> {
    store.read(&IsThere { id: delivery.id, jti: &delivery.jti }).await
}
