//! Asking who a user is.

use crate::rules::Look;
use account::{AccountId, Millis};
use std::time::Duration;

/// A user to ask about, and by what right.
#[derive(Clone, Copy)]
pub struct UserAsk<'a> {
    /// Whom: what comes back must be of the same.
    pub account: &'a AccountId,
    /// An access token of theirs.
    pub access_token: &'a str,
    /// The key that it is bound to, if it is; a private JWK.
    pub dpop_key: Option<&'a str>,
    /// When the caller's tick began.
    pub now: Millis,
}

/// Why nothing is told of a user. It says nothing of any grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserTrouble {
    /// The identity provider tells nothing of anybody, or there is nothing to ask by.
    Nothing,
    /// It does not take the access token (401).
    Refused,
    /// It was not asked, so as not to be a burden.
    NotAsked {
        /// When it may be.
        retry_after: Duration,
    },
    /// It did not tell, or what it told cannot be used.
    Failed {
        /// Of what kind, for metrics.
        name: &'static str,
        /// For how long it wants to be left alone.
        retry_after: Option<Duration>,
        /// In words, with nothing secret in them.
        text: String,
    },
}

impl UserTrouble {
    /// Its name, in metrics.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Refused => "token_refused",
            Self::NotAsked { .. } => "held_back",
            Self::Failed { name, .. } => name,
        }
    }

    /// What it means for the next look.
    pub(crate) const fn look(&self) -> Look {
        match self {
            Self::Nothing => Look::Nothing,
            Self::Refused => Look::Refused,
            Self::NotAsked { retry_after } => Look::NotAsked { retry_after: Some(*retry_after) },
            Self::Failed { retry_after, .. } => Look::Failed { retry_after: *retry_after },
        }
    }

    /// What is kept of it: what is no trouble is not.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Nothing | Self::NotAsked { .. } => None,
            Self::Refused => Some("userinfo does not take the access token"),
            Self::Failed { text, .. } => Some(text),
        }
    }
}
