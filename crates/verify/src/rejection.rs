use crate::{BadAuthorization, CheckError, Refusal, Scopes};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why a request is not let through, and what its sender is told: by RFC 6750 section 3, RFC 9470 section 3, and a code of
/// our own that does not change.
///
/// 401 says one thing only: get another token. Whatever another token does not mend is 403, and trouble of ours or of the
/// identity provider is 503.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// There is no bearer token, and one is needed.
    NoCredentials,
    /// The `Authorization` header is not well-formed.
    BadAuthorization(BadAuthorization),
    /// The path could be read in more than one way.
    AmbiguousPath,
    /// The token is not good.
    InvalidToken(Refusal),
    /// Something happened to the account since the token was given out: its password was changed, its sessions ended.
    TokenEnded,
    /// The account is deleted.
    AccountDeleted,
    /// The account is disabled.
    AccountDisabled,
    /// The token does not grant what the route needs.
    InsufficientScope {
        /// All that it needs.
        required: Arc<Scopes>,
    },
    /// The client that the token was given to may not use the route.
    ClientNotAllowed,
    /// The user must prove who they are in a surer way, or anew (RFC 9470).
    InsufficientAuthentication {
        /// Any of these levels would do; none: the level is good enough.
        acr_values: Arc<[Box<str>]>,
        /// No longer ago than this, in seconds.
        max_age_seconds: Option<u32>,
    },
    /// No rule says who may use this path.
    NotServed,
    /// It cannot be told now whether the token is good.
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
    /// The same, because the identity provider did not answer in time.
    TimedOut {
        /// When to try again.
        retry_after: Duration,
    },
}

impl Rejection {
    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::BadAuthorization(_) | Self::AmbiguousPath => 400,
            Self::NoCredentials
            | Self::InvalidToken(_)
            | Self::TokenEnded
            | Self::AccountDeleted
            | Self::InsufficientAuthentication { .. } => 401,
            Self::AccountDisabled
            | Self::InsufficientScope { .. }
            | Self::ClientNotAllowed
            | Self::NotServed => 403,
            Self::Unavailable { .. } | Self::TimedOut { .. } => 503,
        }
    }

    /// The `error` of RFC 6750 section 3.1 or RFC 9470 section 3. `None` where there is none: without credentials, and
    /// where neither the request nor the token is at fault.
    pub const fn error(&self) -> Option<&'static str> {
        match self {
            Self::BadAuthorization(_) | Self::AmbiguousPath => Some("invalid_request"),
            Self::InvalidToken(_) | Self::TokenEnded | Self::AccountDeleted => Some("invalid_token"),
            Self::InsufficientScope { .. } => Some("insufficient_scope"),
            Self::InsufficientAuthentication { .. } => Some("insufficient_user_authentication"),
            Self::NoCredentials
            | Self::AccountDisabled
            | Self::ClientNotAllowed
            | Self::NotServed
            | Self::Unavailable { .. }
            | Self::TimedOut { .. } => None,
        }
    }

    /// A code for programs. It says no more of a bad token than its sender may know, and does not change.
    pub const fn error_code(&self) -> &'static str {
        match self {
            Self::NoCredentials => "no_credentials",
            Self::BadAuthorization(_) => "bad_authorization",
            Self::AmbiguousPath => "ambiguous_path",
            Self::InvalidToken(Refusal::Expired) => "token_expired",
            Self::InvalidToken(Refusal::IdentityProvider) => "token_inactive",
            Self::InvalidToken(_) => "token_invalid",
            Self::TokenEnded => "token_ended",
            Self::AccountDeleted => "account_deleted",
            Self::AccountDisabled => "account_disabled",
            Self::InsufficientScope { .. } => "insufficient_scope",
            Self::ClientNotAllowed => "client_not_allowed",
            Self::InsufficientAuthentication { .. } => "insufficient_authentication",
            Self::NotServed => "not_served",
            Self::Unavailable { .. } => "check_unavailable",
            Self::TimedOut { .. } => "check_timed_out",
        }
    }

    /// The value of `WWW-Authenticate`, where one belongs to it: with every 401, and with what RFC 6750 has an error for.
    /// The realm must have neither `"` nor `\` in it.
    pub fn challenge(&self, realm: &str) -> Option<String> {
        use fmt::Write as _;
        let mut challenge = format!("Bearer realm=\"{realm}\"");
        match self.error() {
            Some(error) => {
                let _ = write!(challenge, ", error=\"{error}\", error_description=\"{self}\"");
            }
            // RFC 6750 section 3.1: who brought no credentials is told no error.
            None if self.status() == 401 => {}
            None => return None,
        }
        match self {
            Self::InsufficientScope { required } => {
                let _ = write!(challenge, ", scope=\"{required}\"");
            }
            Self::InsufficientAuthentication { acr_values, max_age_seconds } => {
                if !acr_values.is_empty() {
                    let _ = write!(challenge, ", acr_values=\"{}\"", acr_values.join(" "));
                }
                if let Some(seconds) = max_age_seconds {
                    let _ = write!(challenge, ", max_age=\"{seconds}\"");
                }
            }
            _ => {}
        }
        Some(challenge)
    }

    /// The value of `Retry-After` in seconds, with every 503: rounded up, and never "at once".
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Unavailable { retry_after } | Self::TimedOut { retry_after } => {
                Some(retry_after.as_secs().saturating_add(u64::from(retry_after.subsec_nanos() > 0)).max(1))
            }
            _ => None,
        }
    }

    /// A body for it: a JSON object with `error_code`, with `detail` for people, and with `error` where there is one.
    pub fn body(&self) -> String {
        let error = self.error().map(|error| format!("\"error\":\"{error}\",")).unwrap_or_default();
        // Nothing in it needs escaping: what is not ours are scopes, which have neither `"` nor `\`.
        format!("{{{error}\"error_code\":\"{}\",\"detail\":\"{self}\"}}", self.error_code())
    }
}

