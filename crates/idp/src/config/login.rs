use super::ClientAuthMethod as Method;
use crate::{ClientAuthMethod, Secret};
use jose::Algorithm;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How people log in by an identity provider, and how we keep their logins.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginConfig {
    /// The client id it knows us by.
    pub client_id: String,
    /// How we prove who asks. Unless set, what there is says it: a secret `basic`, a key `private_key_jwt`, a certificate
    /// `tls`, and nothing a public client. Never tried out: a refresh token cannot be presented twice.
    #[serde(default)]
    pub client_auth: Option<ClientAuthMethod>,
    /// The secret for `basic` and `post`.
    #[serde(default)]
    pub client_secret: Option<Secret>,
    /// A file with the private JWK for `private_key_jwt`.
    #[serde(default)]
    pub client_key: Option<PathBuf>,
    /// The `aud` of what is signed for `private_key_jwt`; the first of the `issuers` unless set.
    #[serde(default)]
    pub assertion_audience: Option<String>,
    /// A file with the certificate we show and its private key, PEM. Needed for `tls`.
    #[serde(default)]
    pub client_certificate: Option<PathBuf>,
    /// A file with the authorities that are believed there instead of the system's, PEM.
    #[serde(default)]
    pub certificate_authorities: Option<PathBuf>,
    /// Where it sends people back to.
    #[serde(default)]
    pub redirect_uri: Option<String>,
    /// What is asked for when people log in; `openid` unless set.
    #[serde(default = "openid")]
    pub scopes: Vec<String>,
    /// Where it tells its endpoints; `/.well-known/openid-configuration` of the first issuer unless set, and if there is
    /// none, that of RFC 8414.
    #[serde(default)]
    pub discovery_url: Option<String>,
    /// Its token endpoint. If set, nothing is discovered, and the other endpoints are those that are set too.
    #[serde(default)]
    pub token_url: Option<String>,
    /// Where it tells about a user.
    #[serde(default)]
    pub userinfo_url: Option<String>,
    /// Where it takes tokens back (RFC 7009).
    #[serde(default)]
    pub revocation_url: Option<String>,
    /// The algorithms it may sign ID tokens and logout tokens with; all that are spoken here unless set.
    #[serde(default)]
    pub signing_algorithms: Vec<String>,
    /// Whether tokens are bound to a key of their own (RFC 9449).
    #[serde(default)]
    pub dpop: bool,
    /// How many requests a second it is sent at most; no bound unless set.
    #[serde(default)]
    pub requests_per_second: Option<u32>,
    /// How many of them at once, after a pause; as many as there are in a second unless set.
    #[serde(default)]
    pub burst: Option<u32>,
    /// How many may be on their way at once; 64. A quarter is kept for those that somebody waits for.
    #[serde(default = "super::sixty_four")]
    pub max_in_flight: usize,
    /// How long a request may take in all, in seconds; 30. One that is given up may have used up a refresh token, so this is
    /// longer than for other questions.
    #[serde(default = "half_a_minute", deserialize_with = "super::seconds", rename = "timeout_seconds")]
    pub timeout: Duration,
}

impl LoginConfig {
    /// One with every default, for a public client until a secret or a key is added.
    pub fn new(client_id: &str) -> Self {
        Self {
            client_id: client_id.to_owned(),
            client_auth: None,
            client_secret: None,
            client_key: None,
            assertion_audience: None,
            client_certificate: None,
            certificate_authorities: None,
            redirect_uri: None,
            scopes: openid(),
            discovery_url: None,
            token_url: None,
            userinfo_url: None,
            revocation_url: None,
            signing_algorithms: Vec::new(),
            dpop: false,
            requests_per_second: None,
            burst: None,
            max_in_flight: super::sixty_four(),
            timeout: half_a_minute(),
        }
    }

    /// How we prove who asks.
    pub(crate) fn method(&self) -> Method {
        self.client_auth.unwrap_or(match self {
            Self { client_secret: Some(_), .. } => Method::Basic,
            Self { client_key: Some(_), .. } => Method::PrivateKeyJwt,
            Self { client_certificate: Some(_), .. } => Method::Tls,
            _ => Method::None,
        })
    }

