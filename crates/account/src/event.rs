use crate::{AccountId, Millis, State};
use serde::{Deserialize, Serialize};

/// Something that happened to an account, as the rest of the house sees it, whichever source told of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountEvent {
    /// Whose account.
    pub account: AccountId,
    /// When it changed, by its source: `generation`, else `timestamp`, else `⌊ts · 1000⌋`. `None` when the source
    /// gave no time at all; the ledger then takes the time of receipt.
    pub at: Option<Millis>,
    /// What happened.
    pub change: Change,
}

/// What can happen to an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// The user signed in to a relying party.
    Login(Login),
    /// The account is gone.
    Delete {
        /// Why, when the source said so in a word that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<DeleteReason>,
    },
    /// The user changed the password.
    PasswordChange,
    /// The password was reset.
    PasswordReset,
    /// The user signed out everywhere.
    SignOutEverywhere,
    /// The primary e-mail address changed.
    PrimaryEmailChange {
        /// The new one, when told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        email: Option<String>,
    },
    /// Something in the profile changed.
    ProfileChange(Profile),
    /// A subscription began or ended.
    SubscriptionChange(Subscription),
    /// The account may not act until it is enabled again.
    Disable,
    /// It may act again.
    Enable,
    /// A kind this version does not know; kept verbatim.
    Unknown {
        /// The source's name for it.
        name: String,
        /// The whole event as it came: JSON text.
        body: String,
    },
}

/// A sign-in to a relying party.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The relying party's OAuth client id, lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The relying party's human name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The user's e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// How many devices the account has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_count: Option<i64>,
    /// The browser's User-Agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// What a profile change may carry; a member is there when the source told it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The language tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Whether the user lets metrics be collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics_enabled: Option<bool>,
    /// Whether a second factor is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totp_enabled: Option<bool>,
    /// Whether the account is disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_disabled: Option<bool>,
    /// Whether the account is locked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_locked: Option<bool>,
}

/// What a subscription change says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Whether it is active now.
    pub active: bool,
    /// The capabilities it grants, in the source's order.
    pub capabilities: Vec<String>,
}

/// Why an account was deleted, in the words that go out to relying parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeleteReason {
    /// The user asked.
    User,
    /// An administrator did it.
    Admin,
    /// Nobody had used it for long.
    Inactivity,
    /// It was never verified.
    Unverified,
}

impl DeleteReason {
    /// From the wire; `None` for a word that is not known, which callers drop (the delete itself still counts).
    pub fn from_wire(word: &str) -> Option<Self> {
        match word {
            "user" => Some(Self::User),
            "admin" => Some(Self::Admin),
            "inactivity" => Some(Self::Inactivity),
            "unverified" => Some(Self::Unverified),
            _ => None,
        }
    }
}

/// The kind of a change, without what it carries: for rows, metrics and routing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the kind of the `Change` of the same name")]
pub enum EventKind {
    Login,
    Delete,
    PasswordChange,
    PasswordReset,
    SignOutEverywhere,
    PrimaryEmailChange,
    ProfileChange,
    SubscriptionChange,
    Disable,
    Enable,
    Unknown,
}

impl EventKind {
    /// As kept in the store and shown to people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Delete => "delete",
            Self::PasswordChange => "password_change",
            Self::PasswordReset => "password_reset",
            Self::SignOutEverywhere => "sign_out_everywhere",
            Self::PrimaryEmailChange => "primary_email_change",
            Self::ProfileChange => "profile_change",
            Self::SubscriptionChange => "subscription_change",
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::Unknown => "unknown",
        }
    }

    /// Whether such a change says that the password is another one now.
    pub const fn is_password_kind(self) -> bool {
        matches!(self, Self::PasswordChange | Self::PasswordReset | Self::SignOutEverywhere)
    }
}

impl Change {
    /// Its kind.
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::Login(_) => EventKind::Login,
            Self::Delete { .. } => EventKind::Delete,
            Self::PasswordChange => EventKind::PasswordChange,
            Self::PasswordReset => EventKind::PasswordReset,
            Self::SignOutEverywhere => EventKind::SignOutEverywhere,
            Self::PrimaryEmailChange { .. } => EventKind::PrimaryEmailChange,
            Self::ProfileChange(_) => EventKind::ProfileChange,
            Self::SubscriptionChange(_) => EventKind::SubscriptionChange,
            Self::Disable => EventKind::Disable,
            Self::Enable => EventKind::Enable,
            Self::Unknown { .. } => EventKind::Unknown,
        }
    }

    /// The state it sets, if it sets one. A profile change that says `accountDisabled` is a disable (or enable) too.
    pub const fn sets_state(&self) -> Option<State> {
        match self {
            Self::Delete { .. } => Some(State::Deleted),
            Self::Disable | Self::ProfileChange(Profile { account_disabled: Some(true), .. }) => {
                Some(State::Disabled)
            }
            Self::Enable | Self::ProfileChange(Profile { account_disabled: Some(false), .. }) => {
                Some(State::Active)
            }
            _ => None,
        }
    }

    /// Whether it ends what was granted before it, that is: raises the mark.
    pub const fn raises_mark(&self) -> bool {
        self.kind().is_password_kind() || matches!(self.sets_state(), Some(State::Disabled | State::Deleted))
    }
}
