//! Proofs that whoever shows a token has the key it is bound to (RFC 9449).

use crate::Secret;
use account::Millis;
use aws_lc_rs::digest::{SHA256, digest};
use jose::{Algorithm, SigningKey, SigningKeyError, to_base64url};
use outbound::header::{HeaderName, HeaderValue};
use outbound::{HeaderMap, Url};
use parking_lot::Mutex;
use serde::Serialize;
use std::sync::Arc;

/// The header that a proof goes in.
pub(super) const DPOP: HeaderName = HeaderName::from_static("dpop");
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// The key that a grant's tokens are bound to: P-256. It is kept with the grant, as secret as its tokens.
#[derive(Clone, Debug)]
pub struct DpopKey(Arc<SigningKey>);

/// No key of a grant, or one that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key that the tokens are bound to cannot be used: {0}")]
pub struct BadDpopKey(SigningKeyError);

impl DpopKey {
    /// A fresh one.
    pub fn generate() -> Result<Self, BadDpopKey> {
        SigningKey::generate(Algorithm::Es256).map(Arc::new).map(Self).map_err(BadDpopKey)
    }

    /// From what [`DpopKey::to_secret`] gave.
    pub fn from_secret(secret: &Secret) -> Result<Self, BadDpopKey> {
        SigningKey::from_private_jwk(secret.reveal().as_bytes()).map(Arc::new).map(Self).map_err(BadDpopKey)
    }

    /// To be kept, encrypted: a private JWK.
    pub fn to_secret(&self) -> Result<Secret, BadDpopKey> {
        self.0.to_private_jwk().map(|json| Secret::new(json.as_str())).map_err(BadDpopKey)
    }

    /// Its thumbprint: the `dpop_jkt` of an authorization request (RFC 9449 section 10).
    pub fn thumbprint(&self) -> String {
        self.0.jwk().public_key().thumbprint().to_string()
    }

    /// The value of the header `DPoP`, a new proof each time (section 4.2).
    pub fn proof(&self, about: &Proof<'_>) -> HeaderValue {
        #[derive(Serialize)]
        struct Header<'a, J> {
            typ: &'a str,
            alg: &'a str,
            jwk: &'a J,
        }
        #[derive(Serialize)]
        struct Claims<'a> {
            jti: String,
            htm: &'a str,
            htu: &'a str,
            iat: i64,
            #[serde(skip_serializing_if = "Option::is_none")]
            nonce: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            ath: Option<String>,
        }
        let mut htu = about.url.clone();
        htu.set_query(None);
        htu.set_fragment(None);
        let mut random = [0; 16];
        getrandom::fill(&mut random).expect("the system gives random bytes");
        let claims = Claims {
            jti: hex::encode(random),
            htm: about.method,
            htu: htu.as_str(),
            iat: about.now.seconds(),
            nonce: about.nonce,
            ath: about.access_token.map(|token| to_base64url(digest(&SHA256, token.as_bytes()).as_ref())),
        };
        let header = Header { typ: "dpop+jwt", alg: self.0.algorithm().name(), jwk: self.0.jwk() };
        let json = |value: serde_json::Result<Vec<u8>>| value.expect("texts and numbers serialize");
        let (header, claims) = (json(serde_json::to_vec(&header)), json(serde_json::to_vec(&claims)));
        let proof = self.0.sign_compact(&header, &claims).expect("a key that was read signs");
        HeaderValue::from_str(&proof).expect("base64url and dots are visible ASCII")
    }
}

/// What a proof is about: one request.
#[derive(Clone, Copy, Debug)]
pub struct Proof<'a> {
    /// Its method.
    pub method: &'a str,
    /// Where it goes; query and fragment are left out of the proof.
    pub url: &'a Url,
    /// The access token that goes with it, if one does.
    pub access_token: Option<&'a str>,
    /// The nonce that the other side wants to find (section 8).
    pub nonce: Option<&'a str>,
    /// When it is made.
    pub now: Millis,
}

/// The nonce that a server wants to find in proofs, as it said last (section 8).
#[derive(Debug, Default)]
pub(super) struct Nonce(Mutex<Option<Arc<str>>>);

impl Nonce {
    pub(super) fn latest(&self) -> Option<Arc<str>> {
        self.0.lock().clone()
    }

    /// Whether the answer brought one.
    pub(super) fn learn(&self, headers: &HeaderMap) -> bool {
        const LONGEST: usize = 1024;
        let told = headers.get(DPOP_NONCE).and_then(|value| value.to_str().ok());
        match told.filter(|nonce| !nonce.is_empty() && nonce.len() <= LONGEST) {
            Some(nonce) => {
                *self.0.lock() = Some(Arc::from(nonce));
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jose::Compact;
    use serde_json::Value;

    #[test]
    fn a_key_comes_back_from_what_is_kept() {
        let key = DpopKey::generate().expect("a key");
        let again = DpopKey::from_secret(&key.to_secret().expect("exported")).expect("imported");
        assert_eq!(again.thumbprint(), key.thumbprint());
        assert!(DpopKey::from_secret(&Secret::new("{}")).is_err());
    }

    #[test]
    fn a_proof_says_what_it_is_for_and_is_signed_by_the_key_it_names() {
        let key = DpopKey::generate().expect("a key");
        let url = "https://idp.example/token?tenant=a#b".parse().expect("a URL");
        let (now, nonce) = (Millis::new(1_700_000_000_999), Some("n-1"));
        let about = Proof { method: "POST", url: &url, access_token: Some("token"), nonce, now };
        let proof = key.proof(&about);
        let proof = Compact::split(proof.to_str().expect("text")).expect("compact");
        let header = proof.header().expect("a header");
        assert!(header.is_type("dpop+jwt"));
        assert_eq!(proof.verify(&header, key.0.jwk().public_key()), Ok(()));
        let claims: Value = serde_json::from_slice(&proof.payload().expect("a payload")).expect("JSON");
        assert_eq!(claims["htu"], "https://idp.example/token");
        assert_eq!((&claims["htm"], &claims["nonce"]), (&"POST".into(), &"n-1".into()));
        assert_eq!(claims["iat"], 1_700_000_000);
        assert_eq!(claims["ath"], "PEaenWxYddN6Q_NT1PiOYfz4EsZu7jRXRlpAsNpBU-A");
    }
}
