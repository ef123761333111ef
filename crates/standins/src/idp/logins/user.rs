//! The userinfo endpoint (OIDC Core 1.0 section 5.3).

use super::Odd;
use super::http::{Desk, NO_STORE};
use super::proofs::{self, About};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::sync::Arc;

pub(super) async fn userinfo(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Response {
    let refused = |error: &str| {
        let challenge = format!(r#"Bearer error="{error}""#);
        (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
    };
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some((scheme, token)) = authorization.and_then(|value| value.split_once(' ')) else {
        return refused("invalid_request");
    };
    let is_now = |expires_at: Option<i64>| expires_at.is_none_or(|at| (desk.now)().get() < at);
    let Some(grant) = desk.accounts.verify(token).filter(|grant| is_now(grant.expires_at)) else {
        return refused("invalid_token");
    };
    let mut inner = desk.logins.lock();
    let bound_to = inner.grants.family_of(token).and_then(|family| family.bound_to.clone());
    if bound_to.is_some() {
        let proof = headers.get("dpop").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let url = format!("{}/oauth2/userinfo", desk.issuer());
        let about = About { method: "GET", url, access_token: Some(token), nonce: None, now: desk.seconds() };
        let shown = proofs::possession(proof, &about).ok().map(|(key, _)| key);
        if scheme != "DPoP" || shown != bound_to {
            return refused("invalid_token");
        }
    }
    let is = |odd| inner.odds.contains(&odd);
    let subject = if is(Odd::UserInfoOfAnother) { "somebody-else" } else { &grant.subject };
    let claims =
        json!({ "sub": subject, "email": format!("{subject}@mail.example"), "email_verified": true });
    if !is(Odd::UserInfoAsJwt) {
        return (NO_STORE, Json(claims)).into_response();
    }
    let mut claims = claims;
    claims["iss"] = desk.issuer().into();
    claims["aud"] = grant.client_id.as_str().into();
    let jwt = desk.keys.sign(Some("JWT"), &claims);
    (NO_STORE, [(header::CONTENT_TYPE, "application/jwt")], jwt).into_response()
}
