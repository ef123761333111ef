mod introspection;
mod login;

pub use introspection::{ClientAuthMethod, IntrospectionConfig, Protocol};
pub use login::LoginConfig;

use account::IdpId;
use jose::Jwk;
use outbound::{Manners, Url};
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;

/// An identity provider as the operator configures it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdpConfig {
    /// The name it has in this house; kept with every account, so never changed later.
    pub id: IdpId,
    /// The names it goes by: `iss` of its tokens and events. A trailing slash makes no difference. At least one.
    pub issuers: Vec<String>,
    /// The domain of its accounts: `uid@domain` is how the Tokenserver writes them.
    pub account_domain: String,
    /// Where its OAuth server is; `/v1` is appended unless it ends so. Without it, only configured keys are used.
    #[serde(default)]
    pub server_url: Option<String>,
    /// Where its keys are; `<server_url>/jwks` unless set.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// Whether keys are fetched at all. If not, only configured keys count.
    #[serde(default = "yes")]
    pub fetch_keys: bool,
    /// A key known beforehand: a JWK, as a table or as JSON text.
    #[serde(default, deserialize_with = "jwk")]
    pub primary_jwk: Option<Jwk>,
    /// Another one, so that keys can be rotated without being fetched.
    #[serde(default, deserialize_with = "jwk")]
    pub secondary_jwk: Option<Jwk>,
    /// Which tokens that are no JWT it is asked about.
    #[serde(default)]
    pub opaque_tokens: OpaqueTokens,
    /// Whether a JWT without `exp` is accepted.
    #[serde(default)]
    pub allow_missing_expiry: bool,
    /// How long a request to it may take in all, in seconds; 10.
    #[serde(default = "ten_seconds", deserialize_with = "seconds", rename = "request_timeout_seconds")]
    pub request_timeout: Duration,
    /// How often its keys are fetched, in seconds; 60. A key it withdraws is honoured no longer than this.
    #[serde(default = "one_minute", deserialize_with = "seconds", rename = "keys_refresh_seconds")]
    pub keys_refresh: Duration,
    /// How soon after a fetch a token with an unknown key may cause the next one, in seconds; 5.
    #[serde(default = "five_seconds", deserialize_with = "seconds", rename = "unknown_key_refetch_seconds")]
    pub unknown_key_refetch: Duration,
    /// How many questions about tokens may be on their way to it at once; 64.
    #[serde(default = "sixty_four")]
    pub max_in_flight: usize,
    /// The `aud` its security event tokens must carry: the client id it knows us by.
    #[serde(default)]
    pub set_audience: Option<String>,
    /// A forward proxy on the way to it: a URL without credentials. The environment is not looked at.
    #[serde(default)]
    pub proxy_url: Option<String>,
    /// How it looks into tokens for us.
    #[serde(default)]
    pub introspection: IntrospectionConfig,
    /// How people log in by it. Without it, nobody does.
    #[serde(default)]
    pub login: Option<LoginConfig>,
}