/// A sentence for people, without `"` or `\`.
impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCredentials => f.write_str("Authentication credentials were not provided."),
            Self::BadAuthorization(error) => write!(f, "The request is not well-formed: {error}."),
            Self::AmbiguousPath => f.write_str("The path of the request can be read in more than one way."),
            Self::InvalidToken(Refusal::Expired) => f.write_str("The access token has expired."),
            Self::InvalidToken(_) => f.write_str("The access token is not valid."),
            Self::TokenEnded => f.write_str("The access token was ended by a change of the account."),
            Self::AccountDeleted => f.write_str("The account does not exist any more."),
            Self::AccountDisabled => f.write_str("The account is disabled."),
            Self::InsufficientScope { required } => {
                write!(f, "The access token does not grant what is needed: {required}")
            }
            Self::ClientNotAllowed => f.write_str("The application may not do this."),
            Self::InsufficientAuthentication { .. } => {
                f.write_str("A more recent or a stronger sign-in is needed.")
            }
            Self::NotServed => f.write_str("Nobody may do this."),
            Self::Unavailable { .. } | Self::TimedOut { .. } => {
                f.write_str("The access token cannot be checked now. Try again later.")
            }
        }
    }
}

impl std::error::Error for Rejection {}

impl From<BadAuthorization> for Rejection {
    fn from(error: BadAuthorization) -> Self {
        Self::BadAuthorization(error)
    }
}

impl From<CheckError> for Rejection {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Refused(refusal) => Self::InvalidToken(refusal),
            CheckError::Unavailable { retry_after } => Self::Unavailable { retry_after },
            CheckError::TimedOut { retry_after } => Self::TimedOut { retry_after },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    fn every_kind() -> Vec<Rejection> {
        let acr_values: Arc<[Box<str>]> = ["AAL2".into(), "AAL3".into()].into();
        vec![
            Rejection::NoCredentials,
            BadAuthorization::NoToken.into(),
            BadAuthorization::Repeated.into(),
            Rejection::AmbiguousPath,
            Rejection::InvalidToken(Refusal::Expired),
            Rejection::InvalidToken(Refusal::IdentityProvider),
            Rejection::InvalidToken(Refusal::Signature),
            Rejection::TokenEnded,
            Rejection::AccountDeleted,
            Rejection::AccountDisabled,
            Rejection::InsufficientScope {
                required: Arc::new(Scopes::new("profile https://api.example/relay")),
            },
            Rejection::ClientNotAllowed,
            Rejection::InsufficientAuthentication { acr_values, max_age_seconds: Some(300) },
            Rejection::InsufficientAuthentication { acr_values: Arc::default(), max_age_seconds: Some(0) },
            Rejection::NotServed,
            Rejection::Unavailable { retry_after: Duration::from_millis(1_001) },
            Rejection::TimedOut { retry_after: Duration::ZERO },
        ]
    }

