use crate::tx::as_params;
use crate::value::Rows;
use crate::{Engine, PointRead, StoreError};
use deadpool_postgres::{Object, Pool};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A few connections that many readers share: their statements are pipelined, each its own little transaction.
pub(super) struct Shared {
    pool: Pool,
    slots: Vec<Mutex<Option<Arc<Object>>>>,
    next: AtomicUsize,
    deadline: Duration,
}

impl Shared {
    pub(super) fn new(pool: Pool, deadline: Duration) -> Self {
        let slots = (0..pool.status().max_size).map(|_| Mutex::default()).collect();
        Self { pool, slots, next: AtomicUsize::new(0), deadline }
    }

    /// Reads, once more on another connection when the first was lost or its prepared statement had gone stale.
    pub(super) async fn read<R: PointRead>(&self, read: &R) -> Result<R::Output, StoreError> {
        match self.read_once(read).await {
            Err(StoreError::Lost { .. } | StoreError::Stale { .. }) => self.read_once(read).await,
            outcome => outcome,
        }
    }

    async fn read_once<R: PointRead>(&self, read: &R) -> Result<R::Output, StoreError> {
        let slot = &self.slots[self.next.fetch_add(1, Ordering::Relaxed) % self.slots.len()];
        let client = self.client(slot).await?;
        let ask = async {
            let statement = client.prepare_cached(read.sql().for_engine(Engine::Postgres)).await?;
            let params = read.params();
            client.query(&statement, &as_params(params.as_ref())).await
        };
        let outcome = match tokio::time::timeout(self.deadline, ask).await {
            Ok(Ok(rows)) => return read.read(Rows::postgres(&rows)),
            Ok(Err(error)) => StoreError::from(error),
            Err(_) => StoreError::unavailable(format!("{} took longer than {:?}", R::NAME, self.deadline)),
        };
        match outcome {
            StoreError::Stale { .. } => client.statement_cache.clear(),
            StoreError::Lost { .. } | StoreError::Unavailable { .. } => forget(slot, &client),
            _ => {}
        }
        Err(outcome)
    }

    async fn client(&self, slot: &Mutex<Option<Arc<Object>>>) -> Result<Arc<Object>, StoreError> {
        if let Some(client) = slot.lock().as_ref().filter(|client| !client.is_closed()) {
            return Ok(Arc::clone(client));
        }
        *slot.lock() = None; // gives its place in the pool back before another is asked for
        let fresh = Arc::new(self.pool.get().await?);
        // Somebody may have been quicker; theirs stands, and this one goes back to the pool.
        Ok(Arc::clone(slot.lock().get_or_insert(fresh)))
    }
}

/// Forgets a connection that is lost or stuck, unless another has taken its slot.
fn forget(slot: &Mutex<Option<Arc<Object>>>, client: &Arc<Object>) {
    let mut held = slot.lock();
    if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, client)) {
        *held = None;
    }
}
