use serde::{Deserialize, Serialize};
use std::fmt;

/// The types of events that are told, each by the URI that names it in a token. A closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
#[expect(missing_docs, reason = "each is the event type of that name in its specification")]
pub enum EventType {
    // Mozilla accounts' own (the ecosystem platform's list of security events).
    PasswordChange,
    ProfileChange,
    SubscriptionStateChange,
    DeleteUser,
    MetricsOptIn,
    MetricsOptOut,
    // OpenID CAEP 1.0 section 3.
    SessionRevoked,
    TokenClaimsChange,
    CredentialChange,
    SessionEstablished,
    // OpenID RISC 1.0 section 2.
    AccountCredentialChangeRequired,
    AccountPurged,
    AccountDisabled,
    AccountEnabled,
    RecoveryActivated,
    // OpenID Shared Signals Framework 1.0 sections 8.1.4 and 8.1.5: about the stream itself.
    Verification,
    StreamUpdated,
    // Our own, for operators.
    RelyingPartyStatus,
}

/// A URI that names no event type known here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no event type known here; give its whole URI")]
pub struct UnknownEventType(pub String);

impl EventType {
    /// Every one of them.
    pub const ALL: [Self; 18] = [
        Self::PasswordChange,
        Self::ProfileChange,
        Self::SubscriptionStateChange,
        Self::DeleteUser,
        Self::MetricsOptIn,
        Self::MetricsOptOut,
        Self::SessionRevoked,
        Self::TokenClaimsChange,
        Self::CredentialChange,
        Self::SessionEstablished,
        Self::AccountCredentialChangeRequired,
        Self::AccountPurged,
        Self::AccountDisabled,
        Self::AccountEnabled,
        Self::RecoveryActivated,
        Self::Verification,
        Self::StreamUpdated,
        Self::RelyingPartyStatus,
    ];

    /// Its URI, the key in a token's `events`.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::PasswordChange => "https://schemas.accounts.firefox.com/event/password-change",
            Self::ProfileChange => "https://schemas.accounts.firefox.com/event/profile-change",
            Self::SubscriptionStateChange => {
                "https://schemas.accounts.firefox.com/event/subscription-state-change"
            }
            Self::DeleteUser => "https://schemas.accounts.firefox.com/event/delete-user",
            Self::MetricsOptIn => "https://schemas.accounts.firefox.com/event/metrics-opt-in",
            Self::MetricsOptOut => "https://schemas.accounts.firefox.com/event/metrics-opt-out",
            Self::SessionRevoked => "https://schemas.openid.net/secevent/caep/event-type/session-revoked",
            Self::TokenClaimsChange => {
                "https://schemas.openid.net/secevent/caep/event-type/token-claims-change"
            }
            Self::CredentialChange => "https://schemas.openid.net/secevent/caep/event-type/credential-change",
            Self::SessionEstablished => {
                "https://schemas.openid.net/secevent/caep/event-type/session-established"
            }
            Self::AccountCredentialChangeRequired => {
                "https://schemas.openid.net/secevent/risc/event-type/account-credential-change-required"
            }
            Self::AccountPurged => "https://schemas.openid.net/secevent/risc/event-type/account-purged",
            Self::AccountDisabled => "https://schemas.openid.net/secevent/risc/event-type/account-disabled",
            Self::AccountEnabled => "https://schemas.openid.net/secevent/risc/event-type/account-enabled",
            Self::RecoveryActivated => {
                "https://schemas.openid.net/secevent/risc/event-type/recovery-activated"
            }
            Self::Verification => "https://schemas.openid.net/secevent/ssf/event-type/verification",
            Self::StreamUpdated => "https://schemas.openid.net/secevent/ssf/event-type/stream-updated",
            Self::RelyingPartyStatus => "urn:highwater:event:relying-party-status",
        }
    }

    /// By its URI; `None` for one that is not known here.
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.uri() == uri)
    }

    /// Its short name, the last part of its URI: `password-change`. For metrics and people.
    pub fn name(self) -> &'static str {
        self.uri().rsplit(['/', ':']).next().unwrap_or_default()
    }

    /// Whether it is about the stream itself. Such events go out whatever a relying party listed (SSF section 8.1.4).
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Verification | Self::StreamUpdated)
    }

    /// Whether it is about a relying party, and for operators' eyes.
    pub const fn is_operational(self) -> bool {
        matches!(self, Self::RelyingPartyStatus)
    }

    /// Whether it goes only to those who list it: it is new to relying parties of old, there are too many of it, or it is
    /// for operators.
    pub const fn must_be_listed(self) -> bool {
        self.is_operational()
            || matches!(
                self,
                Self::MetricsOptIn | Self::MetricsOptOut | Self::SessionEstablished | Self::RecoveryActivated
            )
    }

    /// Whether a later one of the same account may take an undelivered earlier one in.
    pub const fn coalesces(self) -> bool {
        matches!(self, Self::ProfileChange | Self::TokenClaimsChange)
    }
}

impl From<EventType> for &'static str {
    fn from(event_type: EventType) -> Self {
        event_type.uri()
    }
}

impl TryFrom<String> for EventType {
    type Error = UnknownEventType;

    fn try_from(uri: String) -> Result<Self, UnknownEventType> {
        Self::from_uri(&uri).ok_or(UnknownEventType(uri))
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_uri_names_one_type_and_comes_back() {
        for event_type in EventType::ALL {
            assert_eq!(EventType::from_uri(event_type.uri()), Some(event_type));
            let json = serde_json::to_string(&event_type).expect("a text");
            assert_eq!(serde_json::from_str::<EventType>(&json).expect("its own text"), event_type);
        }
        assert_eq!(EventType::from_uri("delete-user"), None);
        assert_eq!(EventType::DeleteUser.name(), "delete-user");
        assert_eq!(EventType::RelyingPartyStatus.name(), "relying-party-status");
    }
}
