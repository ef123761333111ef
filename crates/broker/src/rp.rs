//! A relying party: who it is, what it wants to hear, how it is told.

mod client_id;
mod config;
mod fresh_secret;
mod secret;
mod secret_rules;
mod status;

pub use client_id::{ClientId, InvalidClientId};
pub use config::{Config, Format, InvalidConfig, SigningAlgorithm, Stream, Vocabulary};
pub(crate) use fresh_secret::{CheckWith, FreshSecret};
pub use secret::{OauthClient, Secret, Secrets};
pub(crate) use secret_rules::webhook_key;
pub use status::Status;

use crate::EventType;
use account::{IdpId, Millis};

/// A relying party as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct RelyingParty {
    /// Its OAuth client id: who it is, and the audience of its tokens.
    pub client_id: ClientId,
    /// What may be shown.
    pub config: Config,
    /// What may not.
    pub secrets: Secrets,
    /// Whether it is told now.
    pub status: Status,
    /// Since when it has that status.
    pub status_at: Millis,
}

impl RelyingParty {
    /// Whether it wants to hear of such events. Those about its stream always reach it.
    pub fn wants(&self, event_type: EventType) -> bool {
        event_type.is_control()
            || self
                .config
                .events
                .as_ref()
                .map_or(!event_type.must_be_listed(), |wanted| wanted.contains(&event_type))
    }

    /// Whether it hears of accounts of that identity provider at all.
    pub fn trusts(&self, idp: &IdpId) -> bool {
        self.config.idp.as_ref().is_none_or(|only| only == idp)
    }

    /// Whether there is a way to tell it.
    pub fn has_endpoint(&self) -> bool {
        self.config.webhook.is_some() || self.config.format == Format::Poll
    }

    /// Whether it is told by sending.
    pub(crate) fn has_webhook(&self) -> bool {
        self.config.webhook.is_some() && self.config.format != Format::Poll
    }

    /// Whether its deliveries are sent now: it is enabled and is told by sending.
    pub fn is_sent_to(&self) -> bool {
        self.status == Status::Enabled && self.has_webhook()
    }
}
