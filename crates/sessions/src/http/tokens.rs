//! Access tokens that live.

use super::answer::Refused;
use super::{TOKENS, allowed, given, named, service};
use crate::access::{Live, Wanted};
use crate::capability::Inner;
use crate::store::find::ReadHeld;
use crate::upstream::{Request, TokenType, signed};
use account::Millis;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Method};
use keys::Caller;
use ledger::Problem;
use outbound::Url;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Nobody is promised more.
const LONGEST_TTL: u32 = 24 * 60 * 60;
const MOST_PROOFS: usize = 16;
const LONGEST_PART: usize = 4 * 1024;

pub(super) fn routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(access_token)).routes(routes!(refresh_session)).with_state(inner)
}

/// What is wanted of a token.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct WantedToken {
    /// Seconds it should live at least. One that lives no longer at all is handed out as it is.
    min_ttl_seconds: u32,
    /// Requests that will be made with it, up to 16: where the token is bound to a key, each gets a proof.
    proofs: Vec<WantedProof>,
}

/// A request that will be made with a bound token (RFC 9449 section 7).
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WantedProof {
    method: String,
    url: String,
    /// What the resource server wants to find in the proof: its last `DPoP-Nonce`.
    #[serde(default)]
    nonce: Option<String>,
}

/// An access token.
#[derive(Serialize, ToSchema)]
#[schema(as = AccessToken)]
struct LiveToken {
    access_token: String,
    /// How it is shown: the scheme of the header `Authorization`.
    token_type: TokenType,
    /// When it ends; milliseconds since the epoch; absent: that was not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    expires_at: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// For a `DPoP` token, the header `DPoP` of each request that a proof was wanted for, in their order; each is good for that
    /// one request, for a minute or so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dpop_proofs: Vec<String>,
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
    let requests = requests(wanted.proofs)?;
    let wanted = Wanted::Lasting(Duration::from_secs(wanted.min_ttl_seconds.into()));
    let live = inner.live_token(&id, wanted).await??;
    let proofs = proofs(&inner, &live, &requests)?;
    Ok(shown(live, proofs))
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
    let caller = allowed(caller, TOKENS)?;
    let id = named(&id)?;
    let held = inner.store.read(&ReadHeld(&id)).await?;
    let generation = held.and_then(|held| held.grant).map_or(0, |grant| grant.generation);
    Ok(shown(inner.refreshed_by(&id, generation, service(&caller)).await??, Vec::new()))
}

fn requests(wanted: Vec<WantedProof>) -> Result<Vec<Request>, Problem> {
    if wanted.len() > MOST_PROOFS {
        return Err(Problem::invalid(format!("proofs are for at most {MOST_PROOFS} requests")));
    }
    wanted.into_iter().map(request).collect()
}

fn request(wanted: WantedProof) -> Result<Request, Problem> {
    let is_short = |text: &str| !text.is_empty() && text.len() <= LONGEST_PART;
    let parts = [Some(&wanted.method), Some(&wanted.url), wanted.nonce.as_ref()];
    if !parts.into_iter().flatten().all(|part| is_short(part)) {
        return Err(Problem::invalid(format!("method, url and nonce have 1 to {LONGEST_PART} bytes")));
    }
    let method = Method::from_bytes(wanted.method.as_bytes());
    let method = method.map_err(|_| Problem::invalid(format!("{:?} is no method", wanted.method)))?;
    let url = Url::parse(&wanted.url).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
    let url = url.ok_or_else(|| Problem::invalid(format!("{:?} is no URL of a request", wanted.url)))?;
    Ok(Request { method, url, nonce: wanted.nonce })
}

/// None for a bearer token: it is shown by itself.
fn proofs(inner: &Inner, live: &Live, requests: &[Request]) -> Result<Vec<String>, Problem> {
    let Some(key) = live.dpop_key.as_ref().filter(|_| !requests.is_empty()) else { return Ok(Vec::new()) };
    signed(key, &live.access_token, requests, inner.now()).map_err(|error| {
        tracing::error!(error, "the key of a bound access token cannot be used");
        Problem::unavailable("the key that the access token is bound to cannot be used now")
    })
}

fn shown(live: Live, dpop_proofs: Vec<String>) -> Response {
    let Live { access_token, token_type, expires_at, scope, .. } = live;
    let access_token = access_token.to_string();
    let token = LiveToken { access_token, token_type, expires_at, scope, dpop_proofs };
    let mut response = Json(token).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
