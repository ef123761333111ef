//! The binary's own part of the admin API: callers' tokens, health, imports, metrics, and the description of the whole.

pub(crate) mod guard;
pub(crate) mod health;
pub(crate) mod importing;
mod problems;
pub(crate) mod tokens;

use crate::telemetry::Prometheus;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder};

/// What the descriptions call a caller's token.
const TOKEN: &str = "caller_token";

/// The listeners, as they are described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// For everybody.
    Public,
    /// For services with a token.
    Service,
    /// For operators.
    Admin,
}

impl Door {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Public, Self::Service, Self::Admin];

    /// Where its description is, on the admin listener.
    const fn path(self) -> &'static str {
        match self {
            Self::Public => "/openapi/public.json",
            Self::Service => "/openapi/service.json",
            Self::Admin => "/openapi.json",
        }
    }

    const fn about(self) -> (&'static str, &'static str) {
        match self {
            Self::Public => ("Highwater: the public listener", "Each route has its protocol's own errors."),
            Self::Service => ("Highwater: the service listener", "Callers have a token of this listener."),
            Self::Admin => (
                "Highwater: the admin API",
                "Every command of the command line is a request to this API. Errors are RFC 9457 problem details.",
            ),
        }
    }
}

/// The head of a listener's description; the routes are added as they are merged.
pub(crate) fn description(door: Door) -> OpenApi {
    let (title, about) = door.about();
    let licence = LicenseBuilder::new().name("MIT OR Apache-2.0").build();
    let info = InfoBuilder::new().title(title).version(env!("CARGO_PKG_VERSION")).description(Some(about));
    let api = OpenApiBuilder::new().info(info.license(Some(licence)).build());
    if door == Door::Public {
        return api.build();
    }
    let token = SecurityScheme::Http(Http::builder().scheme(HttpAuthScheme::Bearer).build());
    let schemes = ComponentsBuilder::new().security_scheme(TOKEN, token).build();
    let needed = SecurityRequirement::new(TOKEN, Vec::<String>::new());
    api.components(Some(schemes)).security(Some([needed])).build()
}

/// What holds of every route that was merged.
pub(crate) fn complete(mut api: OpenApi) -> OpenApi {
    problems::name_their_type(&mut api);
    api
}

/// Adds the descriptions of what each listener takes and answers (OpenAPI 3.1).
pub(crate) fn with_descriptions(routes: Router, descriptions: [(Door, OpenApi); 3]) -> Router {
    descriptions.into_iter().fold(routes, |routes, (door, api)| {
        let described = Json(serde_json::to_value(&api).expect("a description is JSON"));
        routes.route(door.path(), get(async move || described.clone()))
    })
}

/// Adds `/metrics`, for a Prometheus scrape.
pub(crate) fn with_metrics(routes: Router, prometheus: Prometheus) -> Router {
    let render =
        async move || ([(CONTENT_TYPE, "text/plain; version=0.0.4")], prometheus.render()).into_response();
    routes.route("/metrics", get(render))
}
