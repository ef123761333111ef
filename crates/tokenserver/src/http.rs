//! Its routes: parse, call, render.

mod answer;
mod health;
mod log;

use crate::Refusal;
use crate::exchange::{Exchange, Named, Tokenserver};
use crate::user_agent::is_old_ios_sync;
use account::Millis;
use axum::extract::connect_info::ConnectInfo;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::any;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Uri};
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use store::Clock;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;

pub(crate) use log::Seen;

/// Application and version, decoded; an error when the path is no UTF-8.
type Service = Result<Path<(String, String)>, PathRejection>;

/// The routes anybody may reach, and what is said where there is none.
pub(crate) fn public_routes(tokenserver: Arc<Tokenserver>) -> OpenApiRouter {
    let mut routes = OpenApiRouter::with_openapi(Described::openapi());
    // What is served has a route of its own: it takes nothing out of the path.
    for (place, service) in tokenserver.services.iter().enumerate() {
        let path = format!("/1.0/{}/{}", service.application, service.version);
        let exchange = move |State(server): State<Arc<Tokenserver>>, request: Request| async move {
            exchange(&server, Named::Served(place), request).await
        };
        routes = routes.route(&path, any(exchange));
    }
    routes
        .route("/1.0/{application}/{version}", any(exchange_named))
        .merge(health::routes())
        .merge(nothing_else(tokenserver.store.clock().clone()).with_state(()))
        .with_state(tokenserver)
}

/// What is said where there is no route; on a node that exchanges nothing, it is all that is said.
pub(crate) fn nothing_else(clock: Clock) -> OpenApiRouter {
    OpenApiRouter::new().fallback(nothing_here).with_state(clock)
}

async fn exchange_named(
    State(server): State<Arc<Tokenserver>>,
    service: Service,
    request: Request,
) -> Response {
    let service = service.as_deref().ok();
    let named = service.map(|(application, version)| (application.as_str(), version.as_str()));
    exchange(&server, Named::Other(named), request).await
}

async fn exchange(server: &Tokenserver, service: Named<'_>, request: Request) -> Response {
    let (began, now) = (Instant::now(), server.store.clock().now());
    let mut seen = Seen::default();
    let (head, _) = request.into_parts();
    let response = answer(server, service, &head, now, &mut seen).await;
    log::request(&head, &seen, response.status(), began);
    response
}

async fn answer(
    server: &Tokenserver,
    service: Named<'_>,
    head: &Parts,
    now: Millis,
    seen: &mut Seen,
) -> Response {
    if user_agent(&head.headers).is_some_and(is_old_ios_sync) {
        server.meters.rejected_agents.increment(1);
        return answer::turned_away(now);
    }
    if head.method != Method::GET {
        return answer::refused(&Refusal::MethodNotAllowed, now);
    }
    let address = head.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let asked = Exchange { headers: &head.headers, query: head.uri.query(), service, address };
    let mut answer = match server.exchange(asked, now, seen).await {
        Ok(granted) => answer::granted(&granted, now),
        Err(refusal) => {
            server.meters.refused(&refusal);
            answer::refused(&refusal, now)
        }
    };
    if let Some(seconds) = server.valve.backoff() {
        answer::ask_to_stay_away(&mut answer, seconds);
    }
    answer
}

/// Under `/1.0/` in the error shape of the field; elsewhere what sync clients know as "no such URL".
async fn nothing_here(State(clock): State<Clock>, uri: Uri) -> Response {
    if uri.path().starts_with("/1.0/") {
        return answer::refused(&Refusal::NotFound, clock.now());
    }
    answer::json(StatusCode::NOT_FOUND, "0")
}

fn user_agent(headers: &HeaderMap) -> Option<&str> {
    headers.get(http::header::USER_AGENT)?.to_str().ok()
}

/// The exchange, as it is described. (Its handler takes every method, to say itself which one it serves.)
#[derive(OpenApi)]
#[openapi(paths(described))]
struct Described;

/// A token for a service node.
#[derive(Serialize, ToSchema)]
struct TokenAnswer {
    /// The token: the Hawk id.
    id: String,
    /// The Hawk key: this text, not its decoding.
    key: String,
    /// The user's id on the node.
    uid: i64,
    /// Where the user's data is.
    api_endpoint: String,
    /// How long the token counts, in seconds.
    duration: u64,
    /// The account's hashed id.
    hashed_fxa_uid: String,
    /// Always `sha256`.
    hashalg: String,
    /// What the node runs on.
    node_type: String,
}

/// Exchange an access token for a token that a service node takes
#[utoipa::path(
    get,
    path = "/1.0/{application}/{version}",
    operation_id = "exchange_token",
    tag = "tokenserver",
    params(
        ("application" = String, Path, description = "`sync`, or another that is configured"),
        ("version" = String, Path, description = "`1.5`, or another that is configured"),
        ("Authorization" = String, Header, description = "`Bearer <access token>`"),
        ("X-KeyID" = String, Header, description = "`<keys_changed_at>-<client state, base64url>`"),
        ("X-Client-State" = Option<String>, Header, description = "The client state in hex"),
        ("duration" = Option<u64>, Query, description = "Seconds; at most what is configured"),
    ),
    responses(
        (status = 200, description = "The token", body = TokenAnswer),
        (status = 400, description = "The request is malformed"),
        (status = 401, description = "The credentials are not good, or not good any more"),
        (status = 403, description = "New users are not taken"),
        (status = 404, description = "No such application or version"),
        (status = 429, description = "Too many new users from this address: come again after `Retry-After` seconds"),
        (status = 503, description = "Come again after `Retry-After` seconds"),
    ),
    security(("bearer" = []))
)]
#[expect(dead_code, reason = "describes `exchange`")]
fn described() {}
