//! Whom a receiver trusts.

use super::checking::Refusal;
use crate::{ClientId, Secret};
use account::IdpId;
use idp::{Idp, IdpConfig, SignatureError};
use jose::{Compact, Header, Jwk, JwkSet};
use outbound::Url;
use std::sync::Arc;
use std::time::Duration;

/// The keys that may sign tokens.
#[derive(Clone, Debug)]
pub enum Keys {
    /// Those of a published set, fetched when they are needed and when a token names one that is not known.
    At(Arc<Idp>),
    /// These.
    Known(Arc<JwkSet>),
    /// None: no token is trusted.
    Nobody,
}

/// Whom a receiver trusts, and who it is.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The keys that may sign tokens.
    pub keys: Keys,
    /// The `iss` that tokens must have, to the letter; absent: any.
    pub issuer: Option<String>,
    /// The client id that must be a token's `aud`, or one of them; absent: any.
    pub audience: Option<ClientId>,
    /// What signs Standard Webhooks: secrets (`whsec_…`), or public keys (`whpk_…`).
    pub webhook: Vec<Secret>,
}

/// What cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTrust {
    /// Keys cannot be fetched from there.
    #[error("keys are fetched from a http or https URL without credentials")]
    Url(#[source] idp::ConfigError),
    /// The set is none, or none of its keys is of use.
    #[error("not a set of keys that can verify anything: {0}")]
    Set(String),
    /// A secret or a public key of webhooks is malformed.
    #[error("a webhook's secret is `whsec_` and base64, its public key `whpk_` and base64 of 32 bytes")]
    Webhook,
}

impl Keys {
    /// Those published at that URL. Nothing is fetched yet.
    pub fn at(url: &Url) -> Result<Self, InvalidTrust> {
        let name = IdpId::new("transmitter").expect("a word is the name of an identity provider");
        let mut config = IdpConfig::new(name, url.as_str(), "transmitter");
        config.jwks_url = Some(url.as_str().to_owned());
        // Somebody waits and watches: a key that was rotated a second ago should be found.
        config.unknown_key_refetch = Duration::from_secs(1);
        Idp::new(&config).map(|idp| Self::At(Arc::new(idp))).map_err(InvalidTrust::Url)
    }

    /// Those of a set's JSON (RFC 7517 section 5).
    pub fn of_set(json: &[u8]) -> Result<Self, InvalidTrust> {
        let set = JwkSet::parse(json).map_err(|error| InvalidTrust::Set(error.to_string()))?;
        if set.keys.is_empty() {
            return Err(InvalidTrust::Set("it has no key of a type that is known here".to_owned()));
        }
        Ok(Self::Known(Arc::new(set)))
    }

    pub(super) async fn verify(&self, token: &Compact<'_>, header: &Header) -> Result<(), Refusal> {
        match self {
            Self::At(idp) => match idp.verify_signature(token, header).await {
                Ok(_) => Ok(()),
                Err(SignatureError::BadSignature) => Err(Refusal::Signature),
                Err(SignatureError::UnknownKey) => Err(Refusal::Key),
                Err(SignatureError::NoKeys { .. } | SignatureError::Unavailable { .. }) => {
                    Err(Refusal::KeysUnavailable)
                }
            },
            Self::Known(set) => verify_with(&set.keys, token, header),
            Self::Nobody => Err(Refusal::Key),
        }
    }
}

fn verify_with(keys: &[Jwk], token: &Compact<'_>, header: &Header) -> Result<(), Refusal> {
    let named =
        |key: &&Jwk| header.kid.is_none() || key.kid().is_none() || key.kid() == header.kid.as_deref();
    let mut refusal = Refusal::Key;
    for key in keys.iter().filter(named) {
        if token.verify(header, key.public_key()).is_ok() {
            return Ok(());
        }
        refusal = Refusal::Signature;
    }
    Err(refusal)
}

impl Trust {
    /// Whom a receiver trusts; see the members.
    pub fn new(
        keys: Keys,
        issuer: Option<String>,
        audience: Option<ClientId>,
        webhook: Vec<Secret>,
    ) -> Result<Self, InvalidTrust> {
        if webhook.iter().all(super::webhook::is_usable) {
            Ok(Self { keys, issuer, audience, webhook })
        } else {
            Err(InvalidTrust::Webhook)
        }
    }
}
