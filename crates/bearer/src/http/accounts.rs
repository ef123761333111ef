//! What is kept of an account that came here itself, for operators.

use crate::capability::Inner;
use crate::store::accounts::{Find, LocalAccount};
use account::{AccountId, IdpId, Subject};
use axum::Json;
use axum::extract::{Path, State};
use axum::middleware::map_response;
use ledger::Problem;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(show_local))
        .layer(map_response(Problem::in_place_of))
        .with_state(inner)
}

/// What is kept of an account that accepted the terms here
#[utoipa::path(get, path = "/accounts/{idp}/{subject}/local", tag = "accounts",
    responses((status = 200, body = LocalAccount), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn show_local(
    State(inner): State<Arc<Inner>>,
    Path((idp, subject)): Path<(String, String)>,
) -> Result<Json<LocalAccount>, Problem> {
    let invalid = |error: account::InvalidId| Problem::invalid(error.to_string());
    let (idp, subject) = (IdpId::new(&idp).map_err(invalid)?, Subject::new(&subject).map_err(invalid)?);
    let account = AccountId::new(idp, subject);
    let found = inner.store.read(&Find(&account)).await?;
    found
        .map(Json)
        .ok_or_else(|| Problem::not_found(format!("the account {account} has never come here itself")))
}
