//! What came of attempts while the store cannot be reached: kept in a folder of the node's own, sealed and on the disk,
//! until the store has it. So a process that ends in such an outage loses no login.
//!
//! Nothing depends on it: what is in no journal is found by the claim, as after any crash. A file holds the outcomes of one
//! transaction; it is there whole or not at all. Until the store has all of them, whether an earlier process left them or this
//! one has just written them, nothing is claimed, for whomever it may be.

use crate::capability::Inner;
use crate::store::settle::{Attempted, Settle};
use keys::CannotOpen;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use store::StoreError;
use uuid::Uuid;

/// How its files end.
const SUFFIX: &str = "journal";
/// The most bytes of one: more than the largest transaction has.
const LARGEST: u64 = 64 * 1024 * 1024;

/// A folder of outcomes.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    /// Ours are named by it.
    name: Uuid,
    next: AtomicU64,
    /// How many of ours the store does not have yet.
    kept: Arc<AtomicUsize>,
}

/// A file of ours that the store does not have yet; until this is dropped, nothing is claimed.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) path: PathBuf,
    count: Arc<AtomicUsize>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Journal {
    /// In that folder; it is made when something is to be kept.
    pub(crate) fn in_folder(folder: PathBuf) -> Self {
        Self { folder, name: Uuid::new_v4(), next: AtomicU64::new(0), kept: Arc::default() }
    }

    /// Whether the store has all that was kept here.
    pub(crate) fn is_drained(&self) -> bool {
        self.kept.load(Ordering::Acquire) == 0
    }

    fn fresh(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.folder.join(format!("{}-{number}.{SUFFIX}", self.name))
    }

    /// What is there: what processes before this one have left.
    fn left(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut left = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|it| it == SUFFIX) {
                left.push(path);
            }
        }
        left.sort();
        Ok(left)
    }
}

/// What a file's content is sealed for: it opens under no other name.
fn record(path: &Path) -> String {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    format!("journal/{name}")
}

/// Writes a file that is there whole, on the disk, or not at all.
fn write(path: &Path, content: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let beginning = path.with_extension("part");
    let mut file = File::create(&beginning)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    drop(file);
    fs::rename(&beginning, path)?;
    // So that the name is on the disk too.
    File::open(folder)?.sync_all()
}

fn read(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > LARGEST {
        return Err(io::Error::other("it is too large"));
    }
    fs::read_to_string(path)
}

impl Inner {
    /// Keeps outcomes that the store cannot take now; the file, if they are kept.
    pub(crate) async fn journal(&self, attempts: &[Attempted]) -> Option<Kept> {
        let journal = self.journal.as_ref()?;
        let path = journal.fresh();
        let json = serde_json::to_vec(attempts).expect("texts and numbers are JSON");
        let sealed = self.keys.seal(&record(&path), &json).ok()?;
        let kept = {
            let path = path.clone();
            tokio::task::spawn_blocking(move || write(&path, &sealed))
                .await
                .unwrap_or_else(|error| Err(io::Error::other(error)))
        };
        match kept {
            Ok(()) => {
                metrics::counter!("sessions.journaled").increment(attempts.len() as u64);
                journal.kept.fetch_add(1, Ordering::AcqRel);
                Some(Kept { path, count: Arc::clone(&journal.kept) })
            }
            Err(error) => {
                let folder = journal.folder.display();
                tracing::error!(%folder, %error, "refreshed tokens cannot be kept in the journal either");
                None
            }
        }
    }

    /// The store has what a file holds.
    pub(crate) async fn forget_journaled(&self, path: &Path) {
        let path = path.to_owned();
        let removed = tokio::task::spawn_blocking(move || fs::remove_file(&path)).await;
        if let Ok(Err(error)) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "a file of the journal cannot be removed; what it holds counts once");
        }
    }

    /// Settles what processes before this one have left. To be done before anything is claimed.
    pub(crate) async fn drain_journal(&self) -> Result<(), StoreError> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let left = match journal.left() {
            Ok(left) => left,
            Err(error) => {
                tracing::error!(folder = %journal.folder.display(), %error, "the journal cannot be read");
                return Ok(());
            }
        };
        for path in left {
            let Some(attempts) = self.journaled(&path).await? else { continue };
            let count = attempts.len();
            let settled = self.store.run(Settle { attempts, now: self.now() }).await?;
            tracing::info!(count, ?settled, "outcomes of an earlier process came from the journal");
            self.forget_journaled(&path).await;
        }
        Ok(())
    }

    /// What a file holds; `None`: nothing that can be used. It is left where it is then.
    async fn journaled(&self, path: &Path) -> Result<Option<Vec<Attempted>>, StoreError> {
        let shown = path.display();
        let sealed = match read(path) {
            Ok(sealed) => sealed,
            Err(error) => {
                tracing::error!(file = %shown, %error, "a file of the journal cannot be read");
                return Ok(None);
            }
        };
        match self.keys.open(&record(path), &sealed).await {
            Ok(json) => Ok(serde_json::from_slice(&json)
                .inspect_err(|error| tracing::error!(file = %shown, %error, "a file of the journal is odd"))
                .ok()),
            Err(CannotOpen::Store(error)) => Err(error),
            Err(error) => {
                tracing::error!(file = %shown, %error, "a file of the journal does not open");
                Ok(None)
            }
        }
    }
}
