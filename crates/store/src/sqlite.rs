//! SQLite: one writer thread with group commit, point reads inline, scans on a few readers of their own.

mod owner;
mod readers;
mod views;
mod writer;

use crate::{Engine, Operation, PointRead, Rows, Settings, StoreError, Tx};
use owner::Owner;
use readers::{Inline, Scanners};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use views::Views;
use writer::Writer;

pub(crate) struct Sqlite {
    writer: Writer,
    inline: Inline,
    scanners: Scanners,
}

impl Sqlite {
    pub(crate) fn open(path: &Path, settings: &Settings) -> Result<Self, StoreError> {
        let owner = Owner::claim(path)?;
        owner::private(path)?;
        let mut connection = Connection::open(path).map_err(|error| cannot_open(path, &error))?;
        configure(&connection, settings).map_err(|error| cannot_open(path, &error))?;
        let views = Arc::new(Views::default());
        views::end_at_commits(&views, &mut connection)?;
        Ok(Self {
            writer: Writer::start(connection, owner, Arc::clone(&views))?,
            inline: Inline::new(path, views),
            scanners: Scanners::new(path),
        })
    }

    pub(crate) async fn run<O: Operation>(&self, operation: O) -> Result<O::Output, StoreError> {
        self.writer.run(operation).await
    }

    pub(crate) fn read<R: PointRead>(&self, read: &R) -> Result<R::Output, StoreError> {
        self.inline.with(|connection| {
            let mut statement = connection.prepare_cached(read.sql().for_engine(Engine::Sqlite))?;
            let params = read.params();
            let rows = statement.query(rusqlite::params_from_iter(params.as_ref()))?;
            read.read(Rows::sqlite(rows))
        })
    }

    pub(crate) async fn scan<O: Operation>(&self, operation: O) -> Result<O::Output, StoreError> {
        self.scanners.scan(operation).await
    }

    #[cfg(feature = "testing")]
    pub(crate) fn prepare(&self, sql: &crate::Sql) -> Result<(), StoreError> {
        self.inline.with(|connection| {
            connection.prepare(sql.for_engine(Engine::Sqlite))?;
            Ok(())
        })
    }
}

/// What every writer connection is set to. An acknowledged commit survives a power cut: WAL with full sync.
fn configure(connection: &Connection, settings: &Settings) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    if settings.max_pages > 0 {
        connection.pragma_update(None, "max_page_count", settings.max_pages)?;
    }
    prepare_once(connection)
}

/// Statements are prepared once. Without the query planner's stability guarantee SQLite would look at the values
/// bound to a statement and plan it anew for each: that costs ten times what a point read does.
fn prepare_once(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(512);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

fn reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| cannot_open(path, &error))?;
    connection.busy_timeout(Duration::from_secs(1))?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.pragma_update(None, "mmap_size", 256 << 20)?;
    prepare_once(&connection)?;
    Ok(connection)
}

fn cannot_open(path: &Path, error: &rusqlite::Error) -> StoreError {
    StoreError::unavailable(format!("cannot open {}: {error}", path.display()))
}

/// Runs an operation's future: on SQLite everything it may await is ready at once.
fn ready<T>(future: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Err(StoreError::Statement {
            reason: "an operation awaited something other than its transaction".into(),
        }),
    }
}

/// Runs an operation on a connection and catches its panic.
fn run_caught<O: Operation>(operation: &O, connection: &mut Connection) -> Result<O::Output, StoreError> {
    let run = std::panic::AssertUnwindSafe(|| ready(operation.run(&mut Tx::sqlite(connection))));
    std::panic::catch_unwind(run).unwrap_or_else(|panic| Err(StoreError::panicked(O::NAME, &*panic)))
}

fn execute(connection: &Connection, text: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(text)?.execute([]).map(drop)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
