use super::Secrets;
use crate::{EventType, RetryPolicy};
use account::{IdpId, Millis};
use jose::Algorithm;
use outbound::Reach;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;
use url::Url;
use utoipa::ToSchema;

const MOST_CAPABILITIES: usize = 1_000;
const LONGEST_NAME: usize = 200;
const LONGEST_URL: usize = 2_000;

/// How a relying party gets its tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// As fxa-event-broker sends them: a POST without a body, the token as `Authorization: Bearer`.
    #[default]
    FxaHeader,
    /// Pushed as a body of `application/secevent+jwt` (RFC 8935).
    Push,
    /// It asks for them (RFC 8936).
    Poll,
    /// Standard Webhooks 1.0, signed with HMAC-SHA-256.
    WebhookHmac,
    /// Standard Webhooks 1.0, signed with Ed25519.
    WebhookEd25519,
}

impl Format {
    /// Whether what is sent is a token: the formats of Standard Webhooks sign the body another way.
    pub const fn is_token(self) -> bool {
        matches!(self, Self::FxaHeader | Self::Push | Self::Poll)
    }
}

/// In which words a relying party is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Vocabulary {
    /// Mozilla accounts' own events.
    #[default]
    Fxa,
    /// The events of CAEP and RISC.
    Ssf,
}

/// With which algorithm its tokens are signed.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[expect(missing_docs, reason = "each is the algorithm of that name in RFC 7518 and RFC 8037")]
pub enum SigningAlgorithm {
    #[default]
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl SigningAlgorithm {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];
}

impl From<SigningAlgorithm> for Algorithm {
    fn from(algorithm: SigningAlgorithm) -> Self {
        match algorithm {
            SigningAlgorithm::Rs256 => Self::Rs256,
            SigningAlgorithm::Es256 => Self::Es256,
            SigningAlgorithm::EdDsa => Self::EdDsa,
        }
    }
}

/// The stream that a relying party made for itself (SSF 1.0 section 8.1.1). What it asked for is in the [`Config`];
/// here is the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// Its id.
    pub id: String,
    /// What the relying party calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The events it asked for, as it wrote them: also those that are not known here.
    pub events_requested: Vec<String>,
    /// When it was made.
    #[schema(value_type = i64)]
    pub created_at: Millis,
}

/// All of a relying party that may be shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "switches as an operator sets them, each by its name")]
pub struct Config {
    /// What people call it.
    pub name: String,
    /// The identity provider whose accounts concern it; absent: every one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub idp: Option<IdpId>,
    /// Where it is told: `https`, or `http` where private addresses are allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
    /// How it gets its tokens.
    pub format: Format,
    /// Writes `typ: secevent+jwt` into tokens of the FxA format too, which has none by custom.
    pub explicit_type: bool,
    /// In which words it is told.
    pub vocabulary: Vocabulary,
    /// The events it wants; absent: all of its vocabulary that need not be listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub events: Option<BTreeSet<EventType>>,
    /// The capabilities of subscriptions that concern it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// A resource server: it is told of every account, not only of those who logged in to it.
    pub resource_server: bool,
    /// With which algorithm its tokens are signed.
    pub algorithm: SigningAlgorithm,
    /// The most deliveries under way to it at once; 1 to 1000.
    pub concurrency: u32,
    /// The most deliveries begun a second; absent: no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// When a failed delivery is tried again.
    pub retry: RetryPolicy,
    /// Seconds a whole exchange may take; 1 to 30.
    pub deadline_seconds: u32,
    /// The certificate authorities that are believed at its webhook instead of the system's: PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_authorities: Option<String>,
    /// Allows private addresses, and plain `http`.
    pub allow_private: bool,
    /// Undelivered profile changes of one account are told as one.
    pub coalesce: bool,
    /// The stream it made for itself, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<Stream>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: String::new(),
            idp: None,
            webhook: None,
            format: Format::default(),
            explicit_type: false,
            vocabulary: Vocabulary::default(),
            events: None,
            capabilities: Vec::new(),
            resource_server: false,
            algorithm: SigningAlgorithm::default(),
            concurrency: 32,
            rate: None,
            retry: RetryPolicy::default(),
            deadline_seconds: 15,
            certificate_authorities: None,
            allow_private: false,
            coalesce: false,
            stream: None,
        }
    }
}

/// A relying party that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidConfig(pub(crate) String);

