//! Who the user is, by the identity provider's userinfo endpoint (OIDC Core 1.0 section 5.3).

use super::channel::{Line, Pass};
use super::dpop::{DPOP, Proof};
use super::id_token::audience;
use super::{BadSeal, DpopKey, HeldBack, Login, Priority};
use crate::Secret;
use crate::upstream::Heard;
use account::Millis;
use jose::{Compact, from_object};
use outbound::header::{self, HeaderValue};
use outbound::{Answer, OutboundError, Request, StatusCode, Url};
use serde_json::{Map, Value};
use std::time::Duration;

/// What the identity provider says of a user: claims, `sub` among them.
pub type UserInfo = Map<String, Value>;

/// Whom to ask about, and by what right.
#[derive(Clone, Copy, Debug)]
pub struct UserInfoAsk<'a> {
    /// An access token of the user's.
    pub access_token: &'a Secret,
    /// The user: the `sub` of the login.
    pub subject: &'a str,
    /// The key that the access token is bound to, if it is.
    pub dpop: Option<&'a DpopKey>,
    /// Who waits for it.
    pub priority: Priority,
}

/// Why there is nothing about the user. None of these says anything about the grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserInfoError {
    /// The identity provider has no such endpoint, or none is configured.
    #[error("the identity provider has no userinfo endpoint")]
    NoEndpoint,
    /// It was not asked.
    #[error(transparent)]
    HeldBack(#[from] HeldBack),
    /// The access token is not good any more (401).
    #[error("the access token is not accepted")]
    TokenRefused,
    /// The access token is good, and not for this (403).
    #[error("the access token does not reach so far")]
    Forbidden,
    /// It is about another user: it must not be used (section 5.3.2). A security event.
    #[error("the answer is about another user")]
    OtherSubject,
    /// There is an answer that cannot be used.
    #[error("the answer cannot be used: {0}")]
    Unusable(&'static str),
    /// It cannot be asked now.
    #[error("{text}")]
    Unavailable {
        /// When it wants to be asked again, if it said so.
        retry_after: Option<Duration>,
        /// What happened.
        text: Box<str>,
    },
}

impl Login {
    /// What it says of the user. `now` is when the caller's request or tick began.
    pub async fn userinfo(&self, ask: &UserInfoAsk<'_>, now: Millis) -> Result<UserInfo, UserInfoError> {
        let told = self.ask_userinfo(ask, now).await;
        self.meters.came("userinfo", told.as_ref().map_or_else(UserInfoError::as_str, |_| "told"));
        match &told {
            Err(UserInfoError::OtherSubject) => self.note("mismatch", "userinfo is about another user", now),
            Err(error @ (UserInfoError::Unavailable { .. } | UserInfoError::Unusable(_))) => {
                self.note("userinfo", &error.to_string(), now);
            }
            _ => {}
        }
        told
    }

    async fn ask_userinfo(&self, ask: &UserInfoAsk<'_>, now: Millis) -> Result<UserInfo, UserInfoError> {
        let endpoints = self.directory.endpoints().await.map_err(|error| UserInfoError::Unavailable {
            retry_after: error.retry_after(),
            text: format!("its endpoints are not known: {error}").into(),
        })?;
        let url = endpoints.userinfo.as_ref().ok_or(UserInfoError::NoEndpoint)?;
        let pass = self.channel.leave(Line::UserInfo, ask.priority, now).await?;
        let sent = tokio::time::Instant::now();
        let answer = match self.get(ask, url, &pass).await.map_err(UserInfoError::from).and_then(usable) {
            Ok(answer) => answer,
            Err(error) => {
                pass.heard(error.heard());
                return Err(error);
            }
        };
        pass.heard(Heard::Answer);
        self.meters.timed("userinfo", sent.elapsed());
        let claims = self.claims(&answer).await?;
        match claims.get("sub").and_then(Value::as_str) {
            Some(subject) if subject == ask.subject => Ok(claims),
            Some(_) => Err(UserInfoError::OtherSubject),
            None => Err(UserInfoError::Unusable("it does not say whom it is about")),
        }
    }

    /// A question, and where the server wants its nonce in the proof, the question again (RFC 9449 section 9).
    async fn get(&self, ask: &UserInfoAsk<'_>, url: &Url, pass: &Pass<'_>) -> Result<Answer, OutboundError> {
        let answer = self.request(ask, url, pass).send().await?;
        let has_nonce = self.userinfo_nonce.learn(answer.headers());
        let challenge = answer.headers().get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
        let wants_nonce = ask.dpop.is_some()
            && answer.status() == StatusCode::UNAUTHORIZED
            && challenge.is_some_and(|challenge| challenge.contains("use_dpop_nonce"));
        if has_nonce && wants_nonce { self.request(ask, url, pass).send().await } else { Ok(answer) }
    }

    fn request(&self, ask: &UserInfoAsk<'_>, url: &Url, pass: &Pass<'_>) -> Request {
        const ACCEPT: HeaderValue = HeaderValue::from_static("application/json, application/jwt;q=0.9");
        let token = ask.access_token.reveal();
        let authorized = |scheme: &str, request: Request| {
            // A token with a line break in it makes a request that cannot be sent, which is what is said then.
            let mut value = HeaderValue::from_str(&format!("{scheme} {token}"))
                .unwrap_or_else(|_| HeaderValue::from_static(""));
            value.set_sensitive(true);
            request.header(header::AUTHORIZATION, value)
        };
        let request = self.channel.client.get(url).header(header::ACCEPT, ACCEPT).deadline(pass.left());
        let Some(key) = ask.dpop else { return authorized("Bearer", request) };
        let nonce = self.userinfo_nonce.latest();
        let nonce = nonce.as_deref();
        let about = Proof { method: "GET", url, access_token: Some(token), nonce, now: pass.now() };
        authorized("DPoP", request.header(DPOP, key.proof(&about)))
    }

    /// The claims of an answer: JSON, or a JWT by the identity provider for us (section 5.3.2).
    async fn claims(&self, answer: &Answer) -> Result<UserInfo, UserInfoError> {
        let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_jwt =
            kind.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("application/jwt"));
        if !is_jwt {
            return from_object(answer.body()).map_err(|_| UserInfoError::Unusable("it is no JSON object"));
        }
        let unusable = UserInfoError::Unusable;
        let text = std::str::from_utf8(answer.body()).map_err(|_| unusable("it is no JWT"))?;
        let token = Compact::split(text.trim()).map_err(|_| unusable("it is no JWT, or an encrypted one"))?;
        let header = token.header().map_err(|_| unusable("its algorithm is not spoken"))?;
        let payload = token.payload().map_err(|_| unusable("it is no JWT"))?;
        let claims: UserInfo = from_object(&payload).map_err(|_| unusable("it is no JWT"))?;
        let issuer = claims.get("iss").map(|issuer| issuer.as_str().unwrap_or_default());
        if issuer.is_some_and(|issuer| !self.issuers.hold(issuer)) {
            return Err(unusable("it is by another"));
        }
        let audience = claims.get("aud").map(|_| audience(&claims).unwrap_or_default());
        if audience.is_some_and(|audience| audience.iter().all(|one| *one != self.client_id)) {
            return Err(unusable("it is for another"));
        }
        match self.verify_signature(&token, &header).await {
            Ok(()) => Ok(claims),
            Err(BadSeal::Algorithm) => Err(unusable("its algorithm is not allowed")),
            Err(BadSeal::Signature) => Err(unusable("its signature is not good")),
            Err(BadSeal::NotNow { retry_after }) => Err(UserInfoError::Unavailable {
                retry_after: Some(retry_after),
                text: "the keys that verify it cannot be had now".into(),
            }),
        }
    }
}

/// An answer of success, or what the status says.
fn usable(answer: Answer) -> Result<Answer, UserInfoError> {
    match answer.status() {
        StatusCode::OK => Ok(answer),
        StatusCode::UNAUTHORIZED => Err(UserInfoError::TokenRefused),
        StatusCode::FORBIDDEN => Err(UserInfoError::Forbidden),
        _ => Err(answer.failure().into()),
    }
}

impl UserInfoError {
    /// Its name, for metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NoEndpoint => "no_endpoint",
            Self::HeldBack(_) => "held_back",
            Self::TokenRefused => "token_refused",
            Self::Forbidden => "forbidden",
            Self::OtherSubject => "other_subject",
            Self::Unusable(_) => "unusable",
            Self::Unavailable { .. } => "unavailable",
        }
    }

    /// What it tells of the endpoint: whoever refuses one token is there.
    fn heard(&self) -> Heard {
        match self {
            Self::Unavailable { retry_after, .. } => Heard::Failure { retry_after: *retry_after },
            _ => Heard::Answer,
        }
    }
}

impl From<OutboundError> for UserInfoError {
    fn from(error: OutboundError) -> Self {
        Self::Unavailable { retry_after: error.retry_after(), text: error.to_string().into() }
    }
}
