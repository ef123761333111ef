//! Callers' tokens, over the admin API.

use super::guard;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use keys::{Caller, Callers, Listener, NewCaller};
use ledger::Problem;
use serde::{Deserialize, Serialize};
use store::StoreError;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The longest name, in bytes, as the column holds it.
const LONGEST_NAME: usize = 100;

/// The routes.
pub(crate) fn routes(callers: Callers) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(revoke)).with_state(callers)
}

/// A caller; its token, shown this once.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct Made {
    /// The token itself; only its hash is kept. A caller with a certificate has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
    /// Whose it is.
    pub(crate) caller: Caller,
}

/// Make a caller's token, or take in its certificate. The answer is the only place where a token is ever seen.
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = NewCaller,
    responses((status = 201, body = Made), (status = 400, body = Problem),
        (status = 409, description = "The certificate stands for another caller", body = Problem)))]
async fn create(
    State(callers): State<Callers>,
    Json(new): Json<NewCaller>,
) -> Result<(StatusCode, Json<Made>), Problem> {
    check(&new)?;
    let (token, caller) = callers.create(new).await.map_err(taken)?;
    Ok((StatusCode::CREATED, Json(Made { token, caller })))
}

/// Every caller, the revoked ones too; never a token.
#[utoipa::path(get, path = "/tokens", tag = "tokens", responses((status = 200, body = [Caller])))]
async fn list(State(callers): State<Callers>) -> Result<Json<Vec<Caller>>, Problem> {
    Ok(Json(callers.list().await?))
}

/// Revoke a token: refused from now on, on every node within two seconds.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens", params(("id" = i64, Path, description = "its number")),
    responses((status = 204), (status = 404, body = Problem)))]
async fn revoke(State(callers): State<Callers>, Path(id): Path<i64>) -> Result<StatusCode, Problem> {
    if callers.revoke(id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found(format!("there is no token {id} that could be revoked")))
    }
}

fn taken(error: StoreError) -> Problem {
    match error {
        StoreError::Duplicate { .. } => Problem::conflict(
            "that certificate stands for a caller already; `highwater token list` says for which, and revoking that makes room",
        ),
        other => other.into(),
    }
}

fn check(new: &NewCaller) -> Result<(), Problem> {
    if new.certificate.is_some() && new.listener != Listener::Service {
        return Err(Problem::invalid("certificates stand for callers of the service listener only"));
    }
    if new.name.trim().is_empty() || new.name.len() > LONGEST_NAME {
        return Err(Problem::invalid(format!("a name has 1 to {LONGEST_NAME} bytes")));
    }
    let known = guard::scopes(new.listener);
    match new.scopes.iter().find(|scope| !known.contains(&scope.as_str())) {
        Some(scope) => Err(Problem::invalid(format!(
            "there is no scope `{scope}` on that listener; there are: {}",
            known.join(", ")
        ))),
        None => Ok(()),
    }
}
