//! The binary's own part of the admin API: callers' tokens, health, metrics, and the description of the whole.

pub(crate) mod guard;
pub(crate) mod health;
pub(crate) mod tokens;

use crate::telemetry::Prometheus;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder};

/// The head of the description; the routes are added as they are merged.
pub(crate) fn description() -> OpenApi {
    let licence = LicenseBuilder::new().name("MIT OR Apache-2.0").build();
    let info = InfoBuilder::new()
        .title("Highwater's admin API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Every command of the command line is a request to this API. Errors are RFC 9457 problem details."))
        .license(Some(licence));
    OpenApiBuilder::new().info(info.build()).build()
}

/// Adds `/openapi.json`, the description of what the routes answer.
pub(crate) fn with_openapi(routes: Router, api: &OpenApi) -> Router {
    let described = Json(serde_json::to_value(api).expect("a description is JSON"));
    routes.route("/openapi.json", get(async move || described.clone()))
}

/// Adds `/metrics`, for a Prometheus scrape.
pub(crate) fn with_metrics(routes: Router, prometheus: Prometheus) -> Router {
    let render =
        async move || ([(CONTENT_TYPE, "text/plain; version=0.0.4")], prometheus.render()).into_response();
    routes.route("/metrics", get(render))
}