    /// The algorithms it may sign with.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        match self.signing_algorithms.as_slice() {
            [] => Algorithm::ALL.to_vec(),
            named => named.iter().filter_map(|name| Algorithm::from_name(name)).collect(),
        }
    }

    pub(crate) fn settle_paths(&mut self, folder: &Path) {
        let files = [&mut self.client_key, &mut self.client_certificate, &mut self.certificate_authorities];
        for path in files.into_iter().flatten() {
            *path = folder.join(&*path);
        }
    }

    /// What is wrong with it, by itself: the field, and what is the matter.
    pub(crate) fn flaw(&self) -> Option<(&'static str, &'static str)> {
        let method = self.method();
        let needs_secret = matches!(method, Method::Basic | Method::Post);
        let is_unspoken = |name: &String| Algorithm::from_name(name).is_none();
        let others = [&self.userinfo_url, &self.revocation_url];
        let flaws = [
            (self.client_id.is_empty(), "client_id", "is empty"),
            (needs_secret && self.client_secret.is_none(), "client_secret", "is needed for basic and post"),
            (
                method == Method::PrivateKeyJwt && self.client_key.is_none(),
                "client_key",
                "is needed for private_key_jwt",
            ),
            (
                method == Method::Tls && self.client_certificate.is_none(),
                "client_certificate",
                "is needed for tls",
            ),
            (
                self.signing_algorithms.iter().any(is_unspoken),
                "signing_algorithms",
                "may be RS256, ES256 and EdDSA",
            ),
            (
                self.token_url.is_none() && others.into_iter().any(Option::is_some),
                "token_url",
                "is needed where other endpoints are set: all are set or all are discovered",
            ),
            (self.requests_per_second == Some(0), "requests_per_second", "must be above zero"),
            (self.burst == Some(0), "burst", "must be above zero"),
            (self.max_in_flight == 0, "max_in_flight", "must be above zero"),
            (self.timeout.is_zero(), "timeout_seconds", "must be above zero"),
        ];
        flaws.into_iter().find_map(|(is_there, field, what)| is_there.then_some((field, what)))
    }
}

fn openid() -> Vec<String> {
    vec!["openid".to_owned()]
}

fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(members: &serde_json::Value) -> LoginConfig {
        let mut whole = json!({ "client_id": "web" });
        whole.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
        serde_json::from_value(whole).expect("well formed")
    }

    #[test]
    fn what_there_is_says_how_we_prove_who_asks() {
        for (members, method) in [
            (json!({}), Method::None),
            (json!({"client_secret": "s"}), Method::Basic),
            (json!({"client_secret": "s", "client_auth": "post"}), Method::Post),
            (json!({"client_key": "k"}), Method::PrivateKeyJwt),
            (json!({"client_certificate": "c"}), Method::Tls),
        ] {
            assert_eq!(config(&members).method(), method, "{members}");
            assert_eq!(config(&members).flaw(), None, "{members}");
        }
    }

    #[test]
    fn what_cannot_work_is_named_by_its_field() {
        for (members, field) in [
            (json!({"client_id": ""}), "client_id"),
            (json!({"client_auth": "basic"}), "client_secret"),
            (json!({"client_auth": "private_key_jwt"}), "client_key"),
            (json!({"client_auth": "tls"}), "client_certificate"),
            (json!({"signing_algorithms": ["RS256", "none"]}), "signing_algorithms"),
            (json!({"userinfo_url": "https://idp.example/userinfo"}), "token_url"),
            (json!({"requests_per_second": 0}), "requests_per_second"),
            (json!({"burst": 0}), "burst"),
            (json!({"max_in_flight": 0}), "max_in_flight"),
            (json!({"timeout_seconds": 0}), "timeout_seconds"),
        ] {
            assert_eq!(config(&members).flaw().map(|(field, _)| field), Some(field), "{members}");
        }
    }

    #[test]
    fn it_shows_no_secret_and_finds_its_files_where_the_configuration_is() {
        let mut config = config(&json!({"client_secret": "s3cret", "client_key": "key.json"}));
        config.settle_paths(Path::new("/etc/highwater"));
        assert_eq!(config.client_key, Some("/etc/highwater/key.json".into()));
        assert!(!format!("{config:?}").contains("s3cret"));
    }
}
