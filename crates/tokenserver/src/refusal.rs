//! Every way a token request can end without a token, and what the wire says then.

use http::StatusCode;

/// The header that faults of the client state are named by.
const CLIENT_STATE: &str = "X-Client-State";

/// Why a request gets no token. The order is that of the checks; the words are the field's, and clients act on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No `Authorization`, or none that can be read.
    NoAuthorization,
    /// Another scheme than Bearer.
    UnsupportedScheme,
    /// The access token is not good, or the account behind it may not act.
    InvalidCredentials,
    /// The identity provider cannot be asked.
    VerifierUnavailable {
        /// After how many seconds to come again.
        retry_after: u32,
    },
    /// The identity provider was asked and did not answer in time.
    VerifierTimedOut {
        /// After how many seconds to come again.
        retry_after: u32,
    },
    /// The account's name with its domain is longer than a row can hold.
    AccountTooLong,
    /// No `X-KeyID`.
    MissingKeyId,
    /// An `X-KeyID` that is no visible ASCII.
    UnreadableKeyId,
    /// An `X-KeyID` that does not parse.
    MalformedKeyId,
    /// A client state that no row can hold, or that has letters it may not have.
    InvalidClientState,
    /// `X-Client-State` says another thing than `X-KeyID`.
    ClientStateMismatch,
    /// An application that is not served.
    UnsupportedApplication,
    /// A version of it that is not served; as it was sent.
    UnsupportedVersion(String),
    /// The store cannot be reached, is not set up, or failed.
    StoreUnavailable,
    /// Nobody new is taken.
    NewUsersDisabled,
    /// New users are taken, but not so many at once.
    NewUserHeld {
        /// Whose budget is used up.
        held: Held,
        /// After how many seconds there is something in it again.
        retry_after: u32,
    },
    /// Turned away, because an operator sheds load.
    Shed {
        /// After how many seconds to come again.
        retry_after: u32,
    },
    /// No node has room.
    NoNode,
    /// The account is retired, and its node is gone.
    RetiredWithoutNode,
    /// The query does not deserialise.
    InvalidQuery,
    /// The time the keys changed does not fit what is known.
    InvalidKeysChangedAt,
    /// The account's credentials have changed since the token was granted.
    InvalidGeneration,
    /// Credentials have changed, and the token does not say finely enough whether it was granted after that. The
    /// identity provider can be asked; on the wire it is as [`InvalidGeneration`](Self::InvalidGeneration).
    PerhapsEnded,
    /// The client state does not fit what is known.
    UnacceptableClientState(ClientStateFault),
    /// The change took too long.
    Elapsed,
    /// The token could not be made.
    TokenNotMade,
    /// Nothing lives at this address.
    NotFound,
    /// Something does, but not for this method.
    MethodNotAllowed,
    /// Asked for: what an error looks like.
    TestError,
}

/// Whose budget for new users is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The client's address's.
    Address,
    /// The identity provider's.
    Idp,
    /// That of all together.
    Total,
}

/// What is wrong with a client state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientStateFault {
    /// Empty, though one is known.
    Empty,
    /// One the user has left behind.
    Stale,
    /// Another one, without new credentials.
    NoGenerationChange,
    /// Another one, without new keys.
    NoKeysChange,
}

impl ClientStateFault {
    const fn description(self) -> &'static str {
        match self {
            Self::Empty => "Unacceptable client-state value empty string",
            Self::Stale => "Unacceptable client-state value stale value",
            Self::NoGenerationChange => "Unacceptable client-state value new value with no generation change",
            Self::NoKeysChange => "Unacceptable client-state value new value with no keys_changed_at change",
        }
    }
}

/// What the wire says of a refusal: a status code, and the four words of the error body.
#[derive(Debug, PartialEq, Eq)]
pub struct Wire<'a> {
    /// The HTTP status.
    pub code: StatusCode,
    /// The body's `status`: what desktop clients act on.
    pub status: &'static str,
    /// Where the fault lies: `header`, `url`, `body` or `internal`.
    pub location: &'static str,
    /// The name of the faulty part; often empty.
    pub name: &'a str,
    /// One line for people.
    pub description: &'static str,
}

