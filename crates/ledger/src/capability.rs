use crate::Consequence;
use futures::future::BoxFuture;
use std::sync::Arc;
use store::Migration;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

/// What a node may be asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Exchange tokens.
    Token,
    /// Check bearer tokens.
    Verify,
    /// Take account events in.
    Ingest,
    /// Deliver to relying parties.
    Deliver,
    /// Refresh upstream sessions.
    Refresh,
    /// Serve operators.
    Admin,
}

/// A loop that runs as long as the node does, where the node has its role.
pub struct Worker {
    /// Its name, in logs.
    pub name: &'static str,
    /// Nodes without this role do not run it; `None` runs everywhere.
    pub role: Option<Role>,
    /// Runs it until the soft stop.
    pub run: Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>,
}

impl Worker {
    /// A worker of that name and role.
    pub fn new<F>(
        name: &'static str,
        role: Option<Role>,
        run: impl FnOnce(CancellationToken) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self { name, role, run: Box::new(move |stop| Box::pin(run(stop))) }
    }
}

/// The one value that each capability hands the binary.
#[derive(Default)]
pub struct Capability {
    /// Its name.
    pub name: &'static str,
    /// Routes that anybody may reach.
    pub public: OpenApiRouter,
    /// Routes for callers with a service token.
    pub service: OpenApiRouter,
    /// Routes for operators.
    pub admin: OpenApiRouter,
    /// Its tables.
    pub migrations: &'static [Migration],
    /// What an account event means to it.
    pub consequence: Option<Arc<dyn Consequence>>,
    /// Its loops.
    pub workers: Vec<Worker>,
}
