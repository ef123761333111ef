//! What a failed request for tokens means for the grant: the whole table.

use outbound::StatusCode;
use std::fmt;
use std::time::Duration;

/// What a request for tokens that brought none means for what it presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// The grant is over: `invalid_grant`, and nothing else.
    Terminal,
    /// The identity provider does not take us for who we are, or not this kind of request: for the operator to mend. It says
    /// nothing about the grant, which was not used up.
    Misconfigured,
    /// It wants to be left alone for a while. The grant was not used up.
    Throttled,
    /// It did not come to it: never sent, or answered in a way that says so. The grant was not used up.
    KnownFailed,
    /// The grant may have been used up: sent, and no answer that tells.
    Ambiguous,
}

/// A request for tokens that brought none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What it means.
    pub class: FailureClass,
    /// When the other side wants to be asked again, if it said so; at most an hour.
    pub retry_after: Option<Duration>,
    /// Its error code (RFC 6749 section 5.2), where it gave one.
    pub error: Option<Box<str>>,
    /// What happened, for people and logs; no secret is in it.
    pub text: Box<str>,
}

/// What came of a POST to the token endpoint, where it was no tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came<'a> {
    /// Nothing of it can have arrived.
    NeverArrived,
    /// It may have arrived, and there is no whole answer.
    Lost,
    /// A whole answer.
    Answer {
        status: StatusCode,
        /// The `error` of a JSON object.
        error: Option<&'a str>,
        /// It has a `Retry-After`.
        wants_pause: bool,
    },
}

/// The table. A server may use a grant up and fail thereafter, so whatever says "I failed" tells nothing; what says "I did
/// not begin" does.
pub(crate) fn class(came: Came<'_>) -> FailureClass {
    use FailureClass as Class;
    match came {
        Came::NeverArrived => Class::KnownFailed,
        Came::Lost => Class::Ambiguous,
        Came::Answer { status, error, wants_pause } => match status.as_u16() {
            429 => Class::Throttled,
            // RFC 9110 section 15.6.4: the server is not able to handle it. So it did not.
            503 if wants_pause => Class::Throttled,
            503 => Class::KnownFailed,
            // Sections 15.5.9 and 15.6: from a server that was at it, or from somebody who stands before it and has lost sight.
            408 | 500..=599 => Class::Ambiguous,
            401 if error.is_none() && !wants_pause => Class::Misconfigured,
            200..=299 => error.map_or(Class::Ambiguous, |error| by_code(error, wants_pause)),
            // A token endpoint does not redirect (RFC 6749 section 3.2): whoever answers stands before it. The same holds for a
            // 4xx that is no OAuth error.
            _ => error.map_or(not_begun(wants_pause), |error| by_code(error, wants_pause)),
        },
    }
}

/// RFC 6749 section 5.2, RFC 8707 section 2, RFC 9449 section 5.
fn by_code(error: &str, wants_pause: bool) -> FailureClass {
    match error {
        "invalid_grant" => FailureClass::Terminal,
        "invalid_client"
        | "unauthorized_client"
        | "unsupported_grant_type"
        | "invalid_request"
        | "invalid_scope"
        | "invalid_target"
        | "invalid_dpop_proof" => FailureClass::Misconfigured,
        // Meant for the authorization endpoint, and sent by token endpoints that fail.
        "server_error" => FailureClass::Ambiguous,
        _ => not_begun(wants_pause),
    }
}

const fn not_begun(wants_pause: bool) -> FailureClass {
    if wants_pause { FailureClass::Throttled } else { FailureClass::KnownFailed }
}

impl FailureClass {
    /// Every one of them.
    pub const ALL: [Self; 5] =
        [Self::Terminal, Self::Misconfigured, Self::Throttled, Self::KnownFailed, Self::Ambiguous];

    /// Its name, for metrics and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Terminal => "terminal",
            Self::Misconfigured => "misconfigured",
            Self::Throttled => "throttled",
            Self::KnownFailed => "known_failed",
            Self::Ambiguous => "ambiguous",
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;
    use FailureClass::{Ambiguous, KnownFailed, Misconfigured, Terminal, Throttled};

    const CODES: [(&str, FailureClass); 12] = [
        ("invalid_grant", Terminal),
        ("invalid_client", Misconfigured),
        ("unauthorized_client", Misconfigured),
        ("unsupported_grant_type", Misconfigured),
        ("invalid_request", Misconfigured),
        ("invalid_scope", Misconfigured),
        ("invalid_target", Misconfigured),
        ("invalid_dpop_proof", Misconfigured),
        ("server_error", Ambiguous),
        ("temporarily_unavailable", KnownFailed),
        ("interaction_required", KnownFailed),
        ("", KnownFailed),
    ];

    fn answer(status: u16, error: Option<&str>, wants_pause: bool) -> FailureClass {
        let status = StatusCode::from_u16(status).expect("a status");
        class(Came::Answer { status, error, wants_pause })
    }

    #[test]
    fn what_was_never_sent_used_nothing_up_and_what_was_lost_may_have() {
        assert_eq!(class(Came::NeverArrived), KnownFailed);
        assert_eq!(class(Came::Lost), Ambiguous);
    }

    #[test]
    fn an_answer_without_an_error_code_is_judged_by_its_status() {
        for (status, plain, with_pause) in [
            (200, Ambiguous, Ambiguous),
            (204, Ambiguous, Ambiguous),
            (302, KnownFailed, Throttled),
            (307, KnownFailed, Throttled),
            (400, KnownFailed, Throttled),
            (401, Misconfigured, Throttled),
            (403, KnownFailed, Throttled),
            (404, KnownFailed, Throttled),
            (408, Ambiguous, Ambiguous),
            (413, KnownFailed, Throttled),
            (429, Throttled, Throttled),
            (500, Ambiguous, Ambiguous),
            (501, Ambiguous, Ambiguous),
            (502, Ambiguous, Ambiguous),
            (503, KnownFailed, Throttled),
            (504, Ambiguous, Ambiguous),
            (599, Ambiguous, Ambiguous),
        ] {
            assert_eq!(answer(status, None, false), plain, "{status}");
            assert_eq!(answer(status, None, true), with_pause, "{status} with Retry-After");
        }
    }

    #[test]
    fn an_error_code_counts_where_the_status_lets_it_speak() {
        for (error, class) in CODES {
            for status in [200, 400, 401, 403] {
                assert_eq!(answer(status, Some(error), false), class, "{status} {error}");
            }
        }
    }

    #[test]
    fn only_invalid_grant_ends_a_grant_and_not_from_a_server_that_fails() {
        for status in 100..=599 {
            for (error, _) in CODES {
                for wants_pause in [false, true] {
                    let is_over = answer(status, Some(error), wants_pause) == Terminal;
                    let may_be =
                        error == "invalid_grant" && !(status == 408 || status == 429 || status >= 500);
                    assert_eq!(is_over, may_be, "{status} {error} {wants_pause}");
                }
            }
            assert_ne!(answer(status, None, false), Terminal, "{status}");
        }
    }

    #[test]
    fn every_class_has_a_name_of_its_own() {
        let names: std::collections::HashSet<_> = FailureClass::ALL.map(FailureClass::as_str).into();
        assert_eq!(names.len(), FailureClass::ALL.len());
    }
}
