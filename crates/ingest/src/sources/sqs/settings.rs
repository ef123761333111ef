use account::IdpId;
use serde::Deserialize;
use std::fmt;
use std::num::NonZeroU8;
use url::Url;

/// How to reach a queue and how to read it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqsSettings {
    /// What the source is called: in the ledger, in metrics, in logs. At most 64 bytes.
    #[serde(default = "sqs")]
    pub name: String,
    /// The queue's URL; or `queue_name`.
    #[serde(default)]
    pub queue_url: Option<String>,
    /// The queue's name, from which the service tells the URL; or `queue_url`.
    #[serde(default)]
    pub queue_name: Option<String>,
    /// The region. Otherwise the one in the queue's URL; otherwise what the environment, the profile or the instance
    /// say, in that order.
    #[serde(default)]
    pub region: Option<String>,
    /// The profile in the AWS configuration files to take region and credentials from.
    #[serde(default)]
    pub profile: Option<String>,
    /// Where the service is; otherwise the queue URL's own host, otherwise Amazon's for the region.
    #[serde(default)]
    pub endpoint_url: Option<String>,
    /// An access key, for servers that want none but some. On AWS leave it out: the environment, the profile, the
    /// container or the instance have better ones.
    #[serde(default)]
    pub access_key_id: Option<String>,
    /// The secret that goes with it.
    #[serde(default)]
    pub secret_access_key: Option<AccessSecret>,
    /// How long the service may wait for a message, in seconds: 0 to 20.
    #[serde(default = "twenty")]
    pub wait_seconds: u8,
    /// How many receivers poll side by side.
    #[serde(default = "four")]
    pub receivers: NonZeroU8,
    /// For how long a message in hand is hidden from others, in seconds, 2 to 43200; extended while it takes longer.
    /// After a crash its messages come again after this time.
    #[serde(default = "thirty")]
    pub visibility_timeout_seconds: u16,
    /// The identity provider whose accounts the queue's events are about.
    pub idp: IdpId,
    /// Others it may also speak for, by their issuer or their account domain.
    #[serde(default)]
    pub also_idps: Vec<IdpId>,
}

/// A secret access key. Never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct AccessSecret(String);

impl AccessSecret {
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for AccessSecret {
    fn from(secret: &str) -> Self {
        Self(secret.to_owned())
    }
}

impl fmt::Debug for AccessSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessSecret(…)")
    }
}

/// Settings that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// None of the two, or both.
    #[error("set either queue_url or queue_name")]
    Queue,
    /// Not an absolute URL of HTTP.
    #[error("{member} {value:?} is no http or https URL")]
    Url {
        /// Which member.
        member: &'static str,
        /// Its value.
        value: String,
    },
    /// Amazon SQS waits no longer than 20 seconds.
    #[error("wait_seconds is {0}; 0 to 20 are possible")]
    Wait(u8),
    /// Amazon SQS hides no longer than 12 hours; below 2 seconds there is no time to extend it.
    #[error("visibility_timeout_seconds is {0}; 2 to 43200 are possible")]
    Visibility(u16),
    /// One without the other.
    #[error("access_key_id and secret_access_key go together")]
    Credentials,
}

impl SqsSettings {
    /// Whether they can be meant.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        if self.queue_url.is_some() == self.queue_name.is_some() {
            return Err(InvalidSettings::Queue);
        }
        for (member, url) in [("queue_url", &self.queue_url), ("endpoint_url", &self.endpoint_url)] {
            if let Some(value) = url.as_ref().filter(|url| http_url(url).is_none()) {
                return Err(InvalidSettings::Url { member, value: value.clone() });
            }
        }
        if self.wait_seconds > 20 {
            return Err(InvalidSettings::Wait(self.wait_seconds));
        }
        if !(2..=43_200).contains(&self.visibility_timeout_seconds) {
            return Err(InvalidSettings::Visibility(self.visibility_timeout_seconds));
        }
        if self.access_key_id.is_some() != self.secret_access_key.is_some() {
            return Err(InvalidSettings::Credentials);
        }
        Ok(())
    }

    /// The region that is set, or that stands in the queue's URL.
    pub(super) fn known_region(&self) -> Option<String> {
        let url = || http_url(self.queue_url.as_deref()?);
        self.region.clone().or_else(|| region_in(url()?.host_str()?).map(str::to_owned))
    }

    /// The endpoint that is set, or the queue URL's own origin: which is Amazon's as well, and the only right one for a
    /// private endpoint or a local server.
    pub(super) fn known_endpoint(&self) -> Option<String> {
        let origin = || Some(http_url(self.queue_url.as_deref()?)?.origin().ascii_serialization());
        self.endpoint_url.clone().or_else(origin)
    }
}

