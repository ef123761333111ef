//! The clients that people log in to, and how they prove who they are.

use super::proofs;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use url::form_urlencoded;

/// A client that people log in to.
#[derive(Clone, Debug, PartialEq)]
pub struct LoginClient {
    /// Its id.
    pub id: String,
    /// How it proves who it is; any other way is refused.
    pub proof: ClientProof,
    /// Where people are sent back to.
    pub redirect_uri: String,
    /// Where it is told of logouts.
    pub backchannel_logout_uri: Option<String>,
}

/// How a client proves who it is.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientProof {
    /// Not at all: it says its id.
    None,
    /// By this secret in `Authorization: Basic`.
    Basic(String),
    /// By this secret in the form.
    Post(String),
    /// By JWTs signed with the private half of this JWK (P-256).
    Key(Value),
}

impl LoginClient {
    /// One with a secret in `Authorization: Basic`, whose people go back to `https://web.example/callback`.
    pub fn new(id: &str, secret: &str) -> Self {
        Self {
            id: id.to_owned(),
            proof: ClientProof::Basic(secret.to_owned()),
            redirect_uri: "https://web.example/callback".to_owned(),
            backchannel_logout_uri: None,
        }
    }

    /// The same, with another proof.
    #[must_use]
    pub fn proving(self, proof: ClientProof) -> Self {
        Self { proof, ..self }
    }

    /// The same, told of logouts there.
    #[must_use]
    pub fn told_of_logouts_at(self, url: &str) -> Self {
        Self { backchannel_logout_uri: Some(url.to_owned()), ..self }
    }
}

#[derive(Debug, Default)]
pub(super) struct Clients {
    known: HashMap<String, LoginClient>,
    /// `jti` of assertions that were taken.
    seen: HashSet<String>,
}

/// What a form holds.
pub(super) type Form = HashMap<String, String>;

impl Clients {
    pub(super) fn register(&mut self, client: LoginClient) {
        self.known.insert(client.id.clone(), client);
    }

    pub(super) fn find(&self, id: &str) -> Option<&LoginClient> {
        self.known.get(id)
    }

    /// Who asks, if that is proven, in the way this client does it and in no other besides (RFC 6749 section 2.3).
    pub(super) fn authenticate(
        &mut self,
        headers: &HeaderMap,
        form: &Form,
        issuer: &str,
        now: i64,
    ) -> Option<LoginClient> {
        let basic = by_header(headers);
        let id = basic.as_ref().map(|(id, _)| id).or_else(|| form.get("client_id"))?;
        let client = self.known.get(id)?.clone();
        let (secret, assertion) = (form.get("client_secret"), form.get("client_assertion"));
        let shown =
            usize::from(basic.is_some()) + usize::from(secret.is_some()) + usize::from(assertion.is_some());
        let is_proven = match &client.proof {
            ClientProof::None => shown == 0,
            ClientProof::Basic(own) => basic.is_some_and(|(_, secret)| secret == *own),
            ClientProof::Post(own) => secret == Some(own),
            ClientProof::Key(key) => {
                assertion.is_some_and(|assertion| self.asserts(assertion, key, id, issuer, now))
            }
        };
        (is_proven && shown <= 1).then_some(client)
    }

    /// RFC 7523 section 3.
    fn asserts(&mut self, assertion: &str, key: &Value, id: &str, issuer: &str, now: i64) -> bool {
        let Some((_, claims)) = proofs::verify(assertion, key) else { return false };
        let is_for_us = claims["aud"] == issuer || claims["aud"] == format!("{issuer}/oauth2/token");
        let is_now = claims["exp"].as_i64().is_some_and(|exp| now < exp && exp < now + 600);
        let is_own = claims["iss"] == id && claims["sub"] == id;
        let is_first = claims["jti"].as_str().is_some_and(|jti| self.seen.insert(jti.to_owned()));
        is_for_us && is_now && is_own && is_first
    }
}

/// RFC 6749 section 2.3.1: id and secret, each form-encoded, joined by a colon, in base64.
pub(in crate::idp) fn by_header(headers: &HeaderMap) -> Option<(String, String)> {
    let encoded = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let joined = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = joined.split_once(':')?;
    let decoded =
        |text: &str| form_urlencoded::parse(text.as_bytes()).next().map(|(text, _)| text.into_owned());
    Some((decoded(id)?, decoded(secret)?))
}
