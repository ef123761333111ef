//! Looking into tokens, in two ways: as Mozilla accounts do it, and as the standard has it.

use super::accounts::Grant;
use super::http::{self, error};
use super::logins::by_header;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use url::form_urlencoded;

/// An answer that is always the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canned {
    /// Its status.
    pub status: u16,
    /// Its `Retry-After`, if it has one.
    pub retry_after: Option<String>,
    /// Its body, whatever that is.
    pub body: String,
}

impl Canned {
    /// An answer of success with this body.
    pub fn ok(body: impl Into<String>) -> Self {
        Self { status: 200, retry_after: None, body: body.into() }
    }

    /// An answer of this status without a body.
    pub fn status(status: u16) -> Self {
        Self { status, retry_after: None, body: String::new() }
    }

    /// With a `Retry-After`.
    #[must_use]
    pub fn retry_after(self, retry_after: &str) -> Self {
        Self { retry_after: Some(retry_after.to_owned()), ..self }
    }

    fn response(&self) -> Response {
        let status = StatusCode::from_u16(self.status).expect("a status has three digits");
        let mut response = (status, self.body.clone()).into_response();
        if let Some(text) = &self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, text.parse().expect("visible ASCII"));
        }
        response
    }
}

/// What this part of the house knows.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) requests: AtomicU64,
    canned: Mutex<Option<Canned>>,
    clients: Mutex<HashMap<String, String>>,
}

impl Desk {
    pub(super) fn say(&self, canned: Option<Canned>) {
        *self.canned.lock().unwrap_or_else(PoisonError::into_inner) = canned;
    }

    pub(super) fn register(&self, id: &str, secret: &str) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.insert(id.to_owned(), secret.to_owned());
    }

    /// Counts a request; the answer when it is always the same.
    fn begin(&self) -> Option<Response> {
        self.requests.fetch_add(1, Relaxed);
        self.canned.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Canned::response)
    }

    fn knows(&self, (id, secret): &(String, String)) -> bool {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).get(id) == Some(secret)
    }
}

#[derive(Deserialize)]
pub(super) struct Question {
    token: String,
    token_type_hint: Option<String>,
}

/// As Mozilla accounts do it: nobody proves who asks, and what has ended is told all the same.
pub(super) async fn by_json(State(desk): State<Arc<http::Desk>>, body: Bytes) -> Response {
    if let Some(canned) = desk.introspection.begin() {
        return canned;
    }
    let Ok(question) = serde_json::from_slice::<Question>(&body) else {
        return error(StatusCode::BAD_REQUEST, 109, "Invalid request parameter");
    };
    let hint = question.token_type_hint.as_deref();
    if hint.is_some_and(|hint| !["access_token", "refresh_token"].contains(&hint)) {
        return error(StatusCode::BAD_REQUEST, 109, "Invalid request parameter");
    }
    let Some(grant) = find(&desk, &question.token, hint) else {
        return Json(json!({ "active": false })).into_response();
    };
    let mut answer = told(&grant);
    answer["active"] = is_active(&desk, &grant).into();
    answer["token_type"] = if grant.expires_at.is_some() { "access_token" } else { "refresh_token" }.into();
    answer["jti"] = digest(&question.token).into();
    answer["iat"] = grant.issued_at.into();
    answer["fxa-lastUsedAt"] = (desk.now)().get().into();
    if let Some(expires_at) = grant.expires_at {
        answer["exp"] = expires_at.into();
        // In seconds, unlike the others: so it is there.
        answer["auth_time"] = (grant.issued_at / 1000).into();
        answer["acr"] = "AAL1".into();
        answer["amr"] = json!(["pwd"]);
    }
    Json(answer).into_response()
}

/// As RFC 7662 has it: the client proves who it is, and nothing is said of what is not active.
pub(super) async fn by_form(
    State(desk): State<Arc<http::Desk>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(canned) = desk.introspection.begin() {
        return canned;
    }
    let form: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    let client = by_header(&headers).or_else(|| in_form(&form));
    if !client.is_some_and(|client| desk.introspection.knows(&client)) {
        let challenge = [(header::WWW_AUTHENTICATE, "Basic")];
        return (StatusCode::UNAUTHORIZED, challenge, Json(json!({ "error": "invalid_client" })))
            .into_response();
    }
    let Some(token) = form.get("token") else {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_request" }))).into_response();
    };
    // The hint may be wrong: section 2.1 has the search go on.
    let Some(grant) = find(&desk, token, None).filter(|grant| is_active(&desk, grant)) else {
        return Json(json!({ "active": false })).into_response();
    };
    let mut answer = told(&grant);
    answer["active"] = true.into();
    answer["iat"] = (grant.issued_at / 1000).into();
    if let Some(expires_at) = grant.expires_at {
        answer["token_type"] = "Bearer".into();
        answer["exp"] = (expires_at / 1000).into();
    }
    Json(answer).into_response()
}

fn find(desk: &http::Desk, token: &str, hint: Option<&str>) -> Option<Grant> {
    let is_asked_for = |grant: &Grant| match hint {
        Some("access_token") => grant.expires_at.is_some(),
        Some(_) => grant.expires_at.is_none(),
        None => true,
    };
    desk.accounts.verify(token).filter(is_asked_for)
}

fn is_active(desk: &http::Desk, grant: &Grant) -> bool {
    grant.expires_at.is_none_or(|expires_at| (desk.now)().get() < expires_at)
}

fn told(grant: &Grant) -> Value {
    json!({ "sub": grant.subject, "client_id": grant.client_id, "scope": grant.scopes.join(" ") })
}

/// SHA-256 of the bytes that an opaque token stands for; of any other token, of its text.
fn digest(token: &str) -> String {
    let bytes = hex::decode(token).unwrap_or_else(|_| token.as_bytes().to_vec());
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes))
}

fn in_form(form: &HashMap<String, String>) -> Option<(String, String)> {
    Some((form.get("client_id")?.clone(), form.get("client_secret")?.clone()))
}
