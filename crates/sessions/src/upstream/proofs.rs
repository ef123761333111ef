//! Proofs that the key of a bound access token is at hand (RFC 9449), for one request each.

use super::Secret;
use account::Millis;
use idp::{DpopKey, DpopProof, Secret as Key};
use outbound::Url;

/// A request that somebody makes with a bound access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: http::Method,
    pub(crate) url: Url,
    /// What the resource server wants to find in the proof.
    pub(crate) nonce: Option<String>,
}

/// A proof for each of them, by that key; why there is none, in words.
pub(crate) fn signed(
    key: &Secret,
    access_token: &Secret,
    requests: &[Request],
    now: Millis,
) -> Result<Vec<String>, String> {
    let key = DpopKey::from_secret(&Key::new(key.as_str())).map_err(|error| error.to_string())?;
    let proof = |request: &Request| {
        let about = DpopProof {
            method: request.method.as_str(),
            url: &request.url,
            access_token: Some(access_token.as_str()),
            nonce: request.nonce.as_deref(),
            now,
        };
        key.proof(&about).to_str().map(str::to_owned).map_err(|error| error.to_string())
    };
    requests.iter().map(proof).collect()
}
