//! `POST /backchannel-logout/{idp}` (OpenID Connect Back-Channel Logout 1.0): an identity provider says who signed out there.

use crate::Reason;
use crate::capability::Inner;
use crate::store::acts::{Actor, ActorKind};
use crate::store::end::{AccountsOfSid, EndBy};
use crate::upstream::{NotHeard, SignedOut};
use account::{AccountId, IdpId};
use axum::Json;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use outbound::form_urlencoded;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// More than any logout token that is looked at, percent-encoded.
const LONGEST_FORM: usize = 32 * 1024;
/// Times in tokens are to the second.
const SECOND: Duration = Duration::from_millis(999);

pub(super) fn routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(back_channel_logout))
        .layer(DefaultBodyLimit::max(LONGEST_FORM))
        .with_state(inner)
}

/// Why it was not heard (section 2.8).
#[derive(Serialize, ToSchema)]
struct LogoutProblem {
    error: &'static str,
    error_description: String,
}

/// What is posted.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that the route reads")]
struct LogoutForm {
    /// A signed JWT that says who signed out.
    logout_token: String,
}

/// An identity provider says that somebody signed out there (OpenID Connect Back-Channel Logout 1.0)
#[utoipa::path(
    post,
    path = "/backchannel-logout/{idp}",
    tag = "sessions",
    request_body(content = LogoutForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The sessions that it is about have ended"),
        (status = 400, description = "The token is not good", body = LogoutProblem),
        (status = 404, description = "Nobody logs in by such an identity provider"),
        (status = 503, description = "Come again after `Retry-After` seconds", body = LogoutProblem),
    ),
    security(())
)]
async fn back_channel_logout(
    State(inner): State<Arc<Inner>>,
    Path(idp): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(idp) = IdpId::new(&idp).ok().filter(|idp| inner.lanes.get(idp).is_some()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut response = match heard(&inner, &idp, &headers, &body).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(not) => refused(&not),
    };
    // Section 2.8.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn heard(inner: &Inner, idp: &IdpId, headers: &HeaderMap, body: &[u8]) -> Result<(), NotHeard> {
    let token =
        token(headers, body).ok_or(NotHeard::Invalid("the body is no form with one logout_token".into()))?;
    let who = inner.upstream.signed_out(idp, &token, inner.now()).await?;
    let ended = end(inner, idp, who).await.map_err(|error| {
        tracing::warn!(%error, "a logout cannot be carried out now");
        NotHeard::Unavailable { retry_after: Duration::from_secs(5) }
    })?;
    metrics::counter!("sessions.back_channel_logouts", "idp" => idp.as_str().to_owned()).increment(1);
    tracing::debug!(%idp, ended, "an identity provider signed somebody out");
    Ok(())
}

/// With a `sid` that login, else all of the user's up to the token's own time: one that is sent again, by whomever, ends
/// nothing newer.
async fn end(inner: &Inner, idp: &IdpId, who: SignedOut) -> Result<usize, StoreError> {
    let reason = Reason::BackChannelLogout;
    let actor = Actor { kind: ActorKind::Idp, name: idp.as_str().to_owned() };
    match who {
        SignedOut::Login(sid) => {
            let accounts = inner.store.scan(AccountsOfSid { idp: idp.clone(), sid: sid.clone() }).await?;
            inner.end_in_parts(&EndBy::Sid { idp: idp.clone(), sid }, accounts, reason, actor).await
        }
        SignedOut::User { subject, at } => {
            let account = AccountId::new(idp.clone(), subject);
            let by = EndBy::Account { account: account.clone(), born_by: at.plus(SECOND) };
            inner.end_in_parts(&by, vec![account], reason, actor).await
        }
    }
}

fn token(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return None;
    }
    let mut tokens = form_urlencoded::parse(body).filter(|(name, _)| name == "logout_token");
    match (tokens.next(), tokens.next()) {
        (Some((_, token)), None) if !token.is_empty() => Some(token.into_owned()),
        _ => None,
    }
}

fn refused(not: &NotHeard) -> Response {
    let (status, error) = match not {
        NotHeard::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid_request"),
        NotHeard::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
    };
    let mut response =
        (status, Json(LogoutProblem { error, error_description: not.to_string() })).into_response();
    if let NotHeard::Unavailable { retry_after } = not {
        response.headers_mut().insert(RETRY_AFTER, retry_after.as_secs().max(1).into());
    }
    response
}
