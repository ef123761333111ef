//! Whom a relying party believes, and what.

use crate::Now;
use crate::fetch;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use std::fmt;
use tokio::sync::Mutex;
use url::Url;

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Untrusted {
    #[error("it is no security event token")]
    Malformed,
    #[error("it is from the future")]
    Future,
    #[error("no published key signed it")]
    Key,
    #[error("it is of another issuer")]
    Issuer,
    #[error("it is for somebody else")]
    Audience,
}

impl Untrusted {
    /// RFC 8935 section 2.4.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Malformed | Self::Future => "invalid_request",
            Self::Key => "invalid_key",
            Self::Issuer => "invalid_issuer",
            Self::Audience => "invalid_audience",
        }
    }
}

/// What a good token says.
pub(super) struct Opened {
    pub(super) event: String,
    pub(super) subject: String,
    pub(super) algorithm: String,
    pub(super) jti: String,
}

/// The one transmitter that is believed.
pub(super) struct Trust {
    client_id: String,
    issuer: String,
    jwks_url: String,
    now: Now,
    /// The key set, as it was last fetched.
    jwks: Mutex<Value>,
}

impl Trust {
    pub(super) fn new(client_id: &str, issuer: &str, jwks_url: &str, now: Now) -> Self {
        let (client_id, issuer, jwks_url) = (client_id.to_owned(), issuer.to_owned(), jwks_url.to_owned());
        Self { client_id, issuer, jwks_url, now, jwks: Mutex::default() }
    }

    /// What a token says, if it is to be believed. `typ` is what its header must say it is.
    pub(super) async fn open(&self, token: &str, typ: Option<&str>) -> Result<Opened, Untrusted> {
        let (signed, signature) = token.rsplit_once('.').ok_or(Untrusted::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Untrusted::Malformed)?;
        let (header, claims) = (part(header)?, part(claims)?);
        let algorithm = header["alg"].as_str().ok_or(Untrusted::Malformed)?;
        if typ.is_some() && header["typ"].as_str() != typ {
            return Err(Untrusted::Malformed);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Untrusted::Malformed)?;
        let key = self.key(&header["kid"]).await?;
        if !is_signed(&key, algorithm, signed.as_bytes(), &signature) {
            return Err(Untrusted::Key);
        }
        self.read(&claims, algorithm)
    }

    fn read(&self, claims: &Value, algorithm: &str) -> Result<Opened, Untrusted> {
        if claims["iss"] != self.issuer.as_str() {
            return Err(Untrusted::Issuer);
        }
        if claims["aud"] != self.client_id.as_str() {
            return Err(Untrusted::Audience);
        }
        #[expect(clippy::cast_precision_loss, reason = "seconds since the epoch are far below 2^52")]
        let now = (self.now)().get() as f64 / 1000.0;
        if claims["iat"].as_f64().ok_or(Untrusted::Malformed)? > now {
            return Err(Untrusted::Future);
        }
        // The subject stands at the top in Mozilla's profile, in an identifier in that of Shared Signals.
        let subject = claims["sub"].as_str().or_else(|| claims["sub_id"]["sub"].as_str());
        let events = claims["events"].as_object().filter(|it| it.len() == 1);
        let event = events.and_then(|it| it.keys().next()).and_then(|uri| uri.rsplit('/').next());
        match (event, subject, claims["jti"].as_str()) {
            (Some(event), Some(subject), Some(jti)) => Ok(Opened {
                event: event.to_owned(),
                subject: subject.to_owned(),
                algorithm: algorithm.to_owned(),
                jti: jti.to_owned(),
            }),
            _ => Err(Untrusted::Malformed),
        }
    }

    /// The published key of that id. One that is not known is looked for anew: keys rotate.
    async fn key(&self, kid: &Value) -> Result<Value, Untrusted> {
        let mut jwks = self.jwks.lock().await;
        if let Some(key) = find(&jwks, kid) {
            return Ok(key);
        }
        let url: Url = self.jwks_url.parse().map_err(|_| Untrusted::Key)?;
        *jwks = fetch::json(&url).await.map_err(|_| Untrusted::Key)?;
        find(&jwks, kid).ok_or(Untrusted::Key)
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

fn part(text: &str) -> Result<Value, Untrusted> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Untrusted::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| Untrusted::Malformed)
}

fn find(jwks: &Value, kid: &Value) -> Option<Value> {
    jwks["keys"].as_array()?.iter().find(|key| key["kid"] == *kid && kid.is_string()).cloned()
}

/// RFC 7518 sections 3.3 and 3.4, RFC 8037. The key says for which algorithm it is; a token cannot choose another.
fn is_signed(key: &Value, algorithm: &str, signed: &[u8], signature: &[u8]) -> bool {
    let number = |name: &str| key[name].as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let verified = match (key["alg"].as_str(), algorithm) {
        (Some("RS256"), "RS256") => number("n").zip(number("e")).map(|(n, e)| {
            RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
        }),
        (Some("ES256"), "ES256") => number("x").zip(number("y")).map(|(x, y)| {
            let point = [&[4], x.as_slice(), y.as_slice()].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature)
        }),
        (Some("EdDSA"), "EdDSA") => {
            number("x").map(|x| UnparsedPublicKey::new(&ED25519, x).verify(signed, signature))
        }
        _ => None,
    };
    verified.is_some_and(|it| it.is_ok())
}
