use idp::{AskError, SignatureError};
use jose::Malformed;
use std::time::Duration;

/// Why there are no facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The token is not good. Its bearer must get another one: 401.
    #[error("the token is refused: {0}")]
    Refused(#[from] Refusal),
    /// It cannot be told now. Nothing is wrong with the token: 503 with `Retry-After`, never 401.
    #[error("the identity provider is not available")]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
    /// The same, because the identity provider did not answer in time.
    #[error("the identity provider does not answer in time")]
    TimedOut {
        /// When to try again.
        retry_after: Duration,
    },
}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Longer than any token accepted here.
    #[error("it is too long")]
    TooLong,
    /// No JWT, and not of a shape the identity provider is asked about.
    #[error("it is not a token of the identity provider's shape")]
    Shape,
    /// A JWT whose header cannot be read or is not understood.
    #[error("its header is malformed")]
    Header,
    /// A JWT with an algorithm that is not accepted: `none` and symmetric ones among them.
    #[error("its algorithm is not accepted")]
    Algorithm,
    /// A JWT that is not an access token (RFC 9068 section 2.1: `typ` must be `at+jwt`).
    #[error("it is not of type at+jwt")]
    Type,
    /// Its claims are not a JSON object with the right types, or `sub` is missing.
    #[error("its claims are malformed")]
    Claims,
    /// Its `iss` is not one of the identity provider's names.
    #[error("it is of a foreign issuer")]
    Issuer,
    /// Its `exp` has passed.
    #[error("it has expired")]
    Expired,
    /// It has no `exp`, and its identity provider's tokens must have one.
    #[error("it has no expiry")]
    NoExpiry,
    /// Its `nbf` or `iat` lies in the future.
    #[error("it is not valid yet")]
    NotYetValid,
    /// It names a key that the identity provider does not have.
    #[error("it names an unknown key")]
    UnknownKey,
    /// Its signature does not verify.
    #[error("its signature does not verify")]
    Signature,
    /// The identity provider, asked about it, says no.
    #[error("the identity provider refuses it")]
    IdentityProvider,
    /// Only the identity provider's word could save it, and it gives none about tokens of this kind.
    #[error("the identity provider does not look into tokens of its kind")]
    Unsupported,
}

impl Refusal {
    /// Every one of them.
    pub const ALL: [Self; 14] = [
        Self::TooLong,
        Self::Shape,
        Self::Header,
        Self::Algorithm,
        Self::Type,
        Self::Claims,
        Self::Issuer,
        Self::Expired,
        Self::NoExpiry,
        Self::NotYetValid,
        Self::UnknownKey,
        Self::Signature,
        Self::IdentityProvider,
        Self::Unsupported,
    ];

    /// A word for it, for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Shape => "shape",
            Self::Header => "header",
            Self::Algorithm => "algorithm",
            Self::Type => "type",
            Self::Claims => "claims",
            Self::Issuer => "issuer",
            Self::Expired => "expired",
            Self::NoExpiry => "no_expiry",
            Self::NotYetValid => "not_yet_valid",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::IdentityProvider => "identity_provider",
            Self::Unsupported => "unsupported",
        }
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::TooLong => Self::TooLong,
            Malformed::Shape => Self::Shape,
            Malformed::Algorithm => Self::Algorithm,
            Malformed::Header | Malformed::Critical | Malformed::Base64 => Self::Header,
        }
    }
}

impl From<AskError> for CheckError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Refused => Self::Refused(Refusal::IdentityProvider),
            AskError::Unavailable { retry_after } => Self::Unavailable { retry_after },
            AskError::TimedOut { retry_after } => Self::TimedOut { retry_after },
        }
    }
}

impl From<SignatureError> for CheckError {
    fn from(error: SignatureError) -> Self {
        match error {
            SignatureError::BadSignature => Self::Refused(Refusal::Signature),
            SignatureError::UnknownKey => Self::Refused(Refusal::UnknownKey),
            SignatureError::NoKeys { retry_after } | SignatureError::Unavailable { retry_after } => {
                Self::Unavailable { retry_after }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_is_listed_at_its_own_place_and_has_its_own_word() {
        for (place, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, place);
            assert_eq!(Refusal::ALL.iter().filter(|other| other.as_str() == refusal.as_str()).count(), 1);
        }
    }
}