impl Config {
    /// Whether it can be: bounds, and settings that do not go together.
    pub fn check(&self, secrets: &Secrets) -> Result<(), InvalidConfig> {
        let no = |why: String| Err(InvalidConfig(why));
        if self.name.len() > LONGEST_NAME || self.name.chars().any(char::is_control) {
            return no(format!("the name is over {LONGEST_NAME} bytes or has a control character"));
        }
        if self.capabilities.len() > MOST_CAPABILITIES
            || self.capabilities.iter().any(|it| it.is_empty() || it.len() > LONGEST_NAME)
        {
            return no(format!(
                "there are over {MOST_CAPABILITIES} capabilities, or one is empty or over {LONGEST_NAME} bytes"
            ));
        }
        if !(1..=1000).contains(&self.concurrency) || self.rate == Some(0) {
            return no("concurrency is from 1 to 1000, and a rate is at least 1".into());
        }
        if !(1..=30).contains(&self.deadline_seconds) {
            return no(format!("deadline_seconds is {}; it is from 1 to 30", self.deadline_seconds));
        }
        if let Some(events) = &self.events
            && let Some(control) = events.iter().find(|it| it.is_control())
        {
            return no(format!("{control} goes out by itself; it cannot be listed"));
        }
        self.retry.check()?;
        self.check_webhook()?;
        super::secret_rules::check(self, secrets)
    }

    /// Where it is told, parsed.
    pub fn webhook_url(&self) -> Option<Url> {
        self.webhook.as_deref().and_then(|text| text.parse().ok())
    }

    /// How long a whole exchange with it may take.
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(u64::from(self.deadline_seconds))
    }

    fn check_webhook(&self) -> Result<(), InvalidConfig> {
        self.webhook.as_ref().map_or(Ok(()), |text| self.check_url("webhook", text))
    }

    /// Whether it may be sent there.
    pub(super) fn check_url(&self, what: &str, text: &str) -> Result<(), InvalidConfig> {
        let no = |why: &str| Err(InvalidConfig(format!("the {what} {why}")));
        let Ok(url) = text.parse::<Url>() else { return no("is no URL") };
        match url.scheme() {
            _ if text.len() > LONGEST_URL => no("is over 2000 characters long"),
            _ if !url.username().is_empty() || url.password().is_some() => {
                no("has credentials in it; give them as `authorization`")
            }
            _ if url.fragment().is_some() => no("has a fragment, which is never sent"),
            "https" if !self.allow_private && Reach::Public.refuses_literal(&url) => {
                no("is an address of no public network; private ones must be allowed")
            }
            "https" if url.has_host() => Ok(()),
            "http" if self.allow_private && url.has_host() => Ok(()),
            "http" => no("is plain http; that is for private addresses, which must be allowed"),
            _ => no("is reached by https alone"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(change: impl FnOnce(&mut Config)) -> Result<(), String> {
        let mut config = Config { webhook: Some("https://rp.example/hook".into()), ..Config::default() };
        change(&mut config);
        config.check(&Secrets::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_webhook_is_https_without_credentials() {
        let with = |url: &str| verdict(|config| config.webhook = Some(url.into()));
        assert_eq!(with("https://rp.example/"), Ok(()));
        for odd in [
            "http://rp.example/",
            "ftp://rp.example/",
            "rp.example",
            "https://u:p@rp.example/",
            "https://a/#b",
            "https://127.0.0.1/",
            "https://[::ffff:10.0.0.1]/",
            "https://2852039166/",
        ] {
            assert!(with(odd).is_err(), "{odd}");
        }
        assert_eq!(
            verdict(
                |config| (config.webhook, config.allow_private) = (Some("http://127.0.0.1/".into()), true)
            ),
            Ok(())
        );
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        assert!(verdict(|config| config.concurrency = 0).is_err());
        assert!(verdict(|config| config.rate = Some(0)).is_err());
        assert!(verdict(|config| config.deadline_seconds = 31).is_err());
        assert!(verdict(|config| config.capabilities = vec!["x".into(); 1_001]).is_err());
        assert!(verdict(|config| config.capabilities = vec![String::new()]).is_err());
        assert!(verdict(|config| config.events = Some([EventType::Verification].into())).is_err());
        assert!(verdict(|config| config.name = "a\u{7}".into()).is_err());
    }

    #[test]
    fn a_config_survives_its_json_and_an_unknown_member_is_told() {
        let config = Config { events: Some([EventType::DeleteUser].into()), ..Config::default() };
        let json = serde_json::to_string(&config).expect("JSON");
        assert_eq!(serde_json::from_str::<Config>(&json).expect("its own"), config);
        let typo = serde_json::from_str::<Config>(r#"{"webhok":"x"}"#).expect_err("no such member");
        assert!(typo.to_string().contains("webhok"));
    }
}
