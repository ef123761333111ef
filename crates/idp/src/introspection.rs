//! What an identity provider says of a token when it is asked to look into it.

mod read;

pub(crate) use read::{Question, Unreadable, read};

use account::{Birth, Millis, Subject};
use std::time::Duration;

/// What came of asking an identity provider to look into a token (RFC 7662).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Introspected {
    /// It is an access token of an account, and the identity provider stands by it. Whether it has ended by one's own
    /// clock, and what it is good for, is for the caller to judge, each time anew.
    Active(Introspection),
    /// It is no good here, by the identity provider's own word.
    Inactive(Inactive),
    /// Nobody knows. Never the token's fault.
    Unavailable {
        /// What stands in the way.
        trouble: Trouble,
        /// When to try again. Until then nothing is gained by it.
        retry_after: Duration,
    },
}

/// The facts about a token that is active. Neither it nor its `jti` is among them: with Mozilla accounts the `jti` is the
/// token's bare digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introspection {
    /// The account's subject.
    pub subject: Subject,
    /// The OAuth client it was given to.
    pub client_id: Option<Box<str>>,
    /// The scopes granted, separated by spaces (RFC 6749 section 3.3); empty when none are named.
    pub scope: Box<str>,
    /// Whom it is for, as far as that is said.
    pub audience: Box<[Box<str>]>,
    /// When it ends.
    pub expires_at: Option<Millis>,
    /// When it begins.
    pub not_before: Option<Millis>,
    /// When it was given out, at the resolution it was told with.
    pub issued_at: Option<Birth>,
    /// When the user proved who they are, at the resolution it was told with.
    pub auth_time: Option<Birth>,
    /// How well (RFC 9470): a name of the identity provider's choosing.
    pub acr: Option<Box<str>>,
    /// By what means (RFC 8176).
    pub amr: Box<[Box<str>]>,
    /// `fxa-generation`: when the account's credentials had last changed, in milliseconds since the epoch.
    pub generation: Option<i64>,
}

/// Why a token is no good here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inactive {
    /// It is not active: unknown, ended, revoked. The identity provider does not say which.
    Unknown,
    /// It is a token of another kind, such as a refresh token.
    OtherKind,
    /// It counts only together with a proof of possession (`cnf`, RFC 7800), and was shown as a bearer token.
    Bound,
    /// It acts for no account, but for a client.
    NoAccount,
    /// It is another identity provider's.
    Foreign,
    /// There is nobody to ask: this identity provider has no place to look into tokens.
    NotAsked,
    /// The identity provider looks into tokens, but into none of this kind: some do not into JWTs.
    Unsupported,
}

/// What stands in the way of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// So many questions were asked that one more would be too many.
    Budget,
    /// The identity provider has asked for a pause, or fails and is spared.
    Spared,
    /// So many questions are on their way that this one found no place among them in time.
    Busy,
    /// It was asked, and did not answer in time.
    Timeout,
    /// It could not be reached, or broke off.
    Unreachable,
    /// It answered that it could not say.
    Status,
    /// It said something that is not understood.
    Unreadable,
}

impl Inactive {
    /// Its name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "inactive",
            Self::OtherKind => "other_kind",
            Self::Bound => "bound",
            Self::NoAccount => "no_account",
            Self::Foreign => "foreign",
            Self::NotAsked => "not_asked",
            Self::Unsupported => "unsupported",
        }
    }
}

impl Trouble {
    /// Its name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Spared => "spared",
            Self::Busy => "busy",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Status => "status",
            Self::Unreadable => "unreadable",
        }
    }
}
