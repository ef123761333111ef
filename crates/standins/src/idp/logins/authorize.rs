//! People log in, without a page to do it on.

use super::grants::Family;
use super::http::{Desk, error};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;
use url::Url;

/// What a client asks for when it sends somebody to log in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Authorization {
    /// The client.
    pub client_id: String,
    /// Where the user goes back to; must be the client's.
    pub redirect_uri: String,
    /// Who logs in: the page would ask.
    #[serde(rename = "login_hint")]
    pub subject: String,
    /// Scopes, separated by spaces.
    pub scope: String,
    /// What the client finds again in the redirect.
    pub state: Option<String>,
    /// What it finds again in the ID token.
    pub nonce: Option<String>,
    /// S256 of its verifier (RFC 7636 section 4.2).
    pub code_challenge: Option<String>,
}

/// Codes that were given out, what they are for, and the family that came of one.
pub(super) type Codes = HashMap<String, Code>;

#[derive(Clone, Debug)]
pub(super) struct Code {
    pub(super) asked: Authorization,
    pub(super) auth_time: i64,
    pub(super) family: Option<u64>,
}

/// Sends the browser back with a code, at once (RFC 6749 section 4.1.2).
pub(super) async fn by_browser(
    State(desk): State<Arc<Desk>>,
    Query(asked): Query<Authorization>,
) -> Response {
    let Ok(mut back) = Url::parse(&asked.redirect_uri) else {
        return error(StatusCode::BAD_REQUEST, "invalid_request");
    };
    let state = asked.state.clone();
    let Some(code) = grant(&desk, asked) else { return error(StatusCode::BAD_REQUEST, "invalid_request") };
    back.query_pairs_mut().append_pair("code", &code);
    if let Some(state) = state {
        back.query_pairs_mut().append_pair("state", &state);
    }
    (StatusCode::FOUND, [(header::LOCATION, back.to_string())]).into_response()
}

/// A code; `None` if there is no such client or account, or the user would be sent elsewhere.
pub(super) fn grant(desk: &Desk, asked: Authorization) -> Option<String> {
    desk.accounts.find(&asked.subject)?;
    let auth_time = desk.seconds();
    let mut inner = desk.logins.lock();
    let client = inner.clients.find(&asked.client_id)?;
    if client.redirect_uri != asked.redirect_uri {
        return None;
    }
    let code = crate::idp::random_hex::<16>();
    inner.codes.insert(code.clone(), Code { asked, auth_time, family: None });
    Some(code)
}

impl Code {
    /// The family that begins with it, bound to a key if one was shown.
    pub(super) fn family(&self, bound_to: Option<String>) -> Family {
        let Authorization { client_id, subject, scope, .. } = &self.asked;
        let mut family = Family::new(client_id, subject, scope, self.auth_time);
        family.bound_to = bound_to;
        family
    }
}
