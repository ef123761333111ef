//! Everything that stands on one store, put together: the ledger, the capabilities, what each hands the binary.
//!
//! `serve` runs it; commands open it for one request; both ask the same routes.

use crate::admin;
use crate::settings::Settings;
use anyhow::{Context, Result, ensure};
use axum::Router;
use keys::{Callers, RootKey};
use ledger::{Capability, Ledger, Tombstones};
use std::time::Duration;
use store::{Clock, Engine, Migration, MigrationReport, Store, StoreError};
use utoipa_axum::router::OpenApiRouter;

/// The composed whole.
pub(crate) struct House {
    pub(crate) store: Store,
    pub(crate) callers: Callers,
    pub(crate) ledger: Ledger,
    pub(crate) capabilities: Vec<Capability>,
}

impl House {
    /// Opens the store and composes what stands on it. A PostgreSQL that is down is found out later: by then the
    /// listeners can say so.
    pub(crate) fn open(settings: &Settings) -> Result<Self> {
        let root = root_key(settings)?;
        let store = Store::open(&settings.store, Clock::system())?;
        let tombstones = Tombstones::new(&root, Duration::ZERO);
        let ledger = Ledger::new(store.clone(), tombstones, vec![]);
        let capabilities = vec![ledger.capability(settings.retention)];
        Ok(Self { callers: Callers::new(store.clone(), &root), store, ledger, capabilities })
    }

    /// What brings the tables up to date.
    pub(crate) fn schema(&self) -> Schema {
        let own = std::iter::once(keys::MIGRATIONS);
        let steps = own.chain(self.capabilities.iter().map(|it| it.migrations)).collect();
        Schema { ledger: self.ledger.clone(), steps }
    }

    /// For a command that opened the store itself: a file of its own is brought up to date, a shared database is not
    /// touched behind the back of the nodes that use it.
    pub(crate) async fn bring_up_to_date(&self) -> Result<()> {
        let schema = self.schema();
        if self.store.engine() == Engine::Sqlite {
            schema.migrate().await?;
            return Ok(());
        }
        let pending = schema.pending().await.context("the database")?;
        ensure!(
            pending.applied.is_empty(),
            "the database's tables are not up to date; run `highwater migrate`"
        );
        Ok(())
    }

    /// The admin API, all of it, with no question asked who calls.
    pub(crate) fn admin_api(&mut self) -> OpenApiRouter {
        let own = OpenApiRouter::with_openapi(admin::description())
            .merge(admin::tokens::routes(self.callers.clone()));
        self.capabilities.iter_mut().fold(own, |api, it| api.merge(std::mem::take(&mut it.admin)))
    }

    /// The same, for requests of this very process.
    pub(crate) fn admin_routes(mut self) -> Router {
        let (routes, api) = self.admin_api().split_for_parts();
        admin::with_openapi(routes, &api)
    }
}

/// The tables of the house.
pub(crate) struct Schema {
    ledger: Ledger,
    steps: Vec<&'static [Migration]>,
}

impl Schema {
    /// Applies what is missing, and makes this node's capabilities known.
    pub(crate) async fn migrate(&self) -> Result<MigrationReport, StoreError> {
        let report = self.ledger.store().migrate(&self.steps).await?;
        self.ledger.register_capabilities().await?;
        Ok(report)
    }

    /// What is missing.
    pub(crate) async fn pending(&self) -> Result<MigrationReport, StoreError> {
        self.ledger.store().pending_migrations(&self.steps).await
    }
}

fn root_key(settings: &Settings) -> Result<RootKey> {
    settings.keys.root.clone().context(
        "no root key: `highwater init` writes a configuration with a fresh one (or set keys.root, or HIGHWATER__KEYS__ROOT)",
    )
}