fn http_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// The region in a host of the service: `sqs.REGION.…`, or of old `REGION.queue.…` and `queue.amazonaws.com`.
fn region_in(host: &str) -> Option<&str> {
    let labels: Vec<&str> = host.split('.').collect();
    if labels == ["queue", "amazonaws", "com"] {
        return Some("us-east-1");
    }
    labels.windows(2).find_map(|pair| match pair {
        ["sqs" | "sqs-fips", region] | [region, "queue"] if region.contains('-') => Some(*region),
        _ => None,
    })
}

fn sqs() -> String {
    "sqs".into()
}

fn twenty() -> u8 {
    20
}

fn four() -> NonZeroU8 {
    const { NonZeroU8::new(4).expect("four is not zero") }
}

fn thirty() -> u16 {
    30
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[expect(clippy::needless_pass_by_value, reason = "written in place")]
    fn settings(extra: Value) -> SqsSettings {
        let mut all = json!({"idp": "fxa"});
        all.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        serde_json::from_value(all).expect("settings")
    }

    #[test]
    fn the_defaults_are_those_of_the_service() {
        let settings = settings(json!({"queue_name": "events"}));
        assert_eq!(settings.check(), Ok(()));
        assert_eq!((settings.wait_seconds, settings.visibility_timeout_seconds), (20, 30));
        assert_eq!((settings.name.as_str(), settings.receivers.get()), ("sqs", 4));
    }

    #[test]
    fn an_unknown_setting_is_an_error() {
        let misspelt = json!({"idp": "fxa", "queue": "events"});
        let error = serde_json::from_value::<SqsSettings>(misspelt).expect_err("misspelt").to_string();
        assert!(error.contains("unknown field `queue`"), "{error}");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let url = "https://sqs.eu-west-1.amazonaws.com/1/q";
        let table: &[(Value, InvalidSettings)] = &[
            (json!({}), InvalidSettings::Queue),
            (json!({"queue_url": url, "queue_name": "q"}), InvalidSettings::Queue),
            (json!({"queue_url": "q"}), InvalidSettings::Url { member: "queue_url", value: "q".into() }),
            (
                json!({"queue_name": "q", "endpoint_url": "ftp://x"}),
                InvalidSettings::Url { member: "endpoint_url", value: "ftp://x".into() },
            ),
            (json!({"queue_name": "q", "wait_seconds": 21}), InvalidSettings::Wait(21)),
            (json!({"queue_name": "q", "visibility_timeout_seconds": 1}), InvalidSettings::Visibility(1)),
            (
                json!({"queue_name": "q", "visibility_timeout_seconds": 43201}),
                InvalidSettings::Visibility(43_201),
            ),
            (json!({"queue_name": "q", "access_key_id": "k"}), InvalidSettings::Credentials),
        ];
        for (extra, expected) in table {
            assert_eq!(settings(extra.clone()).check(), Err(expected.clone()), "{extra}");
        }
    }

    #[test]
    fn the_region_is_the_one_that_is_set_or_the_one_in_the_url() {
        let region = |region: Option<&str>, url: &str| {
            settings(json!({"queue_url": url, "region": region})).known_region()
        };
        assert_eq!(
            region(Some("eu-north-1"), "https://sqs.eu-west-1.amazonaws.com/1/q"),
            Some("eu-north-1".into())
        );
        for (url, expected) in [
            ("https://sqs.eu-west-1.amazonaws.com/1/q", Some("eu-west-1")),
            ("https://sqs-fips.us-gov-west-1.amazonaws.com/1/q", Some("us-gov-west-1")),
            ("https://sqs.cn-north-1.amazonaws.com.cn/1/q", Some("cn-north-1")),
            ("https://vpce-1.sqs.us-east-2.vpce.amazonaws.com/1/q", Some("us-east-2")),
            ("https://eu-west-1.queue.amazonaws.com/1/q", Some("eu-west-1")),
            ("https://queue.amazonaws.com/1/q", Some("us-east-1")),
            ("http://127.0.0.1:4100/1/q", None),
            ("http://sqs.localhost:4100/1/q", None),
        ] {
            assert_eq!(region(None, url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn the_endpoint_is_the_one_that_is_set_or_the_queues_own() {
        let endpoint = |endpoint: Option<&str>, url: &str| {
            settings(json!({"queue_url": url, "endpoint_url": endpoint})).known_endpoint()
        };
        assert_eq!(endpoint(None, "http://127.0.0.1:4100/1/q").as_deref(), Some("http://127.0.0.1:4100"));
        assert_eq!(
            endpoint(Some("http://x"), "https://sqs.eu-west-1.amazonaws.com/1/q").as_deref(),
            Some("http://x")
        );
        assert_eq!(settings(json!({"queue_name": "q"})).known_endpoint(), None);
    }

    #[test]
    fn the_secret_is_never_shown() {
        let settings =
            settings(json!({"queue_name": "q", "access_key_id": "k", "secret_access_key": "hush"}));
        assert!(!format!("{settings:?}").contains("hush"));
    }
}
