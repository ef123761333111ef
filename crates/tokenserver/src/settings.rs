mod new_users;
mod services;

pub use new_users::NewUserSettings;
pub(crate) use services::Served;
pub use services::ServiceSettings;

use crate::rules::{InvalidNodeUrl, InvalidPattern, InvalidServiceName};
use crate::{Policy, Secret, Shedding};
use serde::Deserialize;
use std::time::Duration;

/// The Tokenserver's section of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The secret that service nodes share with this server: tokens are signed and keys derived under it. Raw text.
    pub master_secret: Secret,
    /// Further secrets that service nodes know: those that are to sign, and those that did. Raw text.
    pub secrets: Vec<Secret>,
    /// The secret that hashed account ids in tokens, answers and logs are made under. Raw text.
    pub metrics_hash_secret: Secret,
    /// How long a token counts, in seconds, unless the client asks for less.
    pub token_duration_seconds: u64,
    /// Whether users that were never here are taken.
    pub allow_new_users: bool,
    /// A node to add at start when it is not there yet.
    pub init_node_url: Option<String>,
    /// How many users that node can hold.
    pub init_node_capacity: i32,
    /// Which node a user goes to who has none: the `least_loaded`, or the one that the user's bucket is on (`bucketed`).
    pub allocation: Policy,
    /// Which part of a full node's capacity is opened at a time, from above 0 to 1.
    pub node_capacity_release_rate: f64,
    /// What clients are told their node runs on: telemetry only.
    pub node_type: String,
    /// Assigns everybody to the node of this id, whatever its load.
    pub spanner_node_id: Option<i64>,
    /// How long a change may take, in milliseconds, before the client is asked to come again. None: as long as the
    /// store takes.
    pub change_timeout_ms: Option<u64>,
    /// Where `/` leads.
    pub documentation_url: String,
    /// What holds back new users.
    pub new_users: NewUserSettings,
    /// What is asked of clients, unless an operator asks for something else (`highwater shed`).
    pub shedding: Shedding,
    /// The services; the field's one, `sync` in version `1.5`, when there is none.
    pub services: Vec<ServiceSettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            master_secret: Secret::default(),
            secrets: Vec::new(),
            metrics_hash_secret: Secret::default(),
            token_duration_seconds: 3600,
            allow_new_users: true,
            init_node_url: None,
            init_node_capacity: 100_000,
            allocation: Policy::LeastLoaded,
            node_capacity_release_rate: 0.1,
            node_type: "spanner".to_owned(),
            spanner_node_id: None,
            change_timeout_ms: None,
            documentation_url: "https://mozilla-services.github.io/syncstorage-rs/".to_owned(),
            new_users: NewUserSettings::default(),
            shedding: Shedding::default(),
            services: Vec::new(),
        }
    }
}

/// Settings that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// Tokens signed under an empty secret could be made by anybody.
    #[error(
        "master_secret is empty, or a secret of a service; set it to the secret that the service nodes have"
    )]
    NoMasterSecret,
    /// A rate that opens nothing, or more than there is.
    #[error("node_capacity_release_rate is {rate}; it must be above 0 and at most 1")]
    ReleaseRate {
        /// As given.
        rate: String,
    },
    /// The node to begin with is none.
    #[error("init_node_url: {0}")]
    InitNode(#[from] InvalidNodeUrl),
    /// A capacity below zero.
    #[error("init_node_capacity is {capacity}; it cannot be negative")]
    InitNodeCapacity {
        /// As given.
        capacity: i32,
    },
    /// A service that cannot be called so.
    #[error(transparent)]
    ServiceName(#[from] InvalidServiceName),
    /// No pattern of endpoints.
    #[error(transparent)]
    Pattern(#[from] InvalidPattern),
    /// Two sections for one service.
    #[error("there are two sections for the service {service}")]
    Twice {
        /// Which.
        service: String,
    },
    /// More services than can be told apart.
    #[error("there are {count} services; at most 64 are served")]
    TooManyServices {
        /// How many.
        count: usize,
    },
    /// A node's id, and several services it may be of.
    #[error(
        "spanner_node_id is a node of one service; with several services say it in the section of that one"
    )]
    WhoseNode,
    /// More than all of them.
    #[error("shedding.refuse_percent is {percent}; it can be 100 at most")]
    RefusePercent {
        /// As given.
        percent: u8,
    },
    /// A place to lead to that no header can carry.
    #[error("documentation_url has characters that no header can carry")]
    DocumentationUrl,
    /// Nothing can be sent to nodes.
    #[error("nodes cannot be talked to: {reason}")]
    Client {
        /// What is the matter.
        reason: String,
    },
}

impl Settings {
    /// Whether they can work; the first thing that is wrong otherwise.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        let rate = self.node_capacity_release_rate;
        if !(rate > 0.0 && rate <= 1.0) {
            return Err(InvalidSettings::ReleaseRate { rate: rate.to_string() });
        }
        if http::HeaderValue::from_str(&self.documentation_url).is_err() {
            return Err(InvalidSettings::DocumentationUrl);
        }
        if self.shedding.refuse_percent > 100 {
            return Err(InvalidSettings::RefusePercent { percent: self.shedding.refuse_percent });
        }
        for service in self.served()? {
            if service.secrets.is_empty() || service.secrets.iter().any(Secret::is_empty) {
                return Err(InvalidSettings::NoMasterSecret);
            }
        }
        Ok(())
    }

    pub(crate) fn change_timeout(&self) -> Option<Duration> {
        self.change_timeout_ms.map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn working() -> Settings {
        Settings { master_secret: Secret::new("s"), ..Settings::default() }
    }

    #[test]
    fn the_defaults_need_nothing_but_a_secret() {
        assert_eq!(working().check(), Ok(()));
        assert_eq!(Settings::default().check(), Err(InvalidSettings::NoMasterSecret));
    }

    #[test]
    fn what_cannot_work_is_told_at_start() {
        for rate in [0.0, -0.1, 1.1, f64::NAN] {
            let odd = Settings { node_capacity_release_rate: rate, ..working() };
            assert!(matches!(odd.check(), Err(InvalidSettings::ReleaseRate { .. })), "{rate}");
        }
        let odd = Settings { init_node_url: Some("ftp://host".to_owned()), ..working() };
        assert!(matches!(odd.check(), Err(InvalidSettings::InitNode(_))));
    }

    #[test]
    fn an_unknown_setting_is_an_error() {
        assert!(serde_json::from_str::<Settings>(r#"{"master_secert": "x"}"#).is_err());
    }
}
