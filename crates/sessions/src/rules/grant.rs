use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// How a grant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GrantState {
    /// It is refreshed.
    Live,
    /// Its refresh token was presented and what came of it is not known.
    Suspect,
    /// Its refresh token is presented no more; its sessions live as long as they would have.
    Retired,
    /// It and its sessions have ended.
    Ended,
}

impl GrantState {
    /// As its row has it.
    pub const fn code(self) -> i64 {
        match self {
            Self::Live => 0,
            Self::Suspect => 1,
            Self::Retired => 2,
            Self::Ended => 3,
        }
    }

    /// From a row. What is unknown has ended: nothing is presented for it.
    pub const fn from_code(code: i64) -> Self {
        match code {
            0 => Self::Live,
            1 => Self::Suspect,
            2 => Self::Retired,
            _ => Self::Ended,
        }
    }

    /// Its name, on the wire and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Suspect => "suspect",
            Self::Retired => "retired",
            Self::Ended => "ended",
        }
    }
}

/// Why a session or a grant has ended, or a grant is refreshed no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The user signed out, or the service ended it.
    SignedOut,
    /// An operator ended it.
    Operator,
    /// Its time was over.
    Expired,
    /// The identity provider says that the grant is no more (RFC 6749 section 5.2, `invalid_grant`).
    RefusedByIdp,
    /// The identity provider signed the user out (OIDC Back-Channel Logout).
    BackChannelLogout,
    /// The password was changed.
    PasswordChange,
    /// The password was reset.
    PasswordReset,
    /// The user signed out everywhere.
    SignOutEverywhere,
    /// The account was disabled.
    Disabled,
    /// The account was deleted.
    Deleted,
    /// The refresh token was presented, no answer came, and presenting it again could end the whole family.
    LostReply,
    /// What the identity provider answered is somebody else's: another issuer, subject or audience.
    Mismatch,
    /// There is no refresh token.
    NoRefreshToken,
    /// Something happened to the account since the login; what, is not said here.
    AccountChanged,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 14] = [
        Self::SignedOut,
        Self::Operator,
        Self::Expired,
        Self::RefusedByIdp,
        Self::BackChannelLogout,
        Self::PasswordChange,
        Self::PasswordReset,
        Self::SignOutEverywhere,
        Self::Disabled,
        Self::Deleted,
        Self::LostReply,
        Self::Mismatch,
        Self::NoRefreshToken,
        Self::AccountChanged,
    ];

    /// Its name: in rows, on the wire, in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::Operator => "operator",
            Self::Expired => "expired",
            Self::RefusedByIdp => "refused_by_idp",
            Self::BackChannelLogout => "back_channel_logout",
            Self::PasswordChange => "password_change",
            Self::PasswordReset => "password_reset",
            Self::SignOutEverywhere => "sign_out_everywhere",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
            Self::LostReply => "lost_reply",
            Self::Mismatch => "mismatch",
            Self::NoRefreshToken => "no_refresh_token",
            Self::AccountChanged => "account_changed",
        }
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
