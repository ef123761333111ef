use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;
use verify::SharedSecret;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The section `bearer.shared`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The server: `redis://host:port`, or `rediss://host:port` for TLS; of a cluster, one of its nodes.
    pub url: String,
    /// Of a cluster, other nodes to ask at the start.
    #[serde(default)]
    pub other_urls: Vec<String>,
    /// Whether it is a cluster.
    #[serde(default)]
    pub cluster: bool,
    /// Who we are there.
    pub user: Option<String>,
    /// What proves it.
    pub password: Option<Password>,
    /// The secrets that names are hashed and values are sealed under: 32 bytes each, base64url without padding. It is written
    /// under the first and read under all.
    pub secrets: Vec<Secret>,
    /// A file with the authorities that are believed there instead of the system's, PEM.
    pub certificate_authorities: Option<PathBuf>,
    /// How long a connection may take, in milliseconds; 1000. No check waits for it.
    #[serde(default = "a_second")]
    pub connect_timeout_ms: u32,
    /// How long an answer may take, in milliseconds; 50. So long does a check wait at most before it goes on without.
    #[serde(default = "a_moment")]
    pub response_timeout_ms: u32,
}

const fn a_second() -> u32 {
    1000
}

const fn a_moment() -> u32 {
    50
}

/// A password. Redacted and zeroised.
#[derive(Clone, PartialEq, Eq, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct Password(String);

/// A secret that names are hashed and values are sealed under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret(SharedSecret);

/// Settings that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// A URL that leads to no server.
    #[error(
        "{field} is {url:?}; it must be redis://host:port, or rediss://host:port for TLS, without credentials: those are user and password"
    )]
    Url {
        /// Which setting.
        field: &'static str,
        /// As given.
        url: String,
    },
    /// No secret at all.
    #[error("secrets is empty; at least one is needed, the same on every node")]
    NoSecret,
    /// No time at all.
    #[error("{0} must be above zero")]
    NoTime(&'static str),
    /// What only a cluster has.
    #[error("{0}")]
    Cluster(&'static str),
    /// A user without a password.
    #[error("user is set, and password is not")]
    NoPassword,
    /// A file that cannot be read.
    #[error("certificate_authorities: {}: {detail}", path.display())]
    Authorities {
        /// Which.
        path: PathBuf,
        /// Why.
        detail: String,
    },
}

impl Settings {
    /// The first thing that cannot work.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        let urls =
            [("url", &self.url)].into_iter().chain(self.other_urls.iter().map(|it| ("other_urls", it)));
        for (field, url) in urls {
            if !is_server(url) {
                return Err(InvalidSettings::Url { field, url: without_credentials(url) });
            }
        }
        if !self.cluster && !self.other_urls.is_empty() {
            return Err(InvalidSettings::Cluster("other_urls are nodes of a cluster, and cluster is false"));
        }
        if self.secrets.is_empty() {
            return Err(InvalidSettings::NoSecret);
        }
        if self.user.is_some() && self.password.is_none() {
            return Err(InvalidSettings::NoPassword);
        }
        let times = [
            ("connect_timeout_ms", self.connect_timeout_ms),
            ("response_timeout_ms", self.response_timeout_ms),
        ];
        if let Some((field, _)) = times.into_iter().find(|(_, time)| *time == 0) {
            return Err(InvalidSettings::NoTime(field));
        }
        self.authorities().map(drop)
    }

    /// Relative paths are relative to this folder.
    pub fn settle_paths(&mut self, folder: &Path) {
        if let Some(path) = &mut self.certificate_authorities {
            *path = folder.join(&*path);
        }
    }

    /// The secret to write under, and the others.
    pub fn secrets(&self) -> Option<(SharedSecret, Vec<SharedSecret>)> {
        let (first, others) = self.secrets.split_first()?;
        Some((first.0.clone(), others.iter().map(|it| it.0.clone()).collect()))
    }

    /// The authorities' certificates, PEM, where they are not the system's.
    pub(crate) fn authorities(&self) -> Result<Option<Vec<u8>>, InvalidSettings> {
        let Some(path) = &self.certificate_authorities else { return Ok(None) };
        let wrong = |detail: String| InvalidSettings::Authorities { path: path.clone(), detail };
        let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        if pem.windows(27).any(|it| it == b"-----BEGIN CERTIFICATE-----") {
            Ok(Some(pem))
        } else {
            Err(wrong("there is no certificate in it".to_owned()))
        }
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms.into())
    }

    pub(crate) fn response_timeout(&self) -> Duration {
        Duration::from_millis(self.response_timeout_ms.into())
    }
}

fn is_server(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| {
        matches!(url.scheme(), "redis" | "rediss")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    })
}

/// As it may be shown: what stands before an @ may be secret.
fn without_credentials(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://…@{place}"),
        (None, Some((_, place))) => format!("…@{place}"),
        _ => url.to_owned(),
    }
}

impl Password {
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(redacted)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = URL_SAFE_NO_PAD.decode(text.trim()).ok().map(Zeroizing::new);
        let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
        let secret = bytes.map(SharedSecret::new).map(Self);
        secret.ok_or_else(|| serde::de::Error::custom("a secret is 32 bytes in base64url without padding"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn secret(byte: u8) -> String {
        URL_SAFE_NO_PAD.encode([byte; 32])
    }

    fn checked(change: &Value) -> Result<(), String> {
        let mut given = json!({ "url": "redis://127.0.0.1:6379", "secrets": [secret(1)] });
        given.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        let settings: Settings = serde_json::from_value(given).map_err(|error| error.to_string())?;
        settings.check().map_err(|error| error.to_string())
    }

    #[test]
    fn what_can_work_is_taken() {
        for change in [
            json!({}),
            json!({ "url": "rediss://redis.example:6380/2", "user": "highwater", "password": "p" }),
            json!({ "cluster": true, "other_urls": ["redis://b:6379", "redis://c:6379"] }),
            json!({ "secrets": [secret(1), secret(2)] }),
        ] {
            assert_eq!(checked(&change), Ok(()), "{change}");
        }
    }

    #[test]
    fn what_cannot_work_is_told_with_its_name_and_without_its_secrets() {
        for (change, told) in [
            (json!({ "url": "http://h" }), "url"),
            (json!({ "url": "redis://user:hush@h:6379" }), "…@h:6379"),
            (json!({ "url": "redis://h", "other_urls": ["redis://i"] }), "cluster"),
            (json!({ "other_urls": [""], "cluster": true }), "other_urls"),
            (json!({ "secrets": [] }), "secrets"),
            (json!({ "secrets": ["aHVzaA"] }), "32 bytes"),
            (json!({ "user": "u" }), "password"),
            (json!({ "connect_timeout_ms": 0 }), "connect_timeout_ms"),
            (json!({ "response_timeout_ms": 0 }), "response_timeout_ms"),
            (json!({ "certificate_authorities": "/nowhere" }), "/nowhere"),
            (json!({ "urll": "redis://h" }), "urll"),
        ] {
            let error = checked(&change).expect_err(told);
            assert!(error.contains(told) && !error.contains("hush"), "{change}: {error}");
        }
    }

    #[test]
    fn secrets_are_never_shown() {
        let given = json!({ "url": "redis://h", "secrets": [secret(1)], "password": "hush" });
        let shown = format!("{:?}", serde_json::from_value::<Settings>(given).expect("settings"));
        assert!(!shown.contains("hush") && !shown.contains(&secret(1)), "{shown}");
    }
}
