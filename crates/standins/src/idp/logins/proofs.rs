//! What clients sign: assertions of who they are, and that they have the key of a token.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// Header and claims of a JWS that the private half of this JWK (P-256) has signed with ES256.
pub(super) fn verify(token: &str, key: &Value) -> Option<(Value, Value)> {
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let json = |text: &str| serde_json::from_slice::<Value>(&bytes(text)?).ok();
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let header = json(header)?;
    if header["alg"] != "ES256" || key["crv"] != "P-256" {
        return None;
    }
    let point = [vec![4], bytes(key["x"].as_str()?)?, bytes(key["y"].as_str()?)?].concat();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    key.verify(signed.as_bytes(), &bytes(signature)?).ok()?;
    Some((header, json(claims)?))
}

/// A request that a proof of possession must be about (RFC 9449 section 4.3).
pub(super) struct About<'a> {
    pub(super) method: &'a str,
    pub(super) url: String,
    pub(super) access_token: Option<&'a str>,
    /// The nonce that must be in it.
    pub(super) nonce: Option<&'a str>,
    pub(super) now: i64,
}

/// Why a proof is not good.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadProof {
    Invalid,
    /// It has not the nonce that it must have.
    Nonce,
}

/// The thumbprint of the key that is proven to be at hand, and the proof's `jti`.
pub(super) fn possession(proof: &str, about: &About<'_>) -> Result<(String, String), BadProof> {
    let header = proof.split('.').next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let header: Value =
        header.and_then(|json| serde_json::from_slice(&json).ok()).ok_or(BadProof::Invalid)?;
    let key = &header["jwk"];
    let (_, claims) = verify(proof, key).ok_or(BadProof::Invalid)?;
    let ath = about.access_token.map(|token| URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes())));
    let is_about_it = header["typ"] == "dpop+jwt"
        && key["d"].is_null()
        && claims["htm"] == about.method
        && claims["htu"] == about.url
        && claims["iat"].as_i64().is_some_and(|iat| (iat - about.now).abs() <= 60)
        && claims["ath"].as_str() == ath.as_deref();
    let jti = claims["jti"].as_str().filter(|_| is_about_it).ok_or(BadProof::Invalid)?;
    if about.nonce.is_some() && claims["nonce"].as_str() != about.nonce {
        return Err(BadProof::Nonce);
    }
    Ok((thumbprint(key), jti.to_owned()))
}

/// RFC 7638, of a P-256 key.
fn thumbprint(key: &Value) -> String {
    let text = |name: &str| key[name].as_str().unwrap_or_default();
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, text("x"), text("y"));
    URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()))
}
