//! Standard Webhooks 1.0, as a receiver checks them.

use super::{Heard, Refusal, Trust};
use crate::Secret;
use crate::rp::webhook_key;
use account::Millis;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName};
use std::time::Duration;

pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
/// An attempt's time may be as far from now: what is older may be a replay.
const TOLERANCE: Duration = Duration::from_mins(5);
const SECRET: &str = "whsec_";
const PUBLIC_KEY: &str = "whpk_";

/// Whether a text is a secret or a public key of webhooks.
pub(super) fn is_usable(secret: &Secret) -> bool {
    let length = |prefix| webhook_key(secret, prefix).map(|key| key.len());
    length(SECRET).is_some_and(|length| (24..=64).contains(&length)) || length(PUBLIC_KEY) == Some(32)
}

pub(super) fn check(
    trust: &Trust,
    headers: &HeaderMap,
    body: &[u8],
    heard: &mut Heard,
) -> Result<(), Refusal> {
    let malformed = |why: &str| Refusal::Malformed(why.to_owned());
    if let Ok(said) = serde_json::from_slice(body) {
        heard.says(said);
    }
    let text = |name: &HeaderName| headers.get(name).and_then(|it| it.to_str().ok());
    let (Some(id), Some(timestamp), Some(signatures)) = (text(&ID), text(&TIMESTAMP), text(&SIGNATURE))
    else {
        return Err(malformed("`webhook-id`, `webhook-timestamp` and `webhook-signature` are needed"));
    };
    heard.id = Some(id.to_owned());
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    let fits = |signature: &str| trust.webhook.iter().any(|key| verifies(key, signature, &signed));
    if trust.webhook.is_empty() {
        return Err(Refusal::Key);
    }
    if !signatures.split(' ').any(fits) {
        return Err(Refusal::Signature);
    }
    let sent = timestamp.parse().map(Millis::from_seconds);
    let sent = sent.map_err(|_| malformed("`webhook-timestamp` is no number of seconds"))?;
    if sent < heard.at.minus(TOLERANCE) || sent > heard.at.plus(TOLERANCE) {
        return Err(Refusal::Time("it was signed more than five minutes from now"));
    }
    if heard.said.is_none() { Err(malformed("its body is no JSON")) } else { Ok(()) }
}

/// Whether one of the signatures is of that secret or public key.
fn verifies(key: &Secret, signature: &str, signed: &[u8]) -> bool {
    let (version, signature) = signature.split_once(',').unwrap_or_default();
    let Ok(signature) = STANDARD.decode(signature) else { return false };
    match version {
        "v1" => webhook_key(key, SECRET).is_some_and(|key| {
            hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed, &signature).is_ok()
        }),
        "v1a" => webhook_key(key, PUBLIC_KEY)
            .is_some_and(|key| UnparsedPublicKey::new(&ED25519, &*key).verify(signed, &signature).is_ok()),
        _ => false,
    }
}
