use crate::adapters::Proxy;
use account::IdpId;
use idp::Idps;
use outbound::Url;
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;
use verify::{InvalidPolicy, Policy, PolicyConfig};

/// The section `bearer`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Which proxy `/verify` itself answers; each has a route of its own besides, `/verify/nginx` and so on.
    pub proxy: Proxy,
    /// What each route behind the proxies needs of a token. What no route is for, nobody may use.
    pub policy: PolicyConfig,
    /// Accounts that are created at their first use. Without it nobody has one, and nobody needs one.
    pub accounts: Option<AccountSettings>,
    /// What several nodes remember together. Without it each remembers by itself.
    pub shared: Option<shared::Settings>,
}

/// How accounts come to be here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountSettings {
    /// The scope that a token must grant to create one.
    pub scope: String,
    /// Where the identity provider tells an account's profile, by the account's own token: e-mail address and locale.
    pub profile_url: String,
    /// How long that may take, in seconds; 10.
    #[serde(default = "ten")]
    pub profile_timeout_seconds: u32,
    /// Whether requests through a proxy need an account here; true.
    #[serde(default = "yes")]
    pub required: bool,
}

const fn ten() -> u32 {
    10
}

const fn yes() -> bool {
    true
}

impl Default for Settings {
    fn default() -> Self {
        Self { proxy: Proxy::Nginx, policy: PolicyConfig::default(), accounts: None, shared: None }
    }
}

/// Settings that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// Something is wrong with the policy.
    #[error("policy.{0}")]
    Policy(#[from] InvalidPolicy),
    /// A scope that no challenge can carry.
    #[error("accounts.scope is {scope:?}; it must be printable ASCII without spaces, quotes and backslashes")]
    Scope {
        /// As given.
        scope: String,
    },
    /// An identity provider that is not configured.
    #[error(
        "policy.after_change names the identity provider {idp}, which is not configured; there are: {known}"
    )]
    UnknownIdp {
        /// As given.
        idp: IdpId,
        /// Those that are.
        known: String,
    },
    /// A URL that leads nowhere.
    #[error("accounts.profile_url must be a http or https URL without credentials")]
    ProfileUrl,
    /// No time at all.
    #[error("accounts.profile_timeout_seconds must be above zero")]
    ProfileTimeout,
    /// Something is wrong with what nodes share.
    #[error("shared.{0}")]
    Shared(#[from] shared::InvalidSettings),
    /// The HTTP client cannot be built.
    #[error("accounts.profile_url: {0}")]
    Client(String),
}

impl Settings {
    /// Relative paths are relative to this folder.
    pub fn settle_paths(&mut self, folder: &Path) {
        if let Some(shared) = &mut self.shared {
            shared.settle_paths(folder);
        }
    }

    /// The policy, if all of them can work; the first thing that is wrong otherwise.
    pub fn check(&self, idps: &Idps) -> Result<Policy, InvalidSettings> {
        if let Some(idp) = self.policy.after_change.keys().find(|idp| idps.by_id(idp).is_none()) {
            let known: Vec<&str> = idps.iter().map(|idp| idp.id().as_str()).collect();
            return Err(InvalidSettings::UnknownIdp { idp: idp.clone(), known: known.join(", ") });
        }
        self.accounts.as_ref().map_or(Ok(()), AccountSettings::check)?;
        self.shared.as_ref().map_or(Ok(()), shared::Settings::check)?;
        Ok(Policy::new(&self.policy)?)
    }
}

impl AccountSettings {
    fn check(&self) -> Result<(), InvalidSettings> {
        // RFC 6749 section 3.3, `scope-token`.
        let good = |byte: u8| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
        if self.scope.is_empty() || !self.scope.bytes().all(good) {
            return Err(InvalidSettings::Scope { scope: self.scope.clone() });
        }
        if self.profile_timeout_seconds == 0 {
            return Err(InvalidSettings::ProfileTimeout);
        }
        self.profile_url().map(drop)
    }

    pub(crate) fn profile_url(&self) -> Result<Url, InvalidSettings> {
        let plain = |url: &Url| {
            matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
        };
        Url::parse(&self.profile_url).ok().filter(plain).ok_or(InvalidSettings::ProfileUrl)
    }

    pub(crate) fn profile_timeout(&self) -> Duration {
        Duration::from_secs(self.profile_timeout_seconds.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use idp::IdpConfig;
    use serde_json::{Value, json};

    fn checked(given: Value) -> Result<(), String> {
        let mut config = IdpConfig::new(IdpId::new("fxa").expect("valid"), "https://a.example", "a.example");
        config.server_url = Some("https://a.example".to_owned());
        let idps = Idps::new(&[config]).expect("valid");
        let settings: Settings = serde_json::from_value(given).map_err(|error| error.to_string())?;
        settings.check(&idps).map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_work() {
        assert_eq!(checked(json!({})), Ok(()));
        let accounts = json!({ "scope": "https://identity.mozilla.com/apps/relay", "profile_url": "https://p.example/v1/profile" });
        let policy = json!({ "after_change": { "fxa": "reject" }, "routes": [{ "path": "/{*any}" }] });
        assert_eq!(checked(json!({ "proxy": "caddy", "accounts": accounts, "policy": policy })), Ok(()));
    }

    #[test]
    fn what_cannot_work_is_told_at_start_with_its_name() {
        let accounts = |scope: &str, url: &str, seconds: u32| json!({ "accounts": { "scope": scope, "profile_url": url, "profile_timeout_seconds": seconds } });
        for (given, field) in [
            (json!({ "policy": { "realm": "a\"b" } }), "realm"),
            (
                json!({ "policy": { "routes": [{ "path": "/", "scopes": ["a b"] }] } }),
                "policy.routes[0].scopes",
            ),
            (json!({ "proxy": "apache" }), "apache"),
            (json!({ "policy": { "after_change": { "other": "reject" } } }), "other"),
            (json!({ "policy": { "after_change": { "fxa": "accept" } } }), "accept"),
            (accounts("a\\b", "https://p", 1), "accounts.scope"),
            (accounts("s", "ftp://p", 1), "profile_url"),
            (accounts("s", "https://u:p@h", 1), "profile_url"),
            (accounts("s", "https://h", 0), "profile_timeout_seconds"),
            (json!({ "prxy": "nginx" }), "prxy"),
            (json!({ "shared": { "url": "http://h", "secrets": [] } }), "shared.url"),
        ] {
            let error = checked(given.clone()).expect_err(field);
            assert!(error.contains(field), "{given}: {error}");
        }
    }
}
