//! Views of the file that stay open from one read to the next.
//!
//! Beginning and ending a view costs two locks on the file, system calls both: as much as a look-up itself. So a
//! reader keeps its view while nothing is committed, and each commit ends every view before it is answered for: who
//! was told of a change reads it, on any thread.

use super::execute;
use crate::StoreError;
use parking_lot::Mutex;
use rusqlite::Connection;
use rusqlite::hooks::Wal;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// No view grows older than this while it is read from: what another program writes to the file is seen too.
const OLDEST: Duration = Duration::from_millis(50);

/// The log goes back into the file when it has grown to so many pages …
const LONGEST_LOG: u32 = 4_000;
/// … or, once nothing is written, to so many: each page that is read is looked for in the log first.
const LONG_LOG: u32 = 256;

/// Ends all views with each commit of this connection, and takes the log back into the file now and then.
pub(super) fn end_at_commits(views: &Arc<Views>, connection: &mut Connection) -> rusqlite::Result<()> {
    let views = Arc::clone(views);
    connection.wal_hook(Some(move |log: &mut Wal, pages: i32| {
        views.log_pages.store(pages.unsigned_abs(), Ordering::Relaxed);
        if views.log_pages() < LONGEST_LOG {
            views.expire();
        } else {
            views.ended_around(|| log.checkpoint());
        }
        Ok(())
    }))
}

/// Takes the log back into the file.
pub(super) fn take_log_back(views: &Views, connection: &Connection) {
    views.ended_around(|| connection.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(())));
}

/// All readers that may hold a view of one file.
#[derive(Default)]
pub(super) struct Views {
    readers: Mutex<Vec<Weak<Reader>>>,
    /// How long the log is, after the last commit.
    log_pages: AtomicU32,
}

impl Views {
    /// A reader whose view ends with the next commit.
    pub(super) fn reader(&self, connection: Connection) -> Arc<Reader> {
        let held = Mutex::new(Held { connection, since: None });
        let reader = Arc::new(Reader { is_stale: AtomicBool::new(false), held });
        self.readers.lock().push(Arc::downgrade(&reader));
        reader
    }

    /// No read that comes after this uses a view from before it. To be called after a commit, before anybody is told
    /// of it.
    fn expire(&self) {
        self.each(Reader::expire);
    }

    /// Ends every view from before this; waits for the reads that are going on.
    pub(super) fn end(&self) {
        self.each(|reader| reader.held.lock().end());
    }

    /// Whether it is worth while to take the log back when nothing is written.
    pub(super) fn is_log_long(&self) -> bool {
        self.log_pages() >= LONG_LOG
    }

    fn log_pages(&self) -> u32 {
        self.log_pages.load(Ordering::Relaxed)
    }

    /// Does this with all views ended before, so that the whole log is taken back, and after, so that nobody reads from
    /// the log any more and it begins anew. What is committed stays committed: an error here is met again, and told, by
    /// who next reads or writes.
    fn ended_around(&self, take_log_back: impl FnOnce() -> rusqlite::Result<()>) {
        self.end();
        drop(take_log_back());
        self.end();
        self.log_pages.store(0, Ordering::Relaxed);
    }

    fn each(&self, act: impl Fn(&Reader)) {
        self.readers.lock().retain(|reader| reader.upgrade().inspect(|reader| act(reader)).is_some());
    }
}

/// A read connection of one thread.
pub(super) struct Reader {
    /// Its view is older than a commit.
    is_stale: AtomicBool,
    held: Mutex<Held>,
}

/// A connection, and since when its view is open.
struct Held {
    connection: Connection,
    since: Option<Instant>,
}

impl Reader {
    /// Reads from the view that is open, or from a fresh one.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut held = self.held.lock();
        if self.is_stale.swap(false, Ordering::AcqRel) || held.is_old() {
            held.end();
        }
        held.begin()?;
        let outcome = read(&mut held.connection);
        if outcome.is_err() {
            held.end();
        }
        outcome
    }

    /// Does not wait for a read that is going on: the one after it sees that the view is stale.
    fn expire(&self) {
        self.is_stale.store(true, Ordering::Release);
        if let Some(mut held) = self.held.try_lock() {
            held.end();
        }
    }
}

impl Held {
    fn is_old(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() > OLDEST)
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        if self.since.is_none() {
            execute(&self.connection, "begin")?;
            self.since = Some(Instant::now());
        }
        Ok(())
    }

    fn end(&mut self) {
        if self.since.take().is_some()
            && let Err(error) = execute(&self.connection, "rollback")
        {
            tracing::error!(%error, "a reader's view could not be ended");
        }
    }
}
