use crate::Engine;
use crate::pin::Cores;
use anyhow::Result;
use std::path::Path;
use tempfile::TempDir;
use testkit::Postgres;

/// Where an engine keeps what it stores; gone when dropped. On the disk, and durable: both wait for it as in production.
pub(crate) struct Home {
    folder: TempDir,
    postgres: Option<Postgres>,
}

impl Home {
    /// A fresh one. PostgreSQL runs on the load's core.
    pub(crate) fn make(engine: Engine, cores: &Cores) -> Result<Self> {
        let postgres = || Postgres::options().under(&cores.load()).start();
        Ok(Self { folder: tempfile::tempdir()?, postgres: (engine == Engine::Postgres).then(postgres) })
    }

    /// The store's URL.
    pub(crate) fn url(&self) -> String {
        let file = || format!("sqlite:{}", self.folder.path().join("bench.db").display());
        self.postgres.as_ref().map_or_else(file, Postgres::url)
    }

    /// A folder on the same disk.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}
