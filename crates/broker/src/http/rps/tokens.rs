//! The tokens by which relying parties authorise themselves here.

use super::show_rp;
use crate::capability::Inner;
use crate::http::{given, named};
use crate::receiver_tokens::{NewToken, issue};
use crate::store::tokens::RevokeTokens;
use account::Millis;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use http::StatusCode;
use ledger::Problem;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// A token by which a relying party authorises itself here. It is shown this once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct IssuedToken {
    /// The token.
    token: String,
    /// When it ends, milliseconds since the epoch; absent: never.
    #[schema(value_type = Option<i64>)]
    expires_at: Option<Millis>,
}

/// Give a relying party a token for streams and polling; it is shown this once
#[utoipa::path(post, path = "/rps/{client_id}/tokens", tag = "relying parties", request_body = NewToken,
    responses((status = 201, body = IssuedToken), (status = 400, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn create_token(
    State(inner): State<Arc<Inner>>,
    Path(client_id): Path<String>,
    body: Result<Json<NewToken>, JsonRejection>,
) -> Result<(StatusCode, Json<IssuedToken>), Problem> {
    let new = given(body)?;
    new.check().map_err(Problem::invalid)?;
    let Json(rp) = show_rp(State(Arc::clone(&inner)), Path(client_id)).await?;
    let (token, expires_at) = issue(&inner, rp.client_id, &new).await?;
    Ok((StatusCode::CREATED, Json(IssuedToken { token, expires_at })))
}

/// Revoke every token of a relying party
#[utoipa::path(delete, path = "/rps/{client_id}/tokens", tag = "relying parties",
    responses((status = 204), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn revoke_tokens(
    State(inner): State<Arc<Inner>>,
    Path(client_id): Path<String>,
) -> Result<StatusCode, Problem> {
    inner.store.run(RevokeTokens(named(&client_id)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}
