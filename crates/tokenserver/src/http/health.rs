//! Whether it works, which build it is, and the two routes that only answer.

use super::answer;
use crate::Refusal;
use crate::exchange::Tokenserver;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use http::header::{LOCATION, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;

/// How long the store may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn routes() -> OpenApiRouter<Arc<Tokenserver>> {
    OpenApiRouter::new()
        .route("/__heartbeat__", only_get(get(heartbeat)))
        .route("/__lbheartbeat__", only_get(get(async || answer::json(StatusCode::OK, "{}"))))
        .route("/__version__", only_get(get(async || answer::json(StatusCode::OK, version().to_string()))))
        .route("/__error__", only_get(get(async || answer::error(&Refusal::TestError))))
        .route("/", only_get(get(documentation)))
}

/// GET and nothing else: HEAD is another method here.
fn only_get<S: Clone + Send + Sync + 'static>(route: MethodRouter<S>) -> MethodRouter<S> {
    route.head(async || answer::only_get()).fallback(async || answer::only_get())
}

/// Whether the store answers. One that cannot be reached is told in the error shape; one that is reached and then fails
/// in this document.
async fn heartbeat(State(server): State<Arc<Tokenserver>>) -> Response {
    let version = env!("CARGO_PKG_VERSION");
    match tokio::time::timeout(PATIENCE, server.store.ping()).await {
        Ok(Ok(())) => {
            let well = json!({ "version": version, "database": "Ok", "status": "Ok" });
            answer::json(StatusCode::OK, well.to_string())
        }
        Ok(Err(error)) if error.is_outage() => answer::error(&Refusal::StoreUnavailable),
        Ok(Err(_)) | Err(_) => {
            let ill = json!({ "version": version, "status": "Err", "database": "Unknown" });
            let mut response = answer::json(StatusCode::SERVICE_UNAVAILABLE, ill.to_string());
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("10"));
            response
        }
    }
}

/// The build, as far as its maker said.
fn version() -> serde_json::Value {
    json!({
        "build": option_env!("HIGHWATER_BUILD").unwrap_or("TBD"),
        "commit": option_env!("HIGHWATER_COMMIT").unwrap_or("TBD"),
        "source": option_env!("HIGHWATER_SOURCE").unwrap_or("TBD"),
        "version": env!("CARGO_PKG_VERSION"),
    })
}

async fn documentation(State(server): State<Arc<Tokenserver>>) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    let place = HeaderValue::from_str(&server.settings.documentation_url);
    response.headers_mut().insert(LOCATION, place.expect("checked with the settings"));
    response
}
