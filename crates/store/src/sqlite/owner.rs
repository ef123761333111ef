use super::beside;
use crate::StoreError;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

/// The claim on a database file: a lock on the file `….lock` beside it, let go by the system when the process ends.
pub(super) struct Owner {
    _lock: File,
}

impl Owner {
    pub(super) fn claim(database: &Path) -> Result<Self, StoreError> {
        let path = beside(database, ".lock");
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(|error| {
                StoreError::unavailable(format!("cannot open {}: {error}", path.display()))
            })?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Owned { path: database.display().to_string() }),
            Err(TryLockError::Error(error)) => {
                Err(StoreError::unavailable(format!("cannot lock {}: {error}", path.display())))
            }
        }
    }
}
