use crate::Engine;
use crate::pin::Cores;
use anyhow::Result;
use tempfile::TempDir;
use testkit::Postgres;

/// Where an engine keeps what it stores; gone when dropped. On the disk, and durable: both wait for it as in production.
pub(crate) enum Home {
    Sqlite(TempDir),
    Postgres(Box<Postgres>),
}

impl Home {
    /// A fresh one. PostgreSQL runs on the load's core.
    pub(crate) fn make(engine: Engine, cores: &Cores) -> Result<Self> {
        Ok(match engine {
            Engine::Sqlite => Self::Sqlite(tempfile::tempdir()?),
            Engine::Postgres => Self::Postgres(Box::new(Postgres::options().under(&cores.load()).start())),
        })
    }

    /// The store's URL.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite:{}", folder.path().join("bench.db").display()),
            Self::Postgres(postgres) => postgres.url(),
        }
    }
}