    #[test]
    fn each_rejection_has_its_status_its_challenge_and_its_code() {
        let mut table = String::new();
        for rejection in every_kind() {
            let challenge = rejection.challenge("api").unwrap_or_else(|| "-".to_owned());
            let retry_after = rejection.retry_after().map(|it| format!(" retry {it}")).unwrap_or_default();
            writeln!(table, "{}{retry_after} {challenge}\n    {}", rejection.status(), rejection.body())
                .expect("a string");
        }
        insta::assert_snapshot!(table, @r#"
        401 Bearer realm="api"
            {"error_code":"no_credentials","detail":"Authentication credentials were not provided."}
        400 Bearer realm="api", error="invalid_request", error_description="The request is not well-formed: the Authorization header has no token after Bearer."
            {"error":"invalid_request","error_code":"bad_authorization","detail":"The request is not well-formed: the Authorization header has no token after Bearer."}
        400 Bearer realm="api", error="invalid_request", error_description="The request is not well-formed: there is more than one Authorization header."
            {"error":"invalid_request","error_code":"bad_authorization","detail":"The request is not well-formed: there is more than one Authorization header."}
        400 Bearer realm="api", error="invalid_request", error_description="The path of the request can be read in more than one way."
            {"error":"invalid_request","error_code":"ambiguous_path","detail":"The path of the request can be read in more than one way."}
        401 Bearer realm="api", error="invalid_token", error_description="The access token has expired."
            {"error":"invalid_token","error_code":"token_expired","detail":"The access token has expired."}
        401 Bearer realm="api", error="invalid_token", error_description="The access token is not valid."
            {"error":"invalid_token","error_code":"token_inactive","detail":"The access token is not valid."}
        401 Bearer realm="api", error="invalid_token", error_description="The access token is not valid."
            {"error":"invalid_token","error_code":"token_invalid","detail":"The access token is not valid."}
        401 Bearer realm="api", error="invalid_token", error_description="The access token was ended by a change of the account."
            {"error":"invalid_token","error_code":"token_ended","detail":"The access token was ended by a change of the account."}
        401 Bearer realm="api", error="invalid_token", error_description="The account does not exist any more."
            {"error":"invalid_token","error_code":"account_deleted","detail":"The account does not exist any more."}
        403 -
            {"error_code":"account_disabled","detail":"The account is disabled."}
        403 Bearer realm="api", error="insufficient_scope", error_description="The access token does not grant what is needed: profile https://api.example/relay", scope="profile https://api.example/relay"
            {"error":"insufficient_scope","error_code":"insufficient_scope","detail":"The access token does not grant what is needed: profile https://api.example/relay"}
        403 -
            {"error_code":"client_not_allowed","detail":"The application may not do this."}
        401 Bearer realm="api", error="insufficient_user_authentication", error_description="A more recent or a stronger sign-in is needed.", acr_values="AAL2 AAL3", max_age="300"
            {"error":"insufficient_user_authentication","error_code":"insufficient_authentication","detail":"A more recent or a stronger sign-in is needed."}
        401 Bearer realm="api", error="insufficient_user_authentication", error_description="A more recent or a stronger sign-in is needed.", max_age="0"
            {"error":"insufficient_user_authentication","error_code":"insufficient_authentication","detail":"A more recent or a stronger sign-in is needed."}
        403 -
            {"error_code":"not_served","detail":"Nobody may do this."}
        503 retry 2 -
            {"error_code":"check_unavailable","detail":"The access token cannot be checked now. Try again later."}
        503 retry 1 -
            {"error_code":"check_timed_out","detail":"The access token cannot be checked now. Try again later."}
        "#);
    }

    #[test]
    fn what_is_told_can_be_read_by_programs() {
        for rejection in every_kind() {
            let body: serde_json::Value = serde_json::from_str(&rejection.body()).expect("JSON");
            assert_eq!(body["error_code"], rejection.error_code());
            assert_eq!(body["detail"], rejection.to_string());
            assert_eq!(body.get("error").and_then(|error| error.as_str()), rejection.error());
            let challenge = rejection.challenge("api").unwrap_or_default();
            assert_eq!(challenge.matches('"').count() % 2, 0, "{challenge}");
            assert!(challenge.is_ascii() && !challenge.contains('\\'), "{challenge}");
        }
    }

    #[test]
    fn an_outage_is_503_and_only_a_401_says_get_another_token() {
        for rejection in every_kind() {
            assert_eq!(rejection.retry_after().is_some(), rejection.status() == 503);
            assert_eq!(
                rejection.challenge("api").is_some(),
                rejection.status() == 401 || rejection.error().is_some()
            );
        }
    }
}
