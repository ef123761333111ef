//! How a refusal is told.

use crate::{Refusal, Wire};
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue};
use serde::Serialize;
use utoipa::ToSchema;

/// A refusal.
#[derive(Serialize, ToSchema)]
pub(super) struct Refused {
    /// The error of RFC 6750 section 3.1, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    /// A word for exactly this; it stays the same.
    error_code: &'static str,
    /// For people.
    detail: String,
}

impl Refused {
    pub(super) fn new(refusal: &Refusal) -> Self {
        let Wire { error, error_code, .. } = refusal.wire();
        Self { error, error_code, detail: refusal.to_string() }
    }
}

/// With its challenge, and with when to try again.
pub(super) fn refused(refusal: &Refusal, realm: &str) -> Response {
    let mut response = (refusal.wire().status, Json(Refused::new(refusal))).into_response();
    response.headers_mut().extend(said_beside(refusal, realm));
    response
}

/// What goes with its status and its body.
pub(super) fn said_beside(refusal: &Refusal, realm: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(challenge) = refusal.challenge(realm).and_then(|it| HeaderValue::try_from(it).ok()) {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    if let Some(seconds) = refusal.retry_after() {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    headers
}
