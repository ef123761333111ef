//! The public routes: signed events, as Mozilla accounts sends them and as RFC 8935 has it.

mod push;
mod webhook;

use crate::door::Door;
use crate::settings::{Settings, Webhook};
use axum::response::Response;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;

/// Those that are switched on; none where nobody may send tokens.
pub(crate) fn public_routes(door: &Arc<Door>, settings: &Settings) -> OpenApiRouter {
    let mut routes = OpenApiRouter::new();
    if !door.has_transmitters() {
        return routes;
    }
    if settings.webhook != Webhook::Off {
        routes = routes.merge(webhook::routes(Arc::clone(door), settings.webhook));
    }
    if settings.push {
        routes = routes.merge(push::routes(Arc::clone(door)));
    }
    routes
}

/// 503: come again then, in whole seconds and never at once.
fn unavailable(mut response: Response, retry_after: Duration) -> Response {
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let seconds = retry_after.as_millis().div_ceil(1000).max(1);
    let seconds = HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX));
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

#[cfg(test)]
mod tests;
