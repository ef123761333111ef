use crate::CannotSign;
use crate::adapters::NotTold;
use http::{HeaderName, StatusCode};
use std::time::Duration;
use verify::{CheckError, NoRecords, Rejection};

/// How long to stay away when the store is down.
const STORE_RETRY: Duration = Duration::from_secs(5);

/// Why a request is refused: what is wrong with its token, or one of the reasons that only these faces have. 401 means
/// "this token is bad, get another" and nothing else; trouble that is not the token's is 503 with `Retry-After`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The token, or what the policy says of it.
    #[error(transparent)]
    Token(#[from] Rejection),
    /// An identity header that only we may set.
    #[error("The request has the header {0}, which only the server may set.")]
    Spoofed(HeaderName),
    /// A parameter that is missing, or there twice.
    #[error("{0}.")]
    Parameter(&'static str),
    /// An answer that is signed cannot be had: there are no keys.
    #[error("Signed answers are not to be had here; application/json is.")]
    NotSigned,
    /// The account is good and has never been here.
    #[error("There is no account here yet. Have the terms been accepted?")]
    NoAccount,
    /// The profile is of somebody else.
    #[error("The profile belongs to another account than the access token.")]
    ProfileMismatch,
    /// The caller, not the token it asks about, may not do this.
    #[error("The caller's own token has no scope {0}.")]
    Caller(&'static str),
    /// The proxy that asks is not set up right.
    #[error(transparent)]
    Proxy(#[from] NotTold),
    /// A defect of ours.
    #[error("Something went wrong here.")]
    Internal,
}

/// A refusal on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    /// Its status.
    pub status: StatusCode,
    /// The error of RFC 6750 section 3.1 or RFC 9470 section 3, where there is one.
    pub error: Option<&'static str>,
    /// A word for exactly this; it stays the same.
    pub error_code: &'static str,
}

impl Refusal {
    /// How it goes over the wire.
    pub fn wire(&self) -> Wire {
        let (status, error, error_code) = match self {
            Self::Token(rejection) => {
                let status =
                    StatusCode::from_u16(rejection.status()).expect("rejections have HTTP's statuses");
                (status, rejection.error(), rejection.error_code())
            }
            Self::Spoofed(_) => {
                (StatusCode::BAD_REQUEST, Some("invalid_request"), "identity_header_in_request")
            }
            Self::Parameter(_) => (StatusCode::BAD_REQUEST, Some("invalid_request"), "malformed_request"),
            Self::NotSigned => (StatusCode::NOT_ACCEPTABLE, None, "not_signed"),
            Self::NoAccount => (StatusCode::FORBIDDEN, None, "no_account"),
            Self::ProfileMismatch => (StatusCode::FORBIDDEN, None, "profile_mismatch"),
            Self::Caller(_) => (StatusCode::FORBIDDEN, None, "caller_not_allowed"),
            Self::Proxy(_) => (StatusCode::INTERNAL_SERVER_ERROR, None, "proxy_not_set_up"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, None, "internal_error"),
        };
        Wire { status, error, error_code }
    }

    /// When to try again, in whole seconds: with every 503.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Token(rejection) => rejection.retry_after(),
            _ => None,
        }
    }

    /// `WWW-Authenticate` (RFC 6750 section 3), where one belongs.
    pub fn challenge(&self, realm: &str) -> Option<String> {
        match self {
            Self::Token(rejection) => rejection.challenge(realm),
            _ => None,
        }
    }
}

impl From<CheckError> for Refusal {
    fn from(error: CheckError) -> Self {
        Self::Token(error.into())
    }
}

impl From<NoRecords> for Refusal {
    fn from(NoRecords { retry_after }: NoRecords) -> Self {
        Rejection::Unavailable { retry_after }.into()
    }
}

impl From<CannotSign> for Refusal {
    fn from(error: CannotSign) -> Self {
        tracing::warn!(%error, "an introspection could not be signed");
        Rejection::Unavailable { retry_after: STORE_RETRY }.into()
    }
}

impl From<store::StoreError> for Refusal {
    fn from(error: store::StoreError) -> Self {
        if error.is_outage() {
            Rejection::Unavailable { retry_after: STORE_RETRY }.into()
        } else {
            tracing::error!(%error, "a request failed");
            Self::Internal
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_these_faces_say_has_its_status_and_its_code() {
        let spoofed = HeaderName::from_static("x_highwater_subject");
        let table: Vec<String> = [
            Refusal::Spoofed(spoofed),
            Refusal::Parameter("The parameter token is missing"),
            Refusal::NotSigned,
            Refusal::NoAccount,
            Refusal::ProfileMismatch,
            Refusal::Caller("verify"),
            Refusal::Proxy(NotTold("x-original-uri")),
            Refusal::Internal,
            Rejection::NoCredentials.into(),
            Rejection::AccountDisabled.into(),
        ]
        .iter()
        .map(|refusal| {
            let Wire { status, error, error_code } = refusal.wire();
            format!("{} {} {error_code}", status.as_u16(), error.unwrap_or("-"))
        })
        .collect();
        assert_eq!(
            table,
            [
                "400 invalid_request identity_header_in_request",
                "400 invalid_request malformed_request",
                "406 - not_signed",
                "403 - no_account",
                "403 - profile_mismatch",
                "403 - caller_not_allowed",
                "500 - proxy_not_set_up",
                "500 - internal_error",
                "401 - no_credentials",
                "403 - account_disabled",
            ]
        );
    }

    #[test]
    fn a_store_that_is_down_is_an_outage_and_a_defect_is_not() {
        let down = Refusal::from(store::StoreError::Unavailable { reason: "down".into() });
        assert_eq!((down.wire().status, down.retry_after()), (StatusCode::SERVICE_UNAVAILABLE, Some(5)));
        let defect = Refusal::from(store::StoreError::Statement { reason: "defect".into() });
        assert_eq!((defect.wire().status, defect.retry_after()), (StatusCode::INTERNAL_SERVER_ERROR, None));
    }
}
