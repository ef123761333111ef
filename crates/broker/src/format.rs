//! A delivery as it goes over the wire, by its receiver's format.

use crate::rp::webhook_key;
use crate::signer::{CannotSign, Sign, TokenType};
use crate::store::rows::Delivery;
use crate::token::{Issuers, content};
use crate::{Format, RelyingParty, Secret};
use account::Millis;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue};

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// A request to a relying party, ready to go.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why a request could not be made. Nothing of it is the receiver's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CannotMake {
    #[error(transparent)]
    Sign(#[from] CannotSign),
    #[error("the webhook secrets are of no use")]
    WebhookSecret,
    #[error("a header cannot be written")]
    Header,
}

/// Makes the request for one attempt. What it says is the same every time; the signature is the current key's.
pub(crate) fn outgoing(
    rp: &RelyingParty,
    delivery: &Delivery,
    signer: &impl Sign,
    issuers: &Issuers,
    now: Millis,
) -> Result<Outgoing, CannotMake> {
    let content = content(delivery, rp.config.format, issuers);
    if rp.config.format.is_token() {
        carrying(rp, token(rp, signer, &content)?)
    } else {
        webhook(rp, &delivery.jti, now, content)
    }
}

/// A request that carries a token, where its receiver's format has it.
pub(crate) fn carrying(rp: &RelyingParty, token: String) -> Result<Outgoing, CannotMake> {
    let mut headers = own_headers(rp)?;
    let body = if rp.config.format == Format::FxaHeader {
        headers.insert(AUTHORIZATION, secret(&format!("Bearer {token}"))?);
        Bytes::new()
    } else {
        // RFC 8935 section 2.1.
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/secevent+jwt"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        token.into()
    };
    Ok(Outgoing { headers, body })
}

/// A Standard Webhook of that body, signed at that time.
pub(crate) fn webhook(
    rp: &RelyingParty,
    id: &str,
    now: Millis,
    body: Vec<u8>,
) -> Result<Outgoing, CannotMake> {
    let mut headers = own_headers(rp)?;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    sign_webhook(rp, id, now, &body, &mut headers)?;
    Ok(Outgoing { headers, body: body.into() })
}

/// The token of a delivery, by its receiver's algorithm.
pub(crate) fn token(rp: &RelyingParty, signer: &impl Sign, claims: &[u8]) -> Result<String, CannotSign> {
    let unnamed = rp.config.format == Format::FxaHeader && !rp.config.explicit_type;
    let token_type = if unnamed { TokenType::Unnamed } else { TokenType::SecurityEvent };
    signer.sign(rp.config.algorithm, token_type, claims)
}

fn own_headers(rp: &RelyingParty) -> Result<HeaderMap, CannotMake> {
    let mut headers = HeaderMap::new();
    for (name, value) in &rp.secrets.headers {
        let name = HeaderName::try_from(name).map_err(|_| CannotMake::Header)?;
        headers.insert(name, secret(value.reveal())?);
    }
    if let Some(authorization) = &rp.secrets.authorization {
        headers.insert(AUTHORIZATION, secret(authorization.reveal())?);
    }
    Ok(headers)
}

fn secret(text: &str) -> Result<HeaderValue, CannotMake> {
    let mut value = HeaderValue::from_str(text).map_err(|_| CannotMake::Header)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Standard Webhooks 1.0: each secret signs `id.timestamp.body`; the id is the same at every attempt, the timestamp is
/// the attempt's.
fn sign_webhook(
    rp: &RelyingParty,
    id: &str,
    now: Millis,
    body: &[u8],
    headers: &mut HeaderMap,
) -> Result<(), CannotMake> {
    let timestamp = now.seconds().to_string();
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    let sign = |secret: &Secret| match rp.config.format {
        Format::WebhookEd25519 => ed25519(secret, &signed),
        _ => hmac_sha256(secret, &signed),
    };
    let signatures: Option<Vec<String>> = rp.secrets.webhook.iter().map(sign).collect();
    let signatures = signatures.filter(|it| !it.is_empty()).ok_or(CannotMake::WebhookSecret)?;
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| CannotMake::Header);
    headers.insert(WEBHOOK_ID, value(id)?);
    headers.insert(WEBHOOK_TIMESTAMP, value(&timestamp)?);
    headers.insert(WEBHOOK_SIGNATURE, value(&signatures.join(" "))?);
    Ok(())
}

fn hmac_sha256(secret: &Secret, signed: &[u8]) -> Option<String> {
    let key = webhook_key(secret, "whsec_")?;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed);
    Some(format!("v1,{}", STANDARD.encode(tag)))
}

fn ed25519(secret: &Secret, signed: &[u8]) -> Option<String> {
    let key = webhook_key(secret, "whsk_")?;
    // Seed, or seed and public key.
    let pair = Ed25519KeyPair::from_seed_unchecked(key.get(..32)?).ok()?;
    Some(format!("v1a,{}", STANDARD.encode(pair.try_sign(signed).ok()?)))
}

#[cfg(test)]
mod tests;
