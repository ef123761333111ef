//! `POST /1.0/webhooks/fxa/events`: the token in `Authorization: Bearer`, no body; what the event broker of Mozilla
//! accounts sends and the Tokenserver takes.

use super::unavailable;
use crate::door::{Door, TurnedAway};
use crate::set::Refusal;
use crate::settings::Webhook;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use metrics::{Counter, counter};
use serde::Serialize;
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

#[derive(Clone)]
struct Hook {
    door: Arc<Door>,
    mode: Webhook,
    meters: Arc<Meters>,
}

pub(super) fn routes(door: Arc<Door>, mode: Webhook) -> OpenApiRouter {
    let hook = Hook { door, mode, meters: Arc::new(Meters::new()) };
    OpenApiRouter::with_openapi(Described::openapi())
        .route("/1.0/webhooks/fxa/events", post(receive).fallback(only_post))
        .with_state(hook)
}

async fn receive(State(hook): State<Hook>, headers: HeaderMap) -> Response {
    match hook.take(&headers).await {
        // Without an object for `events` it would be no better when sent again, and its sender would try for days.
        Ok(()) | Err(TurnedAway::Refused(Refusal::Events)) => StatusCode::OK.into_response(),
        Err(TurnedAway::Refused(refusal)) => refused(&refusal),
        Err(TurnedAway::Unavailable { retry_after }) => unavailable(server_error(), retry_after),
    }
}

impl Hook {
    async fn take(&self, headers: &HeaderMap) -> Result<(), TurnedAway> {
        let opened = self.door.open(bearer(headers).unwrap_or_default()).await?;
        self.meters.received.increment(opened.uris().count() as u64);
        let processed: Vec<Counter> = opened.uris().filter_map(|uri| self.meters.processed(uri)).collect();
        if self.mode == Webhook::On {
            self.door.commit(opened).await?;
        }
        for counter in processed {
            counter.increment(1);
        }
        Ok(())
    }
}

/// RFC 6750 section 2.1; the scheme knows no case (RFC 9110 section 11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The names that dashboards of the Tokenserver know: `webhook.events_received` counts events of authentic tokens,
/// `webhook.events_processed{event_type}` those that mean something to a Tokenserver.
struct Meters {
    received: Counter,
    delete_user: Counter,
    password_change: Counter,
}

impl Meters {
    fn new() -> Self {
        Self {
            received: counter!("webhook.events_received"),
            delete_user: counter!("webhook.events_processed", "event_type" => "delete_user"),
            password_change: counter!("webhook.events_processed", "event_type" => "password_change"),
        }
    }

    fn processed(&self, uri: &str) -> Option<Counter> {
        match uri {
            "https://schemas.accounts.firefox.com/event/delete-user" => Some(self.delete_user.clone()),
            "https://schemas.accounts.firefox.com/event/password-change" => {
                Some(self.password_change.clone())
            }
            _ => None,
        }
    }
}

/// The error body of the Tokenserver's field.
#[derive(Serialize)]
struct ErrorBody {
    status: &'static str,
    errors: [ErrorLine; 1],
}

#[derive(Serialize)]
struct ErrorLine {
    location: &'static str,
    name: &'static str,
    description: &'static str,
}

fn error(
    code: StatusCode,
    status: &'static str,
    location: &'static str,
    description: &'static str,
) -> Response {
    (code, Json(ErrorBody { status, errors: [ErrorLine { location, name: "", description }] }))
        .into_response()
}

fn refused(refusal: &Refusal) -> Response {
    tracing::info!(%refusal, "a security event token was refused");
    error(StatusCode::UNAUTHORIZED, "invalid-credentials", "body", "Unauthorized")
}

fn server_error() -> Response {
    error(StatusCode::SERVICE_UNAVAILABLE, "internal-error", "internal", "Server error")
}

/// Another method; the router says which one is allowed.
async fn only_post() -> Response {
    error(StatusCode::METHOD_NOT_ALLOWED, "error", "url", "Method Not Allowed")
}

#[derive(OpenApi)]
#[openapi(paths(described))]
struct Described;

/// Take in a security event token of Mozilla accounts
#[utoipa::path(
    post,
    path = "/1.0/webhooks/fxa/events",
    operation_id = "receive_fxa_event",
    tag = "events",
    params(("Authorization" = String, Header, description = "`Bearer <security event token>`")),
    responses(
        (status = 200, description = "Committed; unknown accounts and unknown events too. Empty"),
        (status = 401, description = "No token, or not one that is authentic and meant for us"),
        (status = 503, description = "Come again after `Retry-After` seconds"),
    ),
)]
#[expect(dead_code, reason = "describes `receive`")]
fn described() {}