impl Refusal {
    /// The HTTP status alone.
    pub fn status(&self) -> StatusCode {
        self.wire().code
    }

    /// The whole table.
    #[expect(
        clippy::match_same_arms,
        reason = "a table: each row stands for itself, in the order of the checks"
    )]
    pub fn wire(&self) -> Wire<'_> {
        let (code, status, location, name, description) = match self {
            Self::NoAuthorization => (401, "error", "body", "", "Unauthorized"),
            Self::UnsupportedScheme => (401, "error", "body", "", "Unsupported"),
            Self::InvalidCredentials => (401, "invalid-credentials", "body", "", "Unauthorized"),
            Self::VerifierUnavailable { .. } => (503, "internal-error", "internal", "", "Server error"),
            Self::VerifierTimedOut { .. } => (503, "error", "body", "", "Resource is not available"),
            Self::AccountTooLong => (400, "error", "body", "", "The account's name is too long"),
            Self::MissingKeyId => (401, "invalid-key-id", "header", "", "Missing X-KeyID header"),
            Self::UnreadableKeyId => (401, "invalid-key-id", "header", "", "Invalid X-KeyID header"),
            Self::MalformedKeyId => (401, "invalid-credentials", "body", "", "Unauthorized"),
            Self::InvalidClientState => (400, "error", "header", CLIENT_STATE, "Invalid client state value"),
            Self::ClientStateMismatch => (401, "invalid-client-state", "body", "", "Unauthorized"),
            Self::UnsupportedApplication => (404, "error", "url", "application", "Unsupported application"),
            Self::UnsupportedVersion(version) => {
                (404, "error", "url", version.as_str(), "Unsupported application version")
            }
            Self::StoreUnavailable => (503, "internal-error", "internal", "", "Server error"),
            Self::NewUsersDisabled => (403, "new-users-disabled", "body", "", "New users are not allowed"),
            // RFC 6585 section 4: this client has asked for too much. Of the others it is not the client's fault.
            Self::NewUserHeld { held: Held::Address, .. } => {
                (429, "error", "internal", "", "Too many new users")
            }
            Self::NewUserHeld { .. } => (503, "error", "internal", "", "Too many new users"),
            Self::Shed { .. } => (503, "error", "internal", "", "Resource is not available"),
            Self::NoNode => (503, "internal-error", "internal", "", "Server error"),
            Self::RetiredWithoutNode => (500, "internal-error", "internal", "", "Server error"),
            Self::InvalidQuery => (400, "error", "url", "", "invalid query params"),
            Self::InvalidKeysChangedAt => (401, "invalid-keysChangedAt", "body", "", "Unauthorized"),
            Self::InvalidGeneration | Self::PerhapsEnded => {
                (401, "invalid-generation", "body", "", "Unauthorized")
            }
            Self::UnacceptableClientState(fault) => {
                (401, "invalid-client-state", "header", CLIENT_STATE, fault.description())
            }
            Self::Elapsed => (503, "elapsed", "body", "", "Elapsed"),
            Self::TokenNotMade => (500, "internal-error", "internal", "", "Server error"),
            Self::NotFound => (404, "error", "url", "", "Not Found"),
            Self::MethodNotAllowed => (405, "error", "url", "", "Method Not Allowed"),
            Self::TestError => (500, "internal-error", "internal", "", "Test error for Sentry"),
        };
        let code = StatusCode::from_u16(code).expect("the table has HTTP's codes only");
        Wire { code, status, location, name, description }
    }

    /// After how many seconds to come again, when waiting may help. Every outage says so.
    pub const fn retry_after_seconds(&self) -> Option<u32> {
        match self {
            Self::VerifierUnavailable { retry_after }
            | Self::VerifierTimedOut { retry_after }
            | Self::NewUserHeld { retry_after, .. }
            | Self::Shed { retry_after } => Some(*retry_after),
            Self::StoreUnavailable | Self::Elapsed => Some(10),
            // An operator has to make room first.
            Self::NoNode => Some(60),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    #[test]
    fn the_whole_table() {
        use ClientStateFault as Fault;
        let all = [
            Refusal::NoAuthorization,
            Refusal::UnsupportedScheme,
            Refusal::InvalidCredentials,
            Refusal::VerifierUnavailable { retry_after: 7 },
            Refusal::VerifierTimedOut { retry_after: 10 },
            Refusal::AccountTooLong,
            Refusal::MissingKeyId,
            Refusal::UnreadableKeyId,
            Refusal::MalformedKeyId,
            Refusal::InvalidClientState,
            Refusal::ClientStateMismatch,
            Refusal::UnsupportedApplication,
            Refusal::UnsupportedVersion("2.0".to_owned()),
            Refusal::StoreUnavailable,
            Refusal::NewUsersDisabled,
            Refusal::NewUserHeld { held: Held::Address, retry_after: 180 },
            Refusal::NewUserHeld { held: Held::Idp, retry_after: 1 },
            Refusal::NewUserHeld { held: Held::Total, retry_after: 1 },
            Refusal::Shed { retry_after: 600 },
            Refusal::NoNode,
            Refusal::RetiredWithoutNode,
            Refusal::InvalidQuery,
            Refusal::InvalidKeysChangedAt,
            Refusal::InvalidGeneration,
            Refusal::PerhapsEnded,
            Refusal::UnacceptableClientState(Fault::Empty),
            Refusal::UnacceptableClientState(Fault::Stale),
            Refusal::UnacceptableClientState(Fault::NoGenerationChange),
            Refusal::UnacceptableClientState(Fault::NoKeysChange),
            Refusal::Elapsed,
            Refusal::TokenNotMade,
            Refusal::NotFound,
            Refusal::MethodNotAllowed,
            Refusal::TestError,
        ];
        let mut table = String::new();
        for refusal in &all {
            let wire = refusal.wire();
            let retry = refusal
                .retry_after_seconds()
                .map_or(String::new(), |seconds| format!(" (again in {seconds} s)"));
            let Wire { code, status, location, name, description } = wire;
            writeln!(table, "{} {status} | {location} | {name} | {description}{retry}", code.as_u16())
                .expect("text");
        }
        insta::assert_snapshot!(table, @r"
        401 error | body |  | Unauthorized
        401 error | body |  | Unsupported
        401 invalid-credentials | body |  | Unauthorized
        503 internal-error | internal |  | Server error (again in 7 s)
        503 error | body |  | Resource is not available (again in 10 s)
        400 error | body |  | The account's name is too long
        401 invalid-key-id | header |  | Missing X-KeyID header
        401 invalid-key-id | header |  | Invalid X-KeyID header
        401 invalid-credentials | body |  | Unauthorized
        400 error | header | X-Client-State | Invalid client state value
        401 invalid-client-state | body |  | Unauthorized
        404 error | url | application | Unsupported application
        404 error | url | 2.0 | Unsupported application version
        503 internal-error | internal |  | Server error (again in 10 s)
        403 new-users-disabled | body |  | New users are not allowed
        429 error | internal |  | Too many new users (again in 180 s)
        503 error | internal |  | Too many new users (again in 1 s)
        503 error | internal |  | Too many new users (again in 1 s)
        503 error | internal |  | Resource is not available (again in 600 s)
        503 internal-error | internal |  | Server error (again in 60 s)
        500 internal-error | internal |  | Server error
        400 error | url |  | invalid query params
        401 invalid-keysChangedAt | body |  | Unauthorized
        401 invalid-generation | body |  | Unauthorized
        401 invalid-generation | body |  | Unauthorized
        401 invalid-client-state | header | X-Client-State | Unacceptable client-state value empty string
        401 invalid-client-state | header | X-Client-State | Unacceptable client-state value stale value
        401 invalid-client-state | header | X-Client-State | Unacceptable client-state value new value with no generation change
        401 invalid-client-state | header | X-Client-State | Unacceptable client-state value new value with no keys_changed_at change
        503 elapsed | body |  | Elapsed (again in 10 s)
        500 internal-error | internal |  | Server error
        404 error | url |  | Not Found
        405 error | url |  | Method Not Allowed
        500 internal-error | internal |  | Test error for Sentry
        ");
    }
}
