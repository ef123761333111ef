//! What goes wrong with identity providers, for operators; and the keys that tokens are sealed with.

use crate::capability::Inner;
use crate::store::find::{IdpTrouble, ListTroubles};
use axum::Json;
use axum::extract::State;
use keys::DataKeyView;
use ledger::Problem;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_idps))
        .routes(routes!(list_token_keys, rotate_token_keys))
        .with_state(inner)
}

/// How an identity provider is, as far as refreshing goes.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct SessionIdp {
    idp: String,
    /// Whether this process asks it: `closed`: yes; `open`: it is spared; `half_open`: one finds out whether it is back.
    breaker: String,
    /// The last thing that went wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<IdpTrouble>,
}

/// How identity providers are, as far as refreshing goes
#[utoipa::path(get, path = "/session-idps", tag = "sessions",
    responses((status = 200, body = Vec<SessionIdp>), (status = 503, body = Problem)))]
async fn list_idps(State(inner): State<Arc<Inner>>) -> Result<Json<Vec<SessionIdp>>, Problem> {
    let now = inner.now();
    let mut troubles = inner.store.scan(ListTroubles).await?;
    let show = |lane: &Arc<crate::lanes::Lane>| {
        let at = troubles.iter().position(|it| it.idp == lane.idp.as_str());
        let last_error = at.map(|at| troubles.swap_remove(at));
        SessionIdp { idp: lane.idp.to_string(), breaker: lane.standing(now).breaker.to_owned(), last_error }
    };
    Ok(Json(inner.lanes.iter().map(show).collect()))
}

/// The keys that tokens are sealed with
#[utoipa::path(get, path = "/token-keys", tag = "keys",
    responses((status = 200, body = Vec<DataKeyView>), (status = 503, body = Problem)))]
async fn list_token_keys(State(inner): State<Arc<Inner>>) -> Result<Json<Vec<DataKeyView>>, Problem> {
    inner.keys.ensure().await?;
    Ok(Json(inner.keys.list()))
}

/// Seal tokens with a new key from now on; those that are kept are sealed anew in the background
#[utoipa::path(post, path = "/token-keys", tag = "keys",
    responses((status = 200, body = Vec<DataKeyView>), (status = 503, body = Problem)))]
async fn rotate_token_keys(State(inner): State<Arc<Inner>>) -> Result<Json<Vec<DataKeyView>>, Problem> {
    inner.keys.rotate().await?;
    Ok(Json(inner.keys.list()))
}
