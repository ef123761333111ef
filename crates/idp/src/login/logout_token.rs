//! The identity provider's word that somebody signed out there (OpenID Connect Back-Channel Logout 1.0).

use super::id_token::audience;
use super::{BadSeal, Login};
use account::Millis;
use jose::{Compact, Header, from_object};
use serde_json::{Map, Value};
use std::time::Duration;

/// The member of `events` that makes a token one of logout (section 2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// Clocks may differ by so much.
const LEEWAY: Duration = Duration::from_mins(1);
/// The longest `jti` that is kept.
const LONGEST_JTI: usize = 256;

/// Who signed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutToken {
    /// `iss`.
    pub issuer: Box<str>,
    /// `sub`: the user. Without a `sid`, all its sessions are meant.
    pub subject: Option<Box<str>>,
    /// `sid`: the one session that is meant. At least one of the two is there.
    pub sid: Option<Box<str>>,
    /// `jti`: seen once, a token is not heard again. It is to be remembered until [`LogoutToken::forget_at`].
    pub jti: Box<str>,
    /// `iat`.
    pub issued_at: Millis,
    /// From then on the token is refused anyway.
    pub forget_at: Millis,
}

/// Why a logout token is not heard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoutTokenError {
    /// It is not good (section 2.6): to be answered with 400.
    #[error("the logout token is not good: {0}")]
    Invalid(&'static str),
    /// The keys that verify it cannot be had now: to be answered with 503.
    #[error("the keys that verify the logout token cannot be had now")]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
}

impl Login {
    /// Verifies a logout token (section 2.6), all but that it was not seen before: whoever remembers that knows its `jti`.
    pub async fn verify_logout_token(
        &self,
        token: &str,
        now: Millis,
    ) -> Result<LogoutToken, LogoutTokenError> {
        let invalid = LogoutTokenError::Invalid;
        let token = Compact::split(token).map_err(|_| invalid("it is no JWT"))?;
        let header = token
            .header()
            .map_err(|_| invalid("its header cannot be read, or its algorithm is not spoken"))?;
        let payload = token.payload().map_err(|_| invalid("it is no JWT"))?;
        let claims = from_object(&payload).map_err(|_| invalid("its claims are no JSON object"))?;
        let told = self.judge(&header, &claims, now).map_err(invalid)?;
        match self.verify_signature(&token, &header).await {
            Ok(()) => Ok(told),
            Err(BadSeal::Algorithm) => Err(invalid("its algorithm is not one of this identity provider's")),
            Err(BadSeal::Signature) => Err(invalid("its signature is not good")),
            Err(BadSeal::NotNow { retry_after }) => Err(LogoutTokenError::Unavailable { retry_after }),
        }
    }

    /// All that can be judged without keys.
    fn judge(
        &self,
        header: &Header,
        claims: &Map<String, Value>,
        now: Millis,
    ) -> Result<LogoutToken, &'static str> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let time =
            |name: &str| claims.get(name).and_then(Value::as_f64).and_then(Millis::from_fractional_seconds);
        let unless = |holds: bool, why| if holds { Ok(()) } else { Err(why) };
        // Section 2.4: recommended. Another type is that of another token.
        unless(
            header.typ.is_none() || header.is_type("logout+jwt") || header.is_type("JWT"),
            "its typ is another",
        )?;
        let issuer = text("iss").ok_or("it has no iss")?;
        unless(self.issuers.hold(issuer), "its iss is another")?;
        let audience = audience(claims).ok_or("it has no aud")?;
        unless(audience.contains(&self.client_id), "its aud is another")?;
        let event = claims.get("events").and_then(|events| events.get(EVENT));
        unless(event.is_some_and(Value::is_object), "it has no event of a logout")?;
        // So that no ID token passes for one.
        unless(!claims.contains_key("nonce"), "it has a nonce")?;
        let issued_at = time("iat").ok_or("it has no iat")?;
        let expires_at = time("exp").ok_or("it has no exp")?;
        unless(issued_at <= now.plus(LEEWAY), "it is from the future")?;
        unless(now < expires_at.plus(LEEWAY), "it is over")?;
        let (subject, sid) = (text("sub").map(Box::from), text("sid").map(Box::from));
        unless(subject.is_some() || sid.is_some(), "it names neither sub nor sid")?;
        let jti =
            text("jti").filter(|jti| jti.len() <= LONGEST_JTI).ok_or("it has no jti, or a very long one")?;
        let (issuer, jti) = (Box::from(issuer), Box::from(jti));
        Ok(LogoutToken { issuer, subject, sid, jti, issued_at, forget_at: expires_at.plus(LEEWAY) })
    }
}
