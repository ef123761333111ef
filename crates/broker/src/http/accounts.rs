//! What the broker knows of an account: its logins, and who confirmed its deletion.

use super::{account, named};
use crate::capability::Inner;
use crate::store::disconnect::Disconnect;
use crate::store::logins::ShowLogins;
use crate::store::receipts::ShowReceipts;
use crate::worker::TOPIC;
use crate::{DeletionReceipt, RememberedLogin};
use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use ledger::Problem;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(show_receipts))
        .routes(routes!(show_logins))
        .routes(routes!(disconnect))
        .with_state(inner)
}

/// Which relying parties were told that the account is gone, and which confirmed it
#[utoipa::path(get, path = "/accounts/{idp}/{subject}/deletion-receipts", tag = "accounts",
    responses((status = 200, body = Vec<DeletionReceipt>), (status = 503, body = Problem)))]
async fn show_receipts(
    State(inner): State<Arc<Inner>>,
    Path((idp, subject)): Path<(String, String)>,
) -> Result<Json<Vec<DeletionReceipt>>, Problem> {
    let hash = inner.tombstones.hash(&account(&idp, &subject)?);
    Ok(Json(inner.store.scan(ShowReceipts(hash)).await?))
}

/// The relying parties that the account has logged in to
#[utoipa::path(get, path = "/accounts/{idp}/{subject}/logins", tag = "accounts",
    responses((status = 200, body = Vec<RememberedLogin>), (status = 503, body = Problem)))]
async fn show_logins(
    State(inner): State<Arc<Inner>>,
    Path((idp, subject)): Path<(String, String)>,
) -> Result<Json<Vec<RememberedLogin>>, Problem> {
    Ok(Json(inner.store.scan(ShowLogins(account(&idp, &subject)?)).await?))
}

/// Forget that the account has logged in to a relying party: it is told that the sessions there have ended, if it has
/// the word for it (CAEP `session-revoked`), and hears no more of the account
#[utoipa::path(delete, path = "/accounts/{idp}/{subject}/logins/{client_id}", tag = "accounts",
    responses((status = 204), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn disconnect(
    State(inner): State<Arc<Inner>>,
    Path((idp, subject, client_id)): Path<(String, String, String)>,
) -> Result<StatusCode, Problem> {
    let (account, client_id) = (account(&idp, &subject)?, named(&client_id)?);
    let unknown = Problem::not_found(format!("no login of {account} to {client_id} is remembered"));
    let (snapshots, now) = (inner.snapshots.clone(), inner.now());
    let gone = inner.store.run(Disconnect { account, client_id, snapshots, now }).await?;
    inner.store.signals().send(TOPIC);
    if gone { Ok(StatusCode::NO_CONTENT) } else { Err(unknown) }
}
