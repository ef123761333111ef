use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A text that is never shown: redacted, compared in constant time, zeroised when dropped.
#[derive(Clone, Eq, Default, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that must have it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        bool::from(self.0.as_bytes().ct_eq(other.0.as_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// What is sent to a relying party so that it knows who calls. Kept sealed, shown to nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Secrets {
    /// The whole `Authorization` header towards it (not in the FxA format, whose `Authorization` is the token).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Secret>,
    /// Further headers towards it, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Secret>,
    /// The certificate that is shown to it (mutual TLS): a chain that begins with it, and its private key; PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<Secret>,
    /// How an access token for it is got, which is then its `Authorization` (not in the FxA format).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth: Option<OauthClient>,
    /// Secrets of Standard Webhooks (`whsec_…`, `whsk_…`), the current one first; each signs, so that one can be
    /// exchanged without a gap.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub webhook: Vec<Secret>,
}

/// We as a client of a relying party's authorization server: OAuth 2.0 client credentials (RFC 6749 section 4.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OauthClient {
    /// The token endpoint: `https`, or `http` where private addresses are allowed.
    pub token_url: String,
    /// What we are called there.
    pub client_id: String,
    /// The secret that goes with it, sent by HTTP Basic.
    pub client_secret: Secret,
    /// The scope to ask for, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The resource to ask for (RFC 8707), if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
}

impl Secrets {
    /// Every secret text that is sent, for whoever must strike them out of what is kept.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let oauth = self.oauth.iter().map(|oauth| &oauth.client_secret);
        let sent = self.authorization.iter().chain(self.headers.values()).chain(&self.webhook).chain(oauth);
        sent.map(Secret::reveal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let secrets = Secrets { authorization: Some(Secret::new("Bearer s3cret")), ..Secrets::default() };
        assert!(!format!("{secrets:?}").contains("s3cret"));
        assert_eq!(secrets.texts().collect::<Vec<_>>(), ["Bearer s3cret"]);
    }
}
