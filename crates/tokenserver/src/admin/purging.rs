//! The purge.

use super::{Desk, given};
use crate::purge::{Options, Progress};
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use ledger::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes(desk: Desk) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(purge)).with_state(desk)
}

/// A part of a purge.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Part {
    /// What is purged, and how; the same for each part of a run.
    #[serde(default)]
    options: Options,
    /// What the part before has answered; absent for the first.
    progress: Option<Progress>,
}

/// Purge the next rows that were replaced long enough ago: their data on the nodes, then the rows
///
/// Each answer is the body's `progress` of the next request, until it is `done`. A run that broke off is begun anew.
#[utoipa::path(post, path = "/purge", tag = "users", request_body = Part,
    responses(
        (status = 200, description = "What the run has come to so far", body = Progress),
        (status = 400, body = Problem),
        (status = 404, description = "No such service", body = Problem),
        (status = 409, description = "No Tokenserver is configured, and so no secret to sign with", body = Problem),
        (status = 503, body = Problem),
    ))]
async fn purge(
    State(desk): State<Desk>,
    body: Result<Json<Part>, JsonRejection>,
) -> Result<Json<Progress>, Problem> {
    let Part { options, progress } = given(body)?;
    let options = options.checked().map_err(Problem::invalid)?;
    let service = desk.counter(options.service.as_deref())?;
    let purger = service.purger.as_ref().ok_or_else(|| {
        Problem::conflict(
            "no Tokenserver is configured here: its master_secret signs what deletes data on the nodes",
        )
    })?;
    Ok(Json(purger.part(&options, progress).await?))
}
