use crate::postgres::Postgres;
use crate::signal::Signals;
use crate::sqlite::Sqlite;
use crate::tx::Afterwards;
use crate::{Clock, Operation, PointRead, StoreError, Tx};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The two engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// Embedded; the default.
    Sqlite,
    /// A server, for many nodes.
    Postgres,
}

/// How a store is reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `sqlite:PATH` or `postgres://user@host/database` (`postgresql://` too; `?sslmode=require` for TLS).
    pub url: String,
    /// PostgreSQL: a direct connection for notifications, when `url` leads through a transaction pooler. Without
    /// one that can listen, nodes poll.
    pub listen_url: Option<String>,
    /// PostgreSQL: connections for transactions.
    pub pool_size: usize,
    /// PostgreSQL: connections shared by all point reads.
    pub read_connections: usize,
    /// PostgreSQL: milliseconds a point read may take.
    pub read_timeout_ms: u64,
    /// Milliseconds a transaction may wait for a connection.
    pub wait_timeout_ms: u64,
    /// Milliseconds a transaction may take before its commit.
    pub transaction_timeout_ms: u64,
    /// SQLite: the most pages the file may have (4 KiB each); 0 is no bound.
    pub max_pages: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: "sqlite:highwater.db".into(),
            listen_url: None,
            pool_size: 10,
            read_connections: 2,
            read_timeout_ms: 250,
            wait_timeout_ms: 5_000,
            transaction_timeout_ms: 30_000,
            max_pages: 0,
        }
    }
}

impl Settings {
    /// The settings for a store at that address, all else as by default.
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// The SQLite file, if it is one.
    pub fn sqlite_path(&self) -> Option<PathBuf> {
        let path = self.url.strip_prefix("sqlite:")?;
        Some(PathBuf::from(path.strip_prefix("//").unwrap_or(path)))
    }
}

/// A store on either engine. Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct Store {
    backend: Arc<Backend>,
    clock: Clock,
    signals: Signals,
}

enum Backend {
    Sqlite(Sqlite),
    Postgres(Box<Postgres>),
}

impl Store {
    /// Opens a store. A SQLite file is created when it is not there, and owned until the last clone is dropped
    /// ([`StoreError::Owned`] when another process owns it). PostgreSQL is not contacted yet: a server that is down
    /// is an outage, not a reason not to start.
    pub fn open(settings: &Settings, clock: Clock) -> Result<Self, StoreError> {
        let backend = match settings.sqlite_path() {
            Some(path) => Backend::Sqlite(Sqlite::open(&path, settings)?),
            None => Backend::Postgres(Box::new(Postgres::new(settings)?)),
        };
        Ok(Self { backend: Arc::new(backend), clock, signals: Signals::default() })
    }

    /// Which engine it is.
    pub fn engine(&self) -> Engine {
        match *self.backend {
            Backend::Sqlite(_) => Engine::Sqlite,
            Backend::Postgres(_) => Engine::Postgres,
        }
    }

    /// The clock everybody who uses this store goes by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Runs an operation in a transaction; the answer comes after the commit. Lost races are run again.
    pub fn run<O: Operation>(
        &self,
        operation: O,
    ) -> impl Future<Output = Result<O::Output, StoreError>> + Send + use<'_, O> {
        // Wrapped outside of the future, which would hold both otherwise.
        let operation = WithAfterwards(operation);
        async move {
            let began = Instant::now();
            let outcome = match &*self.backend {
                Backend::Sqlite(sqlite) => sqlite.run(operation).await,
                Backend::Postgres(postgres) => postgres.run(&operation).await,
            };
            observe::<O, _>(began, &outcome);
            let (output, afterwards) = outcome?;
            for then in afterwards {
                then();
            }
            Ok(output)
        }
    }

    /// Reads a few rows by an index, at once.
    pub async fn read<R: PointRead>(&self, read: &R) -> Result<R::Output, StoreError> {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.read(read),
            Backend::Postgres(postgres) => postgres.read(read).await,
        }
    }

    /// Runs an operation that only reads and may take long, away from the hot path: one consistent view.
    pub async fn scan<O: Operation>(&self, operation: O) -> Result<O::Output, StoreError> {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.scan(operation).await,
            Backend::Postgres(postgres) => postgres.scan(&operation).await,
        }
    }

    /// Whether the store answers: a write transaction's worth on SQLite, a round trip on PostgreSQL.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.run(Ping).await
    }

    /// The signals between those who use this store, in this process and (on PostgreSQL) in others.
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// What the store does in the background until `stop`: on PostgreSQL it passes signals on and follows the
    /// server's clock. Run it once per process.
    pub async fn background(self, stop: CancellationToken) {
        match &*self.backend {
            Backend::Sqlite(_) => stop.cancelled().await,
            Backend::Postgres(postgres) => postgres.background(&self.clock, &self.signals, stop).await,
        }
    }

    /// Asks the engine to prepare a statement, and tells what it says. For the tests that prepare every one.
    #[cfg(feature = "testing")]
    pub async fn prepare(&self, sql: &'static crate::Sql) -> Result<(), StoreError> {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.prepare(sql),
            Backend::Postgres(postgres) => postgres.prepare(sql).await,
        }
    }
}

struct Ping;

crate::statements! {
    static PING = both("select 1");
}

impl Operation for Ping {
    const NAME: &'static str = "ping";
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        tx.query(&PING, &[], |_| Ok(())).await.map(drop)
    }
}

/// An operation, whose answer brings along what is to be done after the commit.
struct WithAfterwards<O>(O);

impl<O: Operation> Operation for WithAfterwards<O> {
    const NAME: &'static str = O::NAME;
    const RESOLVES_UNKNOWN: bool = O::RESOLVES_UNKNOWN;
    type Output = (O::Output, Afterwards);

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let output = self.0.run(tx).await?;
        Ok((output, tx.take_afterwards()))
    }
}

fn observe<O: Operation, T>(began: Instant, outcome: &Result<T, StoreError>) {
    let result = match outcome {
        Ok(_) => "ok",
        Err(error) if error.is_outage() => "outage",
        Err(StoreError::Undone(_)) => "undone",
        Err(_) => "error",
    };
    metrics::histogram!("store.transaction", "operation" => O::NAME, "result" => result)
        .record(began.elapsed().max(Duration::from_nanos(1)).as_secs_f64());
}
