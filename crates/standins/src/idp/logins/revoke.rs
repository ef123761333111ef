//! The revocation endpoint (RFC 7009).

use super::Odd;
use super::http::{Desk, error, form, stranger};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

pub(super) async fn revoke(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(form) = form(&body) else { return error(StatusCode::BAD_REQUEST, "invalid_request") };
    let mut inner = desk.logins.lock();
    let client = inner.clients.authenticate(&headers, &form, desk.issuer(), desk.seconds());
    let Some(client) = client else { return stranger() };
    let Some(token) = form.get("token") else { return error(StatusCode::BAD_REQUEST, "invalid_request") };
    let is_refresh_token = inner.grants.is_refresh_token(token);
    if is_refresh_token && inner.odds.contains(&Odd::KeepsRefreshTokens) {
        return error(StatusCode::BAD_REQUEST, "unsupported_token_type");
    }
    // Section 2.2: a token that is unknown, or another's, is no error.
    let family = inner.grants.family_of(token).filter(|family| family.client_id == client.id);
    let Some(family) = family.map(|family| family.clone()) else { return StatusCode::OK.into_response() };
    if is_refresh_token {
        inner.grants.end(|own| own.sid == family.sid);
        family.access_tokens.iter().for_each(|token| desk.accounts.forget(token));
    } else {
        desk.accounts.forget(token);
    }
    StatusCode::OK.into_response()
}
