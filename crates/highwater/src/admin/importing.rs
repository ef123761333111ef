//! An import, as the admin API knows of it: how it stands, and what waits until it has ended.

use axum::Json;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use import::{Copied, Counted, Status};
use ledger::Problem;
use serde::Serialize;
use store::Store;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The route.
pub(crate) fn routes(store: Store) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(show_import)).with_state(store)
}

/// How an import stands.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ImportState {
    /// None was ever begun.
    None,
    /// One was begun and has not ended: nobody is served until then.
    UnderWay,
    /// It has ended, and both sides were the same.
    Finished,
}

/// An import.
#[derive(Debug, Serialize, ToSchema)]
struct ImportView {
    /// How it stands.
    state: ImportState,
    /// Where from, without a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// When it was begun, in milliseconds since the epoch; told while it is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    began_at: Option<i64>,
    /// When it ended, in milliseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<i64>,
    /// Its tables.
    tables: Vec<TableView>,
}

/// A table of an import.
#[derive(Debug, Serialize, ToSchema)]
struct TableView {
    /// Which.
    table: String,
    /// The rows that are copied; at the end all that there were.
    rows: u64,
    /// SHA-256 over all of them, at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// Show how far an import from MySQL or MariaDB is
///
/// `highwater import` itself is no request: it reads another database, and comes before anybody is served.
#[utoipa::path(get, path = "/import", tag = "users",
    responses((status = 200, body = ImportView), (status = 503, body = Problem)))]
async fn show_import(State(store): State<Store>) -> Result<Json<ImportView>, Problem> {
    Ok(Json(import::status(&store).await?.into()))
}

impl From<Status> for ImportView {
    fn from(status: Status) -> Self {
        let none = Self {
            state: ImportState::None,
            source: None,
            began_at: None,
            finished_at: None,
            tables: Vec::new(),
        };
        match status {
            Status::None => none,
            Status::UnderWay { source, began_at, copied } => Self {
                state: ImportState::UnderWay,
                source: Some(source),
                began_at: Some(began_at.get()),
                tables: copied.into_iter().map(TableView::from).collect(),
                ..none
            },
            Status::Finished { source, finished_at, tables } => Self {
                state: ImportState::Finished,
                source: Some(source),
                finished_at: Some(finished_at.get()),
                tables: tables.into_iter().map(TableView::from).collect(),
                ..none
            },
        }
    }
}

impl From<Copied> for TableView {
    fn from(Copied { table, rows }: Copied) -> Self {
        Self { table, rows, sha256: None }
    }
}

impl From<Counted> for TableView {
    fn from(Counted { table, rows, sha256 }: Counted) -> Self {
        Self { table, rows, sha256: Some(sha256) }
    }
}

/// Holds back what operators would change of users and nodes while they are imported: a node that is added then would
/// get users who are still to come.
pub(crate) fn held_back(routes: OpenApiRouter, store: Store) -> OpenApiRouter {
    routes.layer(from_fn_with_state(store, hold_back))
}

async fn hold_back(State(store): State<Store>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    match import::is_under_way(&store).await {
        Ok(false) => next.run(request).await,
        Ok(true) => Problem::conflict(
            "users are being imported, and nothing is changed until that has ended; `highwater import --status` tells how \
             far it is, and running the import again takes it up",
        )
        .into_response(),
        Err(error) => Problem::from(error).into_response(),
    }
}
