//! What is answered, in the words of the way something came.

use super::{Heard, Refusal, Way};
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde_json::json;

/// The answer to what was heard.
pub(super) fn to(heard: &Heard) -> Response {
    let Some(refusal) = &heard.refusal else {
        return match heard.way {
            // RFC 8935 section 2.2.
            Way::Push => StatusCode::ACCEPTED.into_response(),
            _ => StatusCode::OK.into_response(),
        };
    };
    match (refusal, heard.way) {
        // Trouble of ours is never the token's fault.
        (Refusal::KeysUnavailable, _) => {
            (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "5")], format!("{refusal}\n")).into_response()
        }
        // RFC 8935 section 2.3.
        (_, Way::Push) => {
            let error = json!({ "err": err(refusal), "description": refusal.to_string() });
            (StatusCode::BAD_REQUEST, Json(error)).into_response()
        }
        (Refusal::Nothing | Refusal::Malformed(_), _) => plain(StatusCode::BAD_REQUEST, &refusal.to_string()),
        _ => plain(StatusCode::UNAUTHORIZED, &refusal.to_string()),
    }
}

/// The error of RFC 8935 section 2.4 that says it.
pub(super) const fn err(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Key => "invalid_key",
        Refusal::Signature | Refusal::KeysUnavailable => "authentication_failed",
        Refusal::Issuer(_) => "invalid_issuer",
        Refusal::Audience(_) => "invalid_audience",
        Refusal::Nothing | Refusal::Malformed(_) | Refusal::Time(_) => "invalid_request",
    }
}

/// A status and a sentence.
pub(super) fn plain(status: StatusCode, why: &str) -> Response {
    (status, format!("{why}\n")).into_response()
}
