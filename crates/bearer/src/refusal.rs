use http::StatusCode;
use std::borrow::Cow;
use std::time::Duration;
use verify::{CheckError, NoRecords};

/// How long to stay away when the store is down.
const STORE_RETRY: Duration = Duration::from_secs(5);

/// Why a request is refused. 401 means "this token is bad, get another" and nothing else; trouble that is not the
/// token's is 503 with `Retry-After`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No bearer token.
    #[error("a bearer token is needed")]
    NoCredentials,
    /// An `Authorization` that says Bearer and cannot be read.
    #[error("the Authorization header must be sent once, as Bearer and one token")]
    MalformedCredentials,
    /// An identity header that only we may set.
    #[error("the request has the header {0}, which only the server may set")]
    Spoofed(http::HeaderName),
    /// A path that two servers may read in two ways.
    #[error("{0}")]
    AmbiguousPath(crate::adapters::AmbiguousPath),
    /// A parameter that is missing, or there twice.
    #[error("{0}")]
    Parameter(&'static str),
    /// The token itself.
    #[error("the token is not good: {0}")]
    Token(verify::Refusal),
    /// The token was given out before the account's high-water mark.
    #[error("the token has ended: the account has changed since it was given out")]
    TokenEnded,
    /// The token does not grant what is needed.
    #[error("the token does not grant the scope {scope}")]
    InsufficientScope {
        /// What is needed.
        scope: Cow<'static, str>,
    },
    /// The account may not act, for now.
    #[error("the account is disabled")]
    AccountDisabled,
    /// The account is gone.
    #[error("the account has been deleted")]
    AccountDeleted,
    /// The account is good and has never been here.
    #[error("there is no account here yet: accept the terms first")]
    NoAccount,
    /// The profile is of somebody else.
    #[error("the profile belongs to another account than the token")]
    ProfileMismatch,
    /// The caller, not the token it asks about, may not do this.
    #[error("the caller may not do this: its token has no scope {0}")]
    Caller(&'static str),
    /// The proxy that asks is not set up right.
    #[error("{0}")]
    Proxy(crate::adapters::Unreadable),
    /// It cannot be told now.
    #[error("the token cannot be checked now: try again later")]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
    /// A defect of ours.
    #[error("something went wrong here")]
    Internal,
}

/// A refusal on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    /// Its status.
    pub status: StatusCode,
    /// The error of RFC 6750 section 3.1 where there is one, else the nearest word of OAuth's.
    pub error: Option<&'static str>,
    /// A word for exactly this; it stays the same.
    pub error_code: &'static str,
}

impl Refusal {
    /// How it goes over the wire.
    pub const fn wire(&self) -> Wire {
        const fn wire(status: StatusCode, error: Option<&'static str>, error_code: &'static str) -> Wire {
            Wire { status, error, error_code }
        }
        let (bad, unauthorised, forbidden) =
            (StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN);
        match self {
            // RFC 6750 section 3.1: without credentials no error is told.
            Self::NoCredentials => wire(unauthorised, None, "no_credentials"),
            Self::MalformedCredentials => wire(bad, Some("invalid_request"), "malformed_credentials"),
            Self::Spoofed(_) => wire(bad, Some("invalid_request"), "identity_header_in_request"),
            Self::AmbiguousPath(_) => wire(bad, Some("invalid_request"), "ambiguous_path"),
            Self::Parameter(_) => wire(bad, Some("invalid_request"), "malformed_request"),
            Self::Token(verify::Refusal::Expired) => {
                wire(unauthorised, Some("invalid_token"), "token_expired")
            }
            Self::Token(_) => wire(unauthorised, Some("invalid_token"), "token_refused"),
            Self::TokenEnded => wire(unauthorised, Some("invalid_token"), "token_ended"),
            Self::InsufficientScope { .. } => {
                wire(forbidden, Some("insufficient_scope"), "insufficient_scope")
            }
            Self::AccountDisabled => wire(forbidden, None, "account_disabled"),
            Self::AccountDeleted => wire(forbidden, None, "account_deleted"),
            Self::NoAccount => wire(forbidden, None, "no_account"),
            Self::ProfileMismatch => wire(forbidden, None, "profile_mismatch"),
            Self::Caller(_) => wire(forbidden, None, "caller_not_allowed"),
            Self::Proxy(_) => wire(StatusCode::INTERNAL_SERVER_ERROR, None, "proxy_not_set_up"),
            Self::Unavailable { .. } => {
                wire(StatusCode::SERVICE_UNAVAILABLE, None, "temporarily_unavailable")
            }
            Self::Internal => wire(StatusCode::INTERNAL_SERVER_ERROR, None, "internal_error"),
        }
    }

