//! The published keys.

use crate::capability::Inner;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// Receivers may hold the keys this long: a key is published for longer before it signs.
const CACHE: &str = "public, max-age=300, stale-while-revalidate=3600, stale-if-error=86400";

pub(super) fn routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new().route("/.well-known/jwks.json", get(published)).with_state(inner)
}

async fn published(State(inner): State<Arc<Inner>>) -> Response {
    let mut response = Response::new(Body::from(inner.signer.published()));
    let headers = response.headers_mut();
    if inner.signer.keys().is_empty() {
        // They have not been read yet: an empty set would be remembered.
        headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return response;
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(CACHE));
    response
}
