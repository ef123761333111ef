use super::Health;
use super::accounts::Accounts;
use super::introspect::{Desk as IntrospectionDesk, by_form, by_json};
use super::keys::Keyring;
use super::logins::{self, LoginDesk};
use crate::Now;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// What the routes share with the hand that moves them.
pub(super) struct Desk {
    pub(super) keys: Keyring,
    pub(super) accounts: Accounts,
    pub(super) health: watch::Sender<Health>,
    pub(super) jwks_requests: AtomicU64,
    pub(super) verify_requests: AtomicU64,
    pub(super) introspection: IntrospectionDesk,
    pub(super) logins: LoginDesk,
    pub(super) issuer: OnceLock<String>,
    pub(super) now: Now,
}

impl Desk {
    pub(super) fn new(keys: Keyring, accounts: Accounts, now: Now) -> Self {
        let health = watch::Sender::new(Health::Up);
        let (jwks_requests, verify_requests) = (AtomicU64::new(0), AtomicU64::new(0));
        let (introspection, logins) = (IntrospectionDesk::default(), LoginDesk::default());
        let issuer = OnceLock::new();
        Self { keys, accounts, health, jwks_requests, verify_requests, introspection, logins, issuer, now }
    }
}

pub(super) fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/v1/jwks", get(jwks))
        .route("/v1/verify", post(verify))
        .route("/v1/introspect", post(by_json))
        .route("/oauth2/introspect", post(by_form))
        .merge(logins::router(&desk))
        .layer(from_fn_with_state(Arc::clone(&desk), feel))
        .with_state(desk)
}

/// Lets a request through when the house is well.
async fn feel(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    let mut health = desk.health.subscribe();
    let health =
        *health.wait_for(|health| *health != Health::Silent).await.expect("the desk outlives its requests");
    if health == Health::Down {
        return error(StatusCode::SERVICE_UNAVAILABLE, 201, "Service unavailable");
    }
    let answer = next.run(request).await;
    if health == Health::Late {
        let mut health = desk.health.subscribe();
        health.wait_for(|health| *health != Health::Late).await.expect("the desk outlives its requests");
    }
    answer
}

async fn jwks(State(desk): State<Arc<Desk>>) -> Response {
    desk.jwks_requests.fetch_add(1, Relaxed);
    ([(header::CACHE_CONTROL, "public, max-age=10")], Json(desk.keys.published())).into_response()
}

#[derive(Deserialize)]
struct Question {
    token: String,
}

async fn verify(State(desk): State<Arc<Desk>>, Json(question): Json<Question>) -> Response {
    desk.verify_requests.fetch_add(1, Relaxed);
    let Some(grant) = desk.accounts.verify(&question.token) else {
        return error(StatusCode::BAD_REQUEST, 108, "Invalid token");
    };
    let mut answer = json!({ "user": grant.subject, "client_id": grant.client_id, "scope": grant.scopes });
    if let Some(generation) = grant.generation {
        answer["generation"] = generation.into();
    }
    Json(answer).into_response()
}

/// An error in the shape of Mozilla accounts' OAuth server.
pub(super) fn error(status: StatusCode, errno: u16, message: &str) -> Response {
    let name = status.canonical_reason().unwrap_or_default();
    let body = json!({ "code": status.as_u16(), "errno": errno, "error": name, "message": message });
    (status, Json(body)).into_response()
}
