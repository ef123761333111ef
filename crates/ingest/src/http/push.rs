//! `POST /events`: push delivery by RFC 8935. The body is the token.

use super::unavailable;
use crate::door::{Door, TurnedAway};
use crate::set::Refusal;
use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LANGUAGE, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use jose::MAX_TOKEN;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes(door: Arc<Door>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(receive)).with_state(door)
}

/// What is wrong with a token (RFC 8935 section 2.3).
#[derive(Debug, Serialize, ToSchema)]
struct PushError {
    /// One of the codes of RFC 8935 section 2.4.
    err: &'static str,
    /// For people.
    description: String,
}

/// Take in a security event token (RFC 8935)
#[utoipa::path(
    post,
    path = "/events",
    operation_id = "receive_event",
    tag = "events",
    request_body(content = String, content_type = "application/secevent+jwt"),
    responses(
        (status = 202, description = "Committed. Empty"),
        (status = 400, description = "Not taken, and never will be", body = PushError),
        (status = 413, description = "Too long for a token", body = PushError),
        (status = 503, description = "Come again after `Retry-After` seconds"),
    ),
)]
async fn receive(State(door): State<Arc<Door>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    if !is_event(&head.headers) {
        return error(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "the content type must be application/secevent+jwt",
        );
    }
    let token = match read(body).await {
        Ok(token) => token,
        Err(too_long) => return too_long,
    };
    match take(&door, token.trim()).await {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(TurnedAway::Refused(refusal)) => refused(&refusal),
        Err(TurnedAway::Unavailable { retry_after }) => {
            unavailable(StatusCode::SERVICE_UNAVAILABLE.into_response(), retry_after)
        }
    }
}

async fn take(door: &Door, token: &str) -> Result<(), TurnedAway> {
    let opened = door.open(token).await?;
    door.commit(opened).await.map(drop)
}

/// RFC 8935 section 2.1; media types know no case, and may have parameters.
fn is_event(headers: &HeaderMap) -> bool {
    let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    said.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/secevent+jwt")
}

/// The body as text. What is no text is no token: empty text says so as well.
async fn read(body: Body) -> Result<String, Response> {
    let too_long = |_| {
        let description = format!("more than {MAX_TOKEN} bytes, or not all of them came");
        error(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", &description)
    };
    let bytes = to_bytes(body, MAX_TOKEN).await.map_err(too_long)?;
    Ok(String::from_utf8(bytes.into()).unwrap_or_default())
}

fn refused(refusal: &Refusal) -> Response {
    tracing::info!(%refusal, "a security event token was refused");
    error(StatusCode::BAD_REQUEST, code(refusal), &refusal.to_string())
}

/// RFC 8935 section 2.4.
fn code(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Issuer | Refusal::Claim("iss") => "invalid_issuer",
        Refusal::Audience | Refusal::Claim("aud") => "invalid_audience",
        Refusal::Key => "invalid_key",
        Refusal::Signature => "authentication_failed",
        Refusal::Malformed(_)
        | Refusal::Claims
        | Refusal::Type(_)
        | Refusal::Claim(_)
        | Refusal::Early
        | Refusal::Expired
        | Refusal::Events => "invalid_request",
    }
}

fn error(status: StatusCode, err: &'static str, description: &str) -> Response {
    let body = Json(PushError { err, description: description.to_owned() });
    (status, [(CONTENT_LANGUAGE, "en")], body).into_response()
}
