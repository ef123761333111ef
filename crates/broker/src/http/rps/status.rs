//! Pausing, resuming, disabling and enabling relying parties.

use super::{RpView, change};
use crate::Status;
use crate::capability::Inner;
use crate::http::given;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use ledger::Problem;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Why something is disabled.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Disabling {
    /// In words for operators and, where it has a stream, for the receiver.
    reason: String,
}

/// Hold a relying party's deliveries back until it is resumed
#[utoipa::path(post, path = "/rps/{client_id}/pause", tag = "relying parties",
    responses((status = 200, body = RpView), (status = 404, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn pause_rp(
    State(inner): State<Arc<Inner>>,
    Path(client_id): Path<String>,
) -> Result<Json<RpView>, Problem> {
    moved(&inner, &client_id, Move::Pause).await
}

/// Go on delivering to a paused relying party
#[utoipa::path(post, path = "/rps/{client_id}/resume", tag = "relying parties",
    responses((status = 200, body = RpView), (status = 404, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn resume_rp(
    State(inner): State<Arc<Inner>>,
    Path(client_id): Path<String>,
) -> Result<Json<RpView>, Problem> {
    moved(&inner, &client_id, Move::Resume).await
}

/// Disable a relying party: what concerns it is discarded
#[utoipa::path(post, path = "/rps/{client_id}/disable", tag = "relying parties", request_body = Disabling,
    responses((status = 200, body = RpView), (status = 400, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn disable_rp(
    State(inner): State<Arc<Inner>>,
    Path(client_id): Path<String>,
    body: Result<Json<Disabling>, JsonRejection>,
) -> Result<Json<RpView>, Problem> {
    let Disabling { reason } = given(body)?;
    if reason.is_empty() || reason.len() > 200 || reason.chars().any(char::is_control) {
        return Err(Problem::invalid("the reason is 1 to 200 bytes of plain text"));
    }
    moved(&inner, &client_id, Move::Disable { reason }).await
}

/// Enable a disabled relying party again; `deliveries replay` brings back what it missed
#[utoipa::path(post, path = "/rps/{client_id}/enable", tag = "relying parties",
    responses((status = 200, body = RpView), (status = 404, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn enable_rp(
    State(inner): State<Arc<Inner>>,
    Path(client_id): Path<String>,
) -> Result<Json<RpView>, Problem> {
    moved(&inner, &client_id, Move::Enable).await
}

/// How an operator moves a relying party from one status to another.
enum Move {
    Pause,
    Resume,
    Disable { reason: String },
    Enable,
}

impl Move {
    /// The status it leads to, if it leads anywhere from there.
    fn from(&self, status: &Status) -> Result<Status, String> {
        match (self, status) {
            (Self::Pause, Status::Enabled | Status::Paused) => Ok(Status::Paused),
            (Self::Resume, Status::Enabled | Status::Paused)
            | (Self::Enable, Status::Enabled | Status::Disabled { .. }) => Ok(Status::Enabled),
            (Self::Disable { reason }, _) => Ok(Status::Disabled { reason: reason.clone() }),
            (Self::Pause | Self::Resume, Status::Disabled { .. }) => {
                Err("it is disabled; enable it first".into())
            }
            (Self::Enable, Status::Paused) => Err("it is paused, not disabled; resume it".into()),
        }
    }
}

async fn moved(inner: &Arc<Inner>, client_id: &str, to: Move) -> Result<Json<RpView>, Problem> {
    change(inner, client_id, Problem::conflict, move |kept| {
        kept.rp.status = to.from(&kept.rp.status)?;
        Ok(())
    })
    .await
}
