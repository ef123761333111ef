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
        let lock = private(&path)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Owned { path: database.display().to_string() }),
            Err(TryLockError::Error(error)) => {
                Err(StoreError::unavailable(format!("cannot lock {}: {error}", path.display())))
            }
        }
    }
}

/// Opens a file, made for its owner's eyes only where there is none. What SQLite puts beside its database has the same
/// permissions.
pub(super) fn private(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .map_err(|error| StoreError::unavailable(format!("cannot open {}: {error}", path.display())))
}
