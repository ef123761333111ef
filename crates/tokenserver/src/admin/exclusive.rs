//! The field's tables, taken for Highwater alone.

use super::{Desk, given};
use crate::store::{Exclusive, TakeExclusive};
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use ledger::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes(desk: Desk) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(take_exclusive)).with_state(desk)
}

/// Whether it is only to be told.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Taking {
    /// Only tell whose right it would be.
    #[serde(default)]
    dry_run: bool,
}

/// What taking the rights came to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct Taken {
    /// Users of the database whose right to write was taken (in a dry run: would be).
    writers: Vec<String>,
    /// Who can write nevertheless: their right was given by another user, who has to take it back.
    left: Vec<String>,
}

/// Take the right to write to the Tokenserver's tables from every other user of the database; they may still read
///
/// As `highwater migrate --exclusive` does. On SQLite there is nobody else.
#[utoipa::path(post, path = "/exclusive", tag = "nodes", request_body = Taking,
    responses((status = 200, body = Taken), (status = 400, body = Problem), (status = 503, body = Problem)))]
async fn take_exclusive(
    State(desk): State<Desk>,
    body: Result<Json<Taking>, JsonRejection>,
) -> Result<Json<Taken>, Problem> {
    let Taking { dry_run } = given(body)?;
    let Exclusive { writers, left } = desk.store.run(TakeExclusive { dry_run }).await?;
    Ok(Json(Taken { writers, left }))
}
