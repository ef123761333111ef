use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// Whether a relying party is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Status {
    /// It is told.
    #[default]
    Enabled,
    /// Its deliveries are held, in their order, until it is resumed.
    Paused,
    /// What concerns it is discarded until it is enabled again.
    Disabled {
        /// Why, in words for operators: `gone`, `failing`, or what an operator gave.
        reason: String,
    },
}

impl Status {
    /// As kept in the store.
    pub const fn code(&self) -> i64 {
        match self {
            Self::Enabled => 0,
            Self::Paused => 1,
            Self::Disabled { .. } => 2,
        }
    }

    /// From the store. An unknown code holds deliveries back: nothing is lost by it.
    pub fn from_code(code: i64, reason: Option<&str>) -> Self {
        match code {
            0 => Self::Enabled,
            2 => Self::Disabled { reason: reason.unwrap_or_default().to_owned() },
            _ => Self::Paused,
        }
    }

    /// The word for it, as streams have it (SSF 1.0 section 8.1.2).
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Paused => "paused",
            Self::Disabled { .. } => "disabled",
        }
    }

    /// Why it is disabled.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Disabled { reason } => Some(reason),
            Self::Enabled | Self::Paused => None,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