    /// When to try again, in whole seconds, if that may help.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Unavailable { retry_after } => {
                let more = u64::from(retry_after.subsec_nanos() > 0);
                Some(retry_after.as_secs().saturating_add(more).max(1))
            }
            _ => None,
        }
    }

    /// `WWW-Authenticate` (RFC 6750 section 3), where one belongs: with every 401, and with the errors that RFC has.
    pub fn challenge(&self, realm: &str) -> Option<String> {
        use std::fmt::Write;
        let Wire { status, error, .. } = self.wire();
        let mut challenge = format!("Bearer realm=\"{realm}\"");
        match error {
            Some(error) => {
                write!(challenge, ", error=\"{error}\", error_description=\"{self}\"").ok()?;
                if let Self::InsufficientScope { scope } = self {
                    write!(challenge, ", scope=\"{scope}\"").ok()?;
                }
            }
            None if status == StatusCode::UNAUTHORIZED => {}
            None => return None,
        }
        Some(challenge)
    }
}

impl From<CheckError> for Refusal {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Refused(refusal) => Self::Token(refusal),
            CheckError::Unavailable { retry_after } | CheckError::TimedOut { retry_after } => {
                Self::Unavailable { retry_after }
            }
        }
    }
}

impl From<NoRecords> for Refusal {
    fn from(NoRecords { retry_after }: NoRecords) -> Self {
        Self::Unavailable { retry_after }
    }
}

impl From<store::StoreError> for Refusal {
    fn from(error: store::StoreError) -> Self {
        if error.is_outage() {
            Self::Unavailable { retry_after: STORE_RETRY }
        } else {
            tracing::error!(%error, "a request failed");
            Self::Internal
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::{RequestPath, Unreadable};

    #[test]
    fn the_whole_table() {
        let scope = Cow::Borrowed("profile");
        let spoofed = http::HeaderName::from_static("x_highwater_subject");
        let ambiguous = RequestPath::parse("//").expect_err("ambiguous");
        let table: Vec<String> = [
            Refusal::NoCredentials,
            Refusal::MalformedCredentials,
            Refusal::Spoofed(spoofed),
            Refusal::AmbiguousPath(ambiguous),
            Refusal::Parameter("token is missing"),
            Refusal::Token(verify::Refusal::Expired),
            Refusal::Token(verify::Refusal::Signature),
            Refusal::TokenEnded,
            Refusal::InsufficientScope { scope },
            Refusal::AccountDisabled,
            Refusal::AccountDeleted,
            Refusal::NoAccount,
            Refusal::ProfileMismatch,
            Refusal::Caller("verify"),
            Refusal::Proxy(Unreadable::NotTold { header: "x-original-uri" }),
            Refusal::Unavailable { retry_after: Duration::from_millis(1_200) },
            Refusal::Internal,
        ]
        .iter()
        .map(|refusal| {
            let Wire { status, error, error_code } = refusal.wire();
            let challenge = if refusal.challenge("r").is_some() { "challenge" } else { "-" };
            let wait = refusal.retry_after().map(|it| it.to_string()).unwrap_or_default();
            format!("{} {} {error_code} {challenge} {wait}", status.as_u16(), error.unwrap_or("-"))
                .trim_end()
                .to_owned()
        })
        .collect();
        assert_eq!(
            table,
            [
                "401 - no_credentials challenge",
                "400 invalid_request malformed_credentials challenge",
                "400 invalid_request identity_header_in_request challenge",
                "400 invalid_request ambiguous_path challenge",
                "400 invalid_request malformed_request challenge",
                "401 invalid_token token_expired challenge",
                "401 invalid_token token_refused challenge",
                "401 invalid_token token_ended challenge",
                "403 insufficient_scope insufficient_scope challenge",
                "403 - account_disabled -",
                "403 - account_deleted -",
                "403 - no_account -",
                "403 - profile_mismatch -",
                "403 - caller_not_allowed -",
                "500 - proxy_not_set_up -",
                "503 - temporarily_unavailable - 2",
                "500 - internal_error -",
            ]
        );
    }

    #[test]
    fn a_challenge_says_what_is_wrong_and_what_is_needed() {
        assert_eq!(Refusal::NoCredentials.challenge("r").as_deref(), Some("Bearer realm=\"r\""));
        let scope = Cow::Borrowed("profile");
        assert_eq!(
            Refusal::InsufficientScope { scope }.challenge("r").as_deref(),
            Some(
                "Bearer realm=\"r\", error=\"insufficient_scope\", \
                 error_description=\"the token does not grant the scope profile\", scope=\"profile\""
            )
        );
    }
}