/// Which tokens that are no JWT an identity provider is asked about. What is not asked about is refused at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpaqueTokens {
    /// All of up to 2048 bytes: what a Tokenserver does.
    #[default]
    Any,
    /// Only 64 hexadecimal digits, the one form that Mozilla accounts give out: garbage then costs it nothing.
    Hex64,
    /// None.
    Refuse,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A URL that is none, has another scheme than http or https, or carries credentials.
    #[error("identity provider {idp}: {field} must be a http or https URL without credentials")]
    Url {
        /// Whose configuration.
        idp: IdpId,
        /// Which field.
        field: &'static str,
    },
    /// A field that must say something says nothing.
    #[error("identity provider {idp}: {field} is empty or has white space or an @ in it")]
    Name {
        /// Whose configuration.
        idp: IdpId,
        /// Which field.
        field: &'static str,
    },
    /// Neither keys nor a place to fetch them from nor anybody to ask.
    #[error(
        "identity provider {idp}: set server_url, jwks_url, primary_jwk or introspection.url, else no token can be verified"
    )]
    NoKeys {
        /// Whose configuration.
        idp: IdpId,
    },
    /// A number that must be above zero is zero.
    #[error("identity provider {idp}: {field} must be above zero")]
    Zero {
        /// Whose configuration.
        idp: IdpId,
        /// Which field.
        field: &'static str,
    },
    /// Something is wrong with how tokens are introspected, or how people log in.
    #[error("identity provider {idp}: {section}.{field} {what}")]
    Section {
        /// Whose configuration.
        idp: IdpId,
        /// Which section of it.
        section: &'static str,
        /// Which field.
        field: &'static str,
        /// What is the matter.
        what: String,
    },
    /// Two identity providers cannot be told apart.
    #[error("{what} {value:?} belongs to two identity providers")]
    Ambiguous {
        /// What they share.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// None is configured.
    #[error("no identity provider is configured")]
    None,
    /// The HTTP client cannot be built.
    #[error(transparent)]
    Client(#[from] outbound::CannotBuild),
}

impl IdpConfig {
    /// One with every default: nothing to fetch from yet, no keys yet.
    pub fn new(id: IdpId, issuer: &str, account_domain: &str) -> Self {
        Self {
            id,
            issuers: vec![issuer.to_owned()],
            account_domain: account_domain.to_owned(),
            server_url: None,
            jwks_url: None,
            fetch_keys: true,
            primary_jwk: None,
            secondary_jwk: None,
            opaque_tokens: OpaqueTokens::Any,
            allow_missing_expiry: false,
            request_timeout: ten_seconds(),
            keys_refresh: one_minute(),
            unknown_key_refetch: five_seconds(),
            max_in_flight: sixty_four(),
            set_audience: None,
            proxy_url: None,
            introspection: IntrospectionConfig::default(),
            login: None,
        }
    }

    /// Takes files that are named without a folder, or with a part of the way, to be in `folder` or beneath it.
    pub fn settle_paths(&mut self, folder: &Path) {
        self.introspection.settle_paths(folder);
        if let Some(login) = &mut self.login {
            login.settle_paths(folder);
        }
    }

    /// The configured keys.
    pub(crate) fn configured_keys(&self) -> Vec<Jwk> {
        self.primary_jwk.iter().chain(&self.secondary_jwk).cloned().collect()
    }

    /// `<server_url>/v1/verify`.
    pub(crate) fn verify_endpoint(&self) -> Result<Option<Url>, ConfigError> {
        self.endpoint("verify")
    }

    /// Where tokens are introspected, if they can be.
    pub(crate) fn introspection_endpoint(&self) -> Result<Option<Url>, ConfigError> {
        match (&self.introspection.url, self.introspection.protocol) {
            (Some(url), _) => self.url("introspection.url", url).map(Some),
            (None, Protocol::Fxa) => self.endpoint("introspect"),
            (None, Protocol::Rfc7662) => Ok(None),
        }
    }

    /// Where keys are fetched from, if they are.
    pub(crate) fn jwks_endpoint(&self) -> Result<Option<Url>, ConfigError> {
        match &self.jwks_url {
            _ if !self.fetch_keys => Ok(None),
            Some(url) => self.url("jwks_url", url).map(Some),
            None => self.endpoint("jwks"),
        }
    }

    /// How patient we are where logins are at stake.
    pub(crate) fn login_manners(&self, login: &LoginConfig) -> Result<Manners, ConfigError> {
        /// A request must not go out on a connection that the other side is just closing: then nobody knows whether it
        /// arrived. Servers keep theirs for five seconds and more.
        const KEEP_IDLE: Duration = Duration::from_secs(2);
        const MAX_ANSWER: usize = 256 * 1024;
        let connect_timeout = login.timeout.min(Manners::default().connect_timeout);
        let (deadline, proxy) = (login.timeout, self.proxy()?);
        Ok(Manners { connect_timeout, deadline, max_answer: MAX_ANSWER, keep_idle: KEEP_IDLE, proxy })
    }

    fn proxy(&self) -> Result<Option<Url>, ConfigError> {
        self.proxy_url.as_deref().map(|url| self.url("proxy_url", url)).transpose()
    }

    /// How patient we are with it, and how much of its answers we take.
    pub(crate) fn manners(&self, max_answer: usize) -> Result<Manners, ConfigError> {
        let deadline = self.request_timeout;
        let connect_timeout = deadline.min(Manners::default().connect_timeout);
        Ok(Manners { connect_timeout, deadline, max_answer, proxy: self.proxy()?, ..Manners::default() })
    }

    fn endpoint(&self, name: &str) -> Result<Option<Url>, ConfigError> {
        let Some(base) = &self.server_url else { return Ok(None) };
        let base = base.trim_end_matches('/');
        let version = if base.ends_with("/v1") { "" } else { "/v1" };
        self.url("server_url", &format!("{base}{version}/{name}")).map(Some)
    }

    pub(crate) fn url(&self, field: &'static str, text: &str) -> Result<Url, ConfigError> {
        let plain = |url: &Url| {
            matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
        };
        Url::parse(text).ok().filter(plain).ok_or_else(|| ConfigError::Url { idp: self.id.clone(), field })
    }

    /// Whether it can work; touches nothing.
    pub fn check(&self) -> Result<(), ConfigError> {
        let idp = || self.id.clone();
        let named = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
        if self.issuers.is_empty() || !self.issuers.iter().all(|issuer| named(issuer)) {
            return Err(ConfigError::Name { idp: idp(), field: "issuers" });
        }
        if !named(&self.account_domain) || self.account_domain.contains('@') {
            return Err(ConfigError::Name { idp: idp(), field: "account_domain" });
        }
        if self.max_in_flight == 0 {
            return Err(ConfigError::Zero { idp: idp(), field: "max_in_flight" });
        }
        if self.keys_refresh.is_zero() {
            return Err(ConfigError::Zero { idp: idp(), field: "keys_refresh_seconds" });
        }
        if self.request_timeout.is_zero() {
            return Err(ConfigError::Zero { idp: idp(), field: "request_timeout_seconds" });
        }
        if let Some(flaw) = self.introspection.flaw() {
            return Err(ConfigError::flaw(&self.id, "introspection", flaw));
        }
        if let Some(flaw) = self.login.as_ref().and_then(LoginConfig::flaw) {
            return Err(ConfigError::flaw(&self.id, "login", flaw));
        }
        let asks = (self.server_url.is_some() || self.introspection_endpoint()?.is_some())
            && self.opaque_tokens != OpaqueTokens::Refuse;
        let discovers = self.fetch_keys && self.login.as_ref().is_some_and(|login| login.token_url.is_none());
        if self.configured_keys().is_empty() && self.jwks_endpoint()?.is_none() && !asks && !discovers {
            return Err(ConfigError::NoKeys { idp: idp() });
        }
        Ok(())
    }
}

fn yes() -> bool {
    true
}

fn five_seconds() -> Duration {
    Duration::from_secs(5)
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn one_minute() -> Duration {
    Duration::from_mins(1)
}

fn sixty_four() -> usize {
    64
}

/// A duration as a number of seconds, whole or not.
fn seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
}

/// A JWK as a table or as JSON text.
fn jwk<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Jwk>, D::Error> {
    struct TableOrText;

    impl<'de> serde::de::Visitor<'de> for TableOrText {
        type Value = Jwk;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a JSON Web Key, as a table or as JSON text")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Jwk, E> {
            Jwk::parse(text.as_bytes()).map_err(E::custom)
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, members: A) -> Result<Jwk, A::Error> {
            Jwk::deserialize(serde::de::value::MapAccessDeserializer::new(members))
        }
    }

    deserializer.deserialize_any(TableOrText).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(members: &serde_json::Value) -> Result<IdpConfig, serde_json::Error> {
        let mut whole = json!({"id": "fxa", "issuers": ["https://accounts.example"], "account_domain": "accounts.example"});
        whole.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
        serde_json::from_value(whole)
    }

    fn endpoints(server_url: &str) -> (String, String) {
        let config = config(&json!({"server_url": server_url})).expect("valid");
        let (verify, jwks) =
            (config.verify_endpoint().expect("valid"), config.jwks_endpoint().expect("valid"));
        (verify.expect("set").into(), jwks.expect("set").into())
    }

    #[test]
    fn the_servers_url_gets_its_version_once_and_keeps_its_path() {
        for base in ["https://h/oauth", "https://h/oauth/", "https://h/oauth/v1", "https://h/oauth/v1/"] {
            let (verify, jwks) = endpoints(base);
            assert_eq!(verify, "https://h/oauth/v1/verify");
            assert_eq!(jwks, "https://h/oauth/v1/jwks");
        }
        assert_eq!(endpoints("http://h").0, "http://h/v1/verify");
    }

    #[test]
    fn seconds_may_have_a_fraction_and_are_never_negative() {
        let timeout =
            |value| config(&json!({"request_timeout_seconds": value})).map(|config| config.request_timeout);
        assert_eq!(timeout(json!(0.25)).expect("valid"), Duration::from_millis(250));
        assert_eq!(timeout(json!(7)).expect("valid"), Duration::from_secs(7));
        assert!(timeout(json!(-1)).is_err());
        assert!(timeout(json!("7")).is_err());
    }

    #[test]
    fn a_key_is_a_table_or_json_text() {
        let key = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let read = |value| config(&json!({"primary_jwk": value})).map(|config| config.primary_jwk);
        assert_eq!(read(key.clone()).expect("a table"), read(json!(key.to_string())).expect("a text"));
        assert!(read(json!(7)).is_err());
        let error = read(json!({"kty": "oct"})).expect_err("no public key").to_string();
        assert!(error.contains("oct"), "{error}");
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_field() {
        let refused = |members| {
            let config = config(&members).expect("well formed");
            config.check().and_then(|()| config.verify_endpoint()).expect_err("refused").to_string()
        };
        assert!(refused(json!({})).contains("server_url"));
        assert!(refused(json!({"server_url": "https://h", "issuers": []})).contains("issuers"));
        assert!(
            refused(json!({"server_url": "https://h", "account_domain": "a@b"})).contains("account_domain")
        );
        assert!(refused(json!({"server_url": "https://h", "max_in_flight": 0})).contains("max_in_flight"));
        assert!(refused(json!({"server_url": "ftp://h"})).contains("server_url"));
        assert!(refused(json!({"server_url": "https://user:secret@h"})).contains("credentials"));
        assert!(config(&json!({"unheard_of": 1})).is_err());
    }
}
