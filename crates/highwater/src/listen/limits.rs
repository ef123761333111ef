//! What a request may cost before anybody has looked at it, and what it gets when a handler panics.

use axum::Router;
use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::time::Duration;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;

/// The section `listen.limits`: one set for each listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitSettings {
    /// Connections open at once on one listener; more wait in the kernel's queue.
    pub(crate) connections: usize,
    /// Bytes of a request's line and headers.
    pub(crate) header_bytes: usize,
    /// Seconds in which the headers must have come.
    pub(crate) header_seconds: u64,
    /// Bytes of a request's body on the public and the service listener.
    pub(crate) body_bytes: usize,
    /// Seconds a body may pause between two of its parts.
    pub(crate) body_seconds: u64,
    /// Bytes of a request's body on the admin listener, which takes files of events in pieces.
    pub(crate) admin_body_bytes: usize,
    /// Seconds a stopping process waits for the requests it is in.
    pub(crate) drain_seconds: u64,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            connections: 10_000,
            header_bytes: 32 * 1024,
            header_seconds: 10,
            body_bytes: 1024 * 1024,
            body_seconds: 30,
            admin_body_bytes: 8 * 1024 * 1024,
            drain_seconds: 30,
        }
    }
}

/// What one connection may do.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimits {
    /// Open at once.
    pub(crate) connections: usize,
    /// Bytes of a request's line and headers.
    pub(crate) header_bytes: usize,
    /// The time the headers may take.
    pub(crate) header_timeout: Duration,
}

/// The least that hyper reads at once, in bytes.
const LEAST_HEADER_BYTES: usize = 8 * 1024;

impl From<&LimitSettings> for ConnectionLimits {
    fn from(settings: &LimitSettings) -> Self {
        Self {
            connections: settings.connections.max(1),
            header_bytes: settings.header_bytes.max(LEAST_HEADER_BYTES),
            header_timeout: Duration::from_secs(settings.header_seconds),
        }
    }
}

/// Routes whose requests have bodies of at most `bytes` (413 beyond, RFC 9110 section 15.5.14) that do not pause for
/// longer than `pause`, and whose panics are answered.
pub(crate) fn bound_requests(routes: Router, bytes: usize, pause: Duration) -> Router {
    routes
        .layer(CatchPanicLayer::custom(answer_panic))
        // Inside the time-out, so that handlers still recognise the limit's own error.
        .layer(RequestBodyLimitLayer::new(bytes))
        .layer(RequestBodyTimeoutLayer::new(pause))
}

/// A panic was logged where it happened; its message stays inside.
fn answer_panic(_: Box<dyn Any + Send>) -> Response<Body> {
    metrics::counter!("request.panics").increment(1);
    let body = r#"{"status":"internal-error","errors":[{"location":"internal","name":"","description":"Server error"}]}"#;
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Bytes;
    use axum::http::Request;
    use axum::routing::{get, post};
    use tower::ServiceExt;

    fn routes() -> Router {
        let routes = Router::new()
            .route("/panic", get(async || -> &'static str { panic!("a secret") }))
            .route("/length", post(async |body: Bytes| body.len().to_string()));
        bound_requests(routes, 4, Duration::from_secs(1))
    }

    async fn answer(request: Request<Body>) -> (StatusCode, String) {
        let answer = routes().oneshot(request).await.expect("the routes answer everything");
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), 1_000).await.expect("a short body");
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn a_panic_is_answered_and_keeps_its_message_inside() {
        let (status, body) = answer(Request::get("/panic").body(Body::empty()).expect("a request")).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(body.contains("internal-error") && !body.contains("secret"), "{body}");
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_is_refused_with_or_without_a_length() {
        let sized = |text: &'static str| Request::post("/length").body(Body::from(text)).expect("a request");
        assert_eq!(answer(sized("1234")).await, (StatusCode::OK, "4".to_owned()));
        assert_eq!(answer(sized("12345")).await.0, StatusCode::PAYLOAD_TOO_LARGE);
        let pieces = futures::stream::iter(["123", "45"].map(Ok::<_, std::io::Error>));
        let endless = Request::post("/length").body(Body::from_stream(pieces)).expect("a request");
        assert_eq!(answer(endless).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
