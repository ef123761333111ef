use crate::sources::sqs;
use account::IdpId;
use serde::Deserialize;

/// How account events come in: the section `ingest`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `POST /1.0/webhooks/fxa/events`: `on`, `off`, or `metrics_only`. Served only when an identity provider has a
    /// `set_audience`.
    pub webhook: Webhook,
    /// `POST /events` (RFC 8935). Served only when an identity provider has a `set_audience`.
    pub push: bool,
    /// Amazon SQS queues.
    pub sqs: Vec<sqs::SqsSettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { webhook: Webhook::On, push: true, sqs: Vec::new() }
    }
}

/// What the webhook of Mozilla accounts does with events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Webhook {
    /// Takes them in.
    #[default]
    On,
    /// Checks and counts them, and does nothing about them.
    MetricsOnly,
    /// There is none.
    Off,
}

/// Settings that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// A queue's own.
    #[error("queue {name}: {error}")]
    Sqs {
        /// Which queue.
        name: String,
        /// What is wrong.
        error: sqs::InvalidSettings,
    },
    /// A queue speaks for an identity provider that is not configured.
    #[error("queue {name}: no identity provider has the id {idp:?}")]
    UnknownIdp {
        /// Which queue.
        name: String,
        /// The id.
        idp: IdpId,
    },
    /// Two sources of one name, or one that is taken.
    #[error("the name {0:?} is taken; each queue needs a `name` of its own")]
    Name(String),
}
