//! Access tokens that live.

use super::answer::Refused;
use super::{TOKENS, allowed, given, named};
use crate::access::{Live, Wanted};
use crate::capability::Inner;
use crate::store::find::ReadHeld;
use account::Millis;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use keys::Caller;
use ledger::Problem;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Nobody is promised more.
const LONGEST_TTL: u32 = 24 * 60 * 60;

pub(super) fn routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(access_token)).routes(routes!(refresh_session)).with_state(inner)
}

/// What is wanted of a token.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct WantedToken {
    /// Seconds it should live at least. One that lives no longer at all is handed out as it is.
    min_ttl_seconds: u32,
}

/// An access token.
#[derive(Serialize, ToSchema)]
#[schema(as = AccessToken)]
struct LiveToken {
    access_token: String,
    /// When it ends; milliseconds since the epoch; absent: that was not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    expires_at: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// Get an access token that lives; it is refreshed first where it must be
#[utoipa::path(post, path = "/sessions/{id}/access-token", tag = "sessions", request_body = WantedToken,
    responses((status = 200, body = LiveToken), (status = 400, body = Problem),
        (status = 403, description = "The caller has no scope `sessions:tokens`", body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "It has no tokens, or they can be refreshed no more: the user must log in again", body = Problem),
        (status = 410, description = "It has ended", body = Problem),
        (status = 503, description = "Come again after `Retry-After` seconds", body = Problem)),
    security(("caller" = [])))]
async fn access_token(
    State(inner): State<Arc<Inner>>,
    caller: Option<Extension<Caller>>,
    Path(id): Path<String>,
    body: Result<Json<WantedToken>, JsonRejection>,
) -> Result<Response, Refused> {
    allowed(caller, TOKENS)?;
    let (id, wanted) = (named(&id)?, given(body)?);
    if wanted.min_ttl_seconds > LONGEST_TTL {
        return Err(Problem::invalid(format!("min_ttl_seconds is at most {LONGEST_TTL}")).into());
    }
    let wanted = Wanted::Lasting(Duration::from_secs(wanted.min_ttl_seconds.into()));
    Ok(shown(inner.live_token(&id, wanted).await??))
}

/// Refresh a session's tokens now; answers when that is done, with the new access token
#[utoipa::path(post, path = "/sessions/{id}/refresh", tag = "sessions",
    responses((status = 200, body = LiveToken), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 410, body = Problem),
        (status = 503, description = "Come again after `Retry-After` seconds", body = Problem)),
    security(("caller" = [])))]
async fn refresh_session(
    State(inner): State<Arc<Inner>>,
    caller: Option<Extension<Caller>>,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    allowed(caller, TOKENS)?;
    let id = named(&id)?;
    let held = inner.store.read(&ReadHeld(&id)).await?;
    let generation = held.and_then(|held| held.grant).map_or(0, |grant| grant.generation);
    Ok(shown(inner.live_token(&id, Wanted::After(generation)).await??))
}

fn shown(live: Live) -> Response {
    let Live { access_token, expires_at, scope } = live;
    let token = LiveToken { access_token: access_token.to_string(), expires_at, scope };
    let mut response = Json(token).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
