use crate::{ConfigError, Secret};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// How an identity provider looks into tokens for us.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IntrospectionConfig {
    /// How it is asked.
    pub protocol: Protocol,
    /// Where. With `fxa` it is `<server_url>/introspect` unless set; with `rfc7662` it must be set.
    pub url: Option<String>,
    /// How we prove who asks. Only with `rfc7662`; Mozilla accounts ask for no proof.
    pub client_auth: ClientAuthMethod,
    /// The client id it knows us by.
    pub client_id: Option<String>,
    /// The secret for `basic` and `post`.
    pub client_secret: Option<Secret>,
    /// A file with the private JWK for `private_key_jwt`.
    pub client_key: Option<PathBuf>,
    /// The `aud` of what is signed for `private_key_jwt`; the first of the `issuers` unless set.
    pub assertion_audience: Option<String>,
    /// A file with the certificate we show and its private key, PEM. Needed for `tls`.
    pub client_certificate: Option<PathBuf>,
    /// A file with the authorities that are believed there instead of the system's, PEM.
    pub certificate_authorities: Option<PathBuf>,
    /// How many questions a minute it is asked at most: 240 with `fxa`, which allows 300 for one address; with `rfc7662`
    /// there is no bound unless set.
    pub requests_per_minute: Option<u32>,
    /// How many of them at once, after a pause; 40.
    pub burst: u32,
}

/// How an identity provider is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// As Mozilla accounts are: a JSON body, nobody proves anything, times in milliseconds.
    #[default]
    Fxa,
    /// By the standard: a form, and a client that proves who it is.
    Rfc7662,
}

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthMethod {
    /// Not at all.
    #[default]
    None,
    /// By id and secret in `Authorization: Basic` (RFC 6749 section 2.3.1).
    Basic,
    /// By id and secret in the form (the same section).
    Post,
    /// By a JWT signed with its private key (RFC 7523 section 2.2).
    PrivateKeyJwt,
    /// By the certificate of its connection (RFC 8705 section 2).
    Tls,
}

/// What Mozilla accounts allow is 300 a minute for one address; whoever asks more is sent away for a quarter of an hour.
const FXA_PER_MINUTE: u32 = 240;

impl Default for IntrospectionConfig {
    fn default() -> Self {
        Self {
            protocol: Protocol::default(),
            url: None,
            client_auth: ClientAuthMethod::default(),
            client_id: None,
            client_secret: None,
            client_key: None,
            assertion_audience: None,
            client_certificate: None,
            certificate_authorities: None,
            requests_per_minute: None,
            burst: 40,
        }
    }
}

impl IntrospectionConfig {
    /// How many questions a minute, if there is a bound.
    pub(crate) fn per_minute(&self) -> Option<u32> {
        self.requests_per_minute.or((self.protocol == Protocol::Fxa).then_some(FXA_PER_MINUTE))
    }

    pub(crate) fn settle_paths(&mut self, folder: &Path) {
        let files = [&mut self.client_key, &mut self.client_certificate, &mut self.certificate_authorities];
        for path in files.into_iter().flatten() {
            *path = folder.join(&*path);
        }
    }

    /// What is wrong with it, by itself: the field, and what is the matter.
    pub(crate) fn flaw(&self) -> Option<(&'static str, &'static str)> {
        use ClientAuthMethod as Method;
        let proves = self.client_auth != Method::None;
        let needs_secret = matches!(self.client_auth, Method::Basic | Method::Post);
        let needs_key = self.client_auth == Method::PrivateKeyJwt;
        let flaws = [
            (self.requests_per_minute == Some(0), "requests_per_minute", "must be above zero"),
            (self.burst == 0, "burst", "must be above zero"),
            (self.protocol == Protocol::Rfc7662 && self.url.is_none(), "url", "is needed with rfc7662"),
            (
                self.protocol == Protocol::Fxa && proves,
                "client_auth",
                "is for rfc7662: fxa asks for no proof",
            ),
            (
                proves && self.client_id.as_ref().is_none_or(String::is_empty),
                "client_id",
                "is needed to prove who asks",
            ),
            (needs_secret && self.client_secret.is_none(), "client_secret", "is needed for basic and post"),
            (needs_key && self.client_key.is_none(), "client_key", "is needed for private_key_jwt"),
            (
                self.client_auth == Method::Tls && self.client_certificate.is_none(),
                "client_certificate",
                "is needed for tls",
            ),
        ];
        flaws.into_iter().find_map(|(is_there, field, what)| is_there.then_some((field, what)))
    }
}

impl ConfigError {
    pub(crate) fn flaw(
        idp: &account::IdpId,
        section: &'static str,
        (field, what): (&'static str, &'static str),
    ) -> Self {
        Self::Section { idp: idp.clone(), section, field, what: what.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(members: serde_json::Value) -> IntrospectionConfig {
        serde_json::from_value(members).expect("well formed")
    }

    fn flawed(members: serde_json::Value) -> Option<&'static str> {
        config(members).flaw().map(|(field, _)| field)
    }

    #[test]
    fn what_cannot_work_is_named_by_its_field() {
        let url = "https://idp.example/introspect";
        for (members, field) in [
            (json!({}), None),
            (json!({"requests_per_minute": 0}), Some("requests_per_minute")),
            (json!({"burst": 0}), Some("burst")),
            (json!({"protocol": "rfc7662"}), Some("url")),
            (json!({"protocol": "rfc7662", "url": url}), None),
            (json!({"client_auth": "basic", "client_id": "c", "client_secret": "s"}), Some("client_auth")),
            (json!({"protocol": "rfc7662", "url": url, "client_auth": "basic"}), Some("client_id")),
            (
                json!({"protocol": "rfc7662", "url": url, "client_auth": "post", "client_id": "c"}),
                Some("client_secret"),
            ),
            (
                json!({"protocol": "rfc7662", "url": url, "client_auth": "private_key_jwt", "client_id": "c"}),
                Some("client_key"),
            ),
            (
                json!({"protocol": "rfc7662", "url": url, "client_auth": "tls", "client_id": "c"}),
                Some("client_certificate"),
            ),
        ] {
            assert_eq!(flawed(members.clone()), field, "{members}");
        }
    }

    #[test]
    fn mozilla_accounts_are_asked_less_than_they_allow_and_others_as_much_as_configured() {
        assert_eq!(config(json!({})).per_minute(), Some(240));
        assert_eq!(config(json!({"requests_per_minute": 60})).per_minute(), Some(60));
        assert_eq!(config(json!({"protocol": "rfc7662"})).per_minute(), None);
    }

    #[test]
    fn a_secret_is_not_shown() {
        let shown = format!("{:?}", config(json!({"client_secret": "s3cret"})));
        assert!(shown.contains("redacted") && !shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn files_are_where_the_configuration_is() {
        let mut config = config(json!({"client_key": "key.json", "client_certificate": "/etc/client.pem"}));
        config.settle_paths(Path::new("/etc/highwater"));
        assert_eq!(config.client_key, Some("/etc/highwater/key.json".into()));
        assert_eq!(config.client_certificate, Some("/etc/client.pem".into()));
    }
}
