//! Whether what came may be believed, as a good receiver decides it.

use super::{Heard, Trust, Way, webhook};
use account::Millis;
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use jose::{Compact, Header};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::time::Duration;

/// How far two clocks may be apart.
const LEEWAY: Duration = Duration::from_mins(1);

/// Why something is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Neither a token nor a webhook.
    #[error("neither a token in `Authorization` or the body nor a Standard Webhook")]
    Nothing,
    /// Not a Security Event Token.
    #[error("no Security Event Token: {0}")]
    Malformed(String),
    /// Signed with a key that is not trusted.
    #[error("the key that signed it is not one of those trusted")]
    Key,
    /// The signature is not of the key it names.
    #[error("the signature does not fit")]
    Signature,
    /// The keys cannot be fetched now: nothing is said of what came.
    #[error("the keys cannot be fetched now")]
    KeysUnavailable,
    /// From another issuer.
    #[error("its issuer is {0}")]
    Issuer(String),
    /// For somebody else.
    #[error("its audience is {0}")]
    Audience(String),
    /// Issued in the future, or ended.
    #[error("its time is wrong: {0}")]
    Time(&'static str),
}

impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Trust {
    /// Reads and checks a request.
    pub(super) async fn check(&self, headers: &HeaderMap, body: &[u8], now: Millis) -> Heard {
        let way = way(headers, body);
        let mut heard = Heard::nothing(now, way);
        heard.refusal = match way {
            Way::Webhook => webhook::check(self, headers, body, &mut heard).err(),
            Way::FxaHeader => self.check_token(bearer(headers).unwrap_or_default(), &mut heard).await.err(),
            Way::Push | Way::Poll => {
                let token = std::str::from_utf8(body).unwrap_or_default();
                self.check_token(token.trim(), &mut heard).await.err()
            }
            Way::Unknown => Some(Refusal::Nothing),
        };
        heard
    }

    /// Checks a token and notes what it says.
    pub(super) async fn check_token(&self, token: &str, heard: &mut Heard) -> Result<(), Refusal> {
        let malformed = |error: &dyn std::fmt::Display| Refusal::Malformed(error.to_string());
        let compact = Compact::split(token).map_err(|error| malformed(&error))?;
        let header = compact.header().map_err(|error| malformed(&error))?;
        heard.kid.clone_from(&header.kid);
        let payload = compact.payload().map_err(|error| malformed(&error))?;
        let claims: Value =
            serde_json::from_slice(&payload).map_err(|_| malformed(&"its claims are no JSON"))?;
        heard.says(claims.clone());
        self.keys.verify(&compact, &header).await?;
        self.check_claims(&claims, &header, heard)
    }

    /// What a receiver must look at once the signature fits (RFC 8417 section 2.2, SSF 1.0 section 4.1).
    fn check_claims(&self, claims: &Value, header: &Header, heard: &Heard) -> Result<(), Refusal> {
        let malformed = |why: &str| Err(Refusal::Malformed(why.to_owned()));
        let issuer = claims["iss"].as_str().unwrap_or_default();
        if self.issuer.as_deref().is_some_and(|it| it != issuer) {
            return Err(Refusal::Issuer(issuer.to_owned()));
        }
        if let Some(audience) = &self.audience
            && !names(&claims["aud"], audience.as_str())
        {
            return Err(Refusal::Audience(claims["aud"].to_string()));
        }
        let Some(iat) = claims["iat"].as_i64() else { return malformed("`iat` is no integer") };
        if Millis::from_seconds(iat) > heard.at.plus(LEEWAY) {
            return Err(Refusal::Time("it is issued in the future"));
        }
        match &claims["exp"] {
            Value::Null => {}
            exp if exp
                .as_f64()
                .is_some_and(|exp| Millis::from_fractional_seconds(exp) > Some(heard.at.minus(LEEWAY))) => {}
            _ => return Err(Refusal::Time("it has ended")),
        }
        if heard.id.as_deref().is_none_or(str::is_empty) {
            return malformed("it has no `jti`");
        }
        if heard.event.is_none() {
            return malformed("it has no event");
        }
        if heard.subject.is_none() {
            return malformed("it is about nobody");
        }
        // A push says what it is, so that it cannot be taken for a token of another kind (RFC 8725 section 3.11).
        if heard.way != Way::FxaHeader && !header.is_type("secevent+jwt") {
            return malformed("its `typ` is not `secevent+jwt`");
        }
        Ok(())
    }
}

/// How a request means to tell something.
fn way(headers: &HeaderMap, body: &[u8]) -> Way {
    let content_type = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if headers.contains_key(&webhook::SIGNATURE) {
        Way::Webhook
    } else if media_type.eq_ignore_ascii_case("application/secevent+jwt") {
        Way::Push
    } else if body.is_empty() && bearer(headers).is_some() {
        Way::FxaHeader
    } else {
        Way::Unknown
    }
}

/// The token of `Authorization: Bearer` (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// RFC 7519 section 4.1.3: one audience or several.
fn names(audiences: &Value, client_id: &str) -> bool {
    let is_it = |audience: &Value| audience.as_str().is_some_and(|it| it.eq_ignore_ascii_case(client_id));
    audiences.as_array().map_or_else(|| is_it(audiences), |several| several.iter().any(is_it))
}

#[cfg(test)]
mod tests;
