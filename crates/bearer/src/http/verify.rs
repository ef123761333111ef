//! `/verify`: reverse proxies ask whether a request may pass, and whose it is.

use super::allowed;
use super::answer::{Refused, refused};
use crate::Refusal;
use crate::adapters::{Identity, Original, Proxy, refuse_spoofed};
use crate::capability::Inner;
use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::header::CACHE_CONTROL;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use keys::Caller;
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use verify::{Facts, Pass};

/// What Envoy puts before the path of the request that it asks about.
const ENVOY: &str = "/verify/envoy";
/// Says how the facts were come by: `remembered`, `learned`, `coalesced`, `stale`, or that there was no token, `anonymous`.
pub(super) const CHECKED: HeaderName = HeaderName::from_static("x-highwater-check");

pub(super) fn routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::with_openapi(Described::openapi())
        .route("/verify", any(by_default))
        .route("/verify/{proxy}", any(by_name))
        .route("/verify/envoy/", any(by_envoy))
        .route("/verify/envoy/{*path}", any(by_envoy))
        .with_state(inner)
}

async fn by_default(
    State(inner): State<Arc<Inner>>,
    caller: Option<Extension<Caller>>,
    request: Request,
) -> Response {
    asked(&inner, inner.settings.proxy, caller, request).await
}

async fn by_name(
    State(inner): State<Arc<Inner>>,
    Path(proxy): Path<String>,
    caller: Option<Extension<Caller>>,
    request: Request,
) -> Response {
    match Proxy::named(&proxy) {
        Some(proxy) => asked(&inner, proxy, caller, request).await,
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn by_envoy(
    State(inner): State<Arc<Inner>>,
    caller: Option<Extension<Caller>>,
    request: Request,
) -> Response {
    asked(&inner, Proxy::Envoy, caller, request).await
}

async fn asked(inner: &Inner, proxy: Proxy, caller: Option<Extension<Caller>>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    let outcome = match allowed(caller, "verify") {
        Ok(caller) => judged(inner, &caller, proxy, &head).await,
        Err(refusal) => Err(refusal),
    };
    inner.meters.checked("verify", outcome.as_ref().map(how));
    rendered(proxy, &outcome, inner.realm())
}

async fn judged(inner: &Inner, caller: &Caller, proxy: Proxy, head: &Parts) -> Result<Pass, Refusal> {
    refuse_spoofed(&head.headers).map_err(|spoofed| Refusal::Spoofed(spoofed.name))?;
    let original = Original::read(proxy, head, ENVOY).inspect_err(|not_told| {
        tracing::warn!(%proxy, error = %not_told, "a proxy is not set up right");
    })?;
    inner.admit(caller, &original, &head.headers, inner.now()).await
}

/// How its facts were come by.
pub(super) fn how(pass: &Pass) -> &'static str {
    pass.answer.as_ref().map_or("anonymous", |answer| answer.how.as_str())
}

/// Every identity header is on every answer, a refusal's too.
fn rendered(proxy: Proxy, outcome: &Result<Pass, Refusal>, realm: &str) -> Response {
    let (mut response, identity) = match outcome {
        Ok(pass) => {
            let checked = [(CHECKED, HeaderValue::from_static(how(pass)))];
            ((StatusCode::OK, checked).into_response(), identity(pass))
        }
        Err(refusal) => (refused(refusal, realm), Identity::default()),
    };
    let meant = response.status();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    identity.set_all(headers);
    *response.status_mut() = proxy.answer(meant, response.headers_mut());
    response
}

pub(super) fn identity(pass: &Pass) -> Identity<'_> {
    pass.answer.as_ref().map(|answer| identity_in(&answer.facts)).unwrap_or_default()
}

fn identity_in(facts: &Facts) -> Identity<'_> {
    Identity {
        subject: facts.subject.as_str(),
        idp: facts.idp.as_str(),
        client_id: facts.client_id.as_deref().unwrap_or_default(),
        scope: facts.scopes.as_str(),
        acr: facts.acr.as_deref().unwrap_or_default(),
        auth_time: facts.auth_time.map(|date| date.at().seconds()),
    }
}

/// The question, as it is described. (Its handlers take every method: the proxies' differ.)
#[derive(OpenApi)]
#[openapi(paths(described, described_by_name))]
struct Described;

/// Ask whether a request may pass, for the proxy that is configured
#[utoipa::path(
    get,
    path = "/verify",
    operation_id = "verify",
    tag = "bearer",
    responses(
        (status = 200, description = "It may; the `X-Highwater-…` headers say whose it is"),
        (status = 400, description = "The request is malformed", body = Refused),
        (status = 401, description = "The token is not good", body = Refused),
        (status = 403, description = "The token is good and does not suffice; to nginx also whatever `X-Highwater-Status` says", body = Refused),
        (status = 500, description = "The proxy is not set up right", body = Refused),
        (status = 503, description = "Come again after `Retry-After` seconds", body = Refused),
    ),
    security(("caller" = []))
)]
#[expect(dead_code, reason = "describes `by_default`")]
fn described() {}

/// The same, for the proxy of that name; to Envoy, the path of the request follows
#[utoipa::path(
    get,
    path = "/verify/{proxy}",
    operation_id = "verify_for",
    tag = "bearer",
    params(("proxy" = String, Path, description = "`nginx`, `traefik`, `caddy` or `envoy`")),
    responses(
        (status = 200, description = "It may; the `X-Highwater-…` headers say whose it is"),
        (status = 400, description = "The request is malformed", body = Refused),
        (status = 401, description = "The token is not good", body = Refused),
        (status = 403, description = "The token is good and does not suffice", body = Refused),
        (status = 404, description = "No such proxy"),
        (status = 500, description = "The proxy is not set up right", body = Refused),
        (status = 503, description = "Come again after `Retry-After` seconds", body = Refused),
    ),
    security(("caller" = []))
)]
#[expect(dead_code, reason = "describes `by_name`")]
fn described_by_name() {}
