//! The routes that people's logins need.

use super::clients::{Clients, Form};
use super::faults::{Endpoint, Faults, may_fail};
use super::grants::{Grants, Rotation};
use super::{Odd, authorize, revoke, token, user};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use url::form_urlencoded;

pub(super) use crate::idp::http::Desk;

/// What this part of the house knows.
#[derive(Debug, Default)]
pub(in crate::idp) struct LoginDesk(Mutex<Inner>);

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) clients: Clients,
    pub(super) grants: Grants,
    pub(super) codes: authorize::Codes,
    pub(super) faults: Faults,
    pub(super) rotation: Rotation,
    pub(super) odds: HashSet<Odd>,
    pub(super) access_tokens_last: Option<Duration>,
    /// `jti` of proofs of possession that were taken.
    pub(super) proofs: HashSet<String>,
    /// The nonce that must be in them, and that whoever lacks it is told.
    pub(super) proof_nonce: Option<String>,
}

impl LoginDesk {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all that was granted to a user.
    pub(in crate::idp) fn end_all(&self, subject: &str) {
        self.lock().grants.end(|family| family.subject == subject);
    }
}

impl Desk {
    pub(super) fn seconds(&self) -> i64 {
        (self.now)().seconds()
    }

    /// Its URL, which is its issuer.
    pub(super) fn issuer(&self) -> &str {
        self.issuer.get().expect("it listens before it is asked")
    }
}

pub(in crate::idp) fn router(desk: &Arc<Desk>) -> Router<Arc<Desk>> {
    let route = |path: &str, handler, at| may_fail(Router::new().route(path, handler), at, desk);
    Router::new()
        .route("/oauth2/authorize", get(authorize::by_browser))
        .merge(route("/oauth2/token", post(token::token), Endpoint::Token))
        .merge(route("/oauth2/userinfo", get(user::userinfo), Endpoint::UserInfo))
        .merge(route("/oauth2/revoke", post(revoke::revoke), Endpoint::Revocation))
        .merge(route("/.well-known/openid-configuration", get(discovery), Endpoint::Discovery))
        .merge(route("/oauth2/jwks", get(jwks), Endpoint::Jwks))
}

async fn discovery(State(desk): State<Arc<Desk>>) -> Json<Value> {
    let issuer = desk.issuer();
    let url = |path| format!("{issuer}/oauth2/{path}");
    Json(json!({
        "issuer": issuer, "authorization_endpoint": url("authorize"), "token_endpoint": url("token"),
        "userinfo_endpoint": url("userinfo"), "revocation_endpoint": url("revoke"), "jwks_uri": url("jwks"),
        "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"], "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported":
            ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"],
        "dpop_signing_alg_values_supported": ["ES256"],
        "backchannel_logout_supported": true, "backchannel_logout_session_supported": true,
    }))
}

async fn jwks(State(desk): State<Arc<Desk>>) -> Json<Value> {
    Json(desk.keys.published())
}

/// A form, each name once (RFC 6749 section 3.2).
pub(super) fn form(body: &Bytes) -> Option<Form> {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
    let form: Form = pairs.iter().cloned().collect();
    (form.len() == pairs.len()).then_some(form)
}

/// RFC 6749 section 5.2.
pub(super) fn error(status: StatusCode, error: &str) -> Response {
    (status, NO_STORE, Json(json!({ "error": error }))).into_response()
}

pub(super) const NO_STORE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// Whoever is not who it says.
pub(super) fn stranger() -> Response {
    let challenge = [(header::WWW_AUTHENTICATE, "Basic")];
    (challenge, error(StatusCode::UNAUTHORIZED, "invalid_client")).into_response()
}
