use crate::tx::as_params;
use crate::value::Rows;
use crate::{Engine, PointRead, StoreError};
use deadpool_postgres::{ClientWrapper, Object, Pool};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// A few connections that many readers share: their statements are pipelined, each its own little transaction.
pub(super) struct Shared {
    pool: Pool,
    slots: Vec<Slot>,
    next: AtomicUsize,
    deadline: Duration,
    wait: Duration,
}

/// The place of one connection.
#[derive(Default)]
struct Slot {
    line: Mutex<Option<Arc<Line>>>,
    /// Held by the one reader who opens the slot's connection; the pool has no more of them than there are slots.
    opening: tokio::sync::Mutex<()>,
}

/// A connection in shared hands. One that was given up is closed; any other goes back to the pool.
struct Line {
    client: Option<Object>,
    given_up: AtomicBool,
}

impl Shared {
    /// Reads take their connections from `pool`, all of it. A read may take `deadline`, and wait for a connection to
    /// be opened no longer than `wait`.
    pub(super) fn new(pool: Pool, deadline: Duration, wait: Duration) -> Self {
        let slots = (0..pool.status().max_size).map(|_| Slot::default()).collect();
        Self { pool, slots, next: AtomicUsize::new(0), deadline, wait }
    }

    /// Reads. Each connection may have been lost, or its prepared statement have gone stale, without anybody having
    /// noticed: so as many further attempts are made as there are connections.
    pub(super) async fn read<R: PointRead>(&self, read: &R) -> Result<R::Output, StoreError> {
        for _ in &self.slots {
            match self.read_once(read).await {
                Err(StoreError::Lost { .. } | StoreError::Stale { .. }) => {}
                outcome => return outcome,
            }
        }
        self.read_once(read).await
    }

    /// Gives up every connection, for new ones.
    pub(super) fn start_over(&self) {
        for slot in &self.slots {
            if let Some(line) = slot.line.lock().take() {
                line.given_up.store(true, Ordering::Relaxed);
            }
        }
    }

    async fn read_once<R: PointRead>(&self, read: &R) -> Result<R::Output, StoreError> {
        let slot = &self.slots[self.next.fetch_add(1, Ordering::Relaxed) % self.slots.len()];
        let opened = tokio::time::timeout(self.wait, self.open(slot)).await;
        let line = opened.unwrap_or_else(|_| Err(StoreError::unavailable("no connection in time")))?;
        let ask = async {
            let statement = line.client().prepare_cached(read.sql().for_engine(Engine::Postgres)).await?;
            let params = read.params();
            line.client().query(&statement, &as_params(params.as_ref())).await
        };
        let error = match tokio::time::timeout(self.deadline, ask).await {
            Ok(Ok(rows)) => return read.read(Rows::postgres(&rows)),
            Ok(Err(error)) => StoreError::from(error),
            Err(_) => StoreError::unavailable(format!("{} took longer than {:?}", R::NAME, self.deadline)),
        };
        match error {
            StoreError::Stale { .. } => self.pool.manager().statement_caches.clear(),
            StoreError::Lost { .. } | StoreError::Unavailable { .. } => slot.give_up(&line),
            _ => {}
        }
        Err(error)
    }

    /// The slot's connection, opened by one for all who come.
    async fn open(&self, slot: &Slot) -> Result<Arc<Line>, StoreError> {
        if let Some(line) = slot.usable() {
            return Ok(line);
        }
        let _opening = slot.opening.lock().await;
        if let Some(line) = slot.usable() {
            return Ok(line); // somebody was quicker
        }
        drop(slot.line.lock().take()); // gives its place in the pool back before another is asked for
        let line = Arc::new(Line { client: Some(self.pool.get().await?), given_up: AtomicBool::new(false) });
        *slot.line.lock() = Some(Arc::clone(&line));
        Ok(line)
    }
}

impl Slot {
    fn usable(&self) -> Option<Arc<Line>> {
        self.line.lock().as_ref().filter(|line| !line.client().is_closed()).map(Arc::clone)
    }

    /// Gives a connection up that is lost or stuck, unless another has taken its place already.
    fn give_up(&self, line: &Arc<Line>) {
        line.given_up.store(true, Ordering::Relaxed);
        let mut held = self.line.lock();
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, line)) {
            *held = None;
        }
    }
}

impl Line {
    fn client(&self) -> &ClientWrapper {
        self.client.as_ref().expect("it is taken only when the line is dropped")
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(client) = self.client.take().filter(|_| *self.given_up.get_mut()) {
            drop(Object::take(client));
        }
    }
}
