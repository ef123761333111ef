use super::views::{Reader, Views};
use super::{reader, run_caught};
use crate::{Operation, StoreError};
use parking_lot::Mutex;
use rusqlite::Connection;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use tokio::sync::Semaphore;

/// How many scans run at once.
const SCANNERS: usize = 2;

thread_local! {
    /// This thread's read connections, by the store they belong to; those of stores that are gone are let go.
    static READERS: RefCell<Vec<(Weak<Views>, Arc<Reader>)>> = const { RefCell::new(Vec::new()) };
}

/// Point reads on the caller's own thread: no hop, no queue.
pub(super) struct Inline {
    path: PathBuf,
    views: Arc<Views>,
}

impl Inline {
    pub(super) fn new(path: &Path, views: Arc<Views>) -> Self {
        Self { path: path.to_owned(), views }
    }

    pub(super) fn with<T>(
        &self,
        read: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        READERS.with_borrow_mut(|readers| {
            let mine = Arc::as_ptr(&self.views);
            let known = readers.iter().position(|(views, _)| views.as_ptr() == mine);
            let at = if let Some(at) = known {
                at
            } else {
                readers.retain(|(views, _)| views.strong_count() > 0);
                readers.push((Arc::downgrade(&self.views), self.views.reader(reader(&self.path)?)));
                readers.len() - 1
            };
            readers[at].1.read(read)
        })
    }
}

/// Long reads, a few at a time, each with one consistent view.
#[derive(Clone)]
pub(super) struct Scanners {
    path: Arc<PathBuf>,
    idle: Arc<Mutex<Vec<Connection>>>,
    room: Arc<Semaphore>,
}

impl Scanners {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: Arc::new(path.to_owned()),
            idle: Arc::default(),
            room: Arc::new(Semaphore::new(SCANNERS)),
        }
    }

    pub(super) async fn scan<O: Operation>(&self, operation: O) -> Result<O::Output, StoreError> {
        let permit = Arc::clone(&self.room).acquire_owned().await.map_err(StoreError::unavailable)?;
        let this = self.clone();
        let work = move || {
            let _permit = permit;
            this.scan_here(&operation)
        };
        tokio::task::spawn_blocking(work).await.map_err(StoreError::unavailable)?
    }

    fn scan_here<O: Operation>(&self, operation: &O) -> Result<O::Output, StoreError> {
        let idle = self.idle.lock().pop();
        let mut connection = idle.map_or_else(|| reader(&self.path), Ok)?;
        connection.execute_batch("begin")?;
        let outcome = run_caught(operation, &mut connection);
        if !connection.is_autocommit() {
            connection.execute_batch("rollback")?;
        }
        self.idle.lock().push(connection);
        outcome
    }
}
