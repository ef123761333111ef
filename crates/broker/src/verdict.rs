//! What an answer says of a delivery. Pure.

use crate::Format;
use serde::Deserialize;
use std::borrow::Cow;
use std::time::Duration;

/// A relying party's answer, as far as it matters.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// The HTTP status.
    pub status: u16,
    /// What it asks for by `Retry-After`.
    pub retry_after: Option<Duration>,
    /// The beginning of its body.
    pub body: &'a [u8],
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has it.
    Delivered,
    /// It has it not; another try may do.
    Failed {
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
        /// Whether it says something about the relying party as a whole, and not of this delivery alone.
        strains: bool,
        /// What went wrong, in a few words.
        why: Cow<'static, str>,
    },
    /// It will never take this one.
    Rejected {
        /// What it said.
        why: Cow<'static, str>,
    },
    /// It wants nothing any more.
    Gone,
}

impl Verdict {
    /// An attempt that brought no answer at all.
    pub fn unanswered(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Failed { retry_after: None, strains: true, why: why.into() }
    }

    /// The word for it, for metrics and rows.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed { .. } => "failed",
            Self::Rejected { .. } => "rejected",
            Self::Gone => "gone",
        }
    }

    /// What went wrong, in a few words; `None` when nothing did.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Delivered => None,
            Self::Gone => Some("gone"),
            Self::Failed { why, .. } | Self::Rejected { why } => Some(why),
        }
    }
}

/// What a relying party's answer means.
///
/// Any 2xx is a success. A redirect is a failure: it is never followed, since the page it leads to would answer 200 to
/// anything. 410 says that the endpoint is gone for good. 429, 502, 503 and 504 ask for less.
pub fn judge(format: Format, reply: &Reply<'_>) -> Verdict {
    let failed = |strains: bool, why: Cow<'static, str>| Verdict::Failed {
        retry_after: reply.retry_after,
        strains,
        why,
    };
    match reply.status {
        200..=299 => Verdict::Delivered,
        300..=399 => failed(true, "a redirect, which is not followed".into()),
        410 => Verdict::Gone,
        400 if format == Format::Push => match push_error(reply.body) {
            // RFC 8935 section 2.4: nothing about the token or its recipient will change.
            Some(err) if is_permanent(&err) => Verdict::Rejected { why: err.into() },
            Some(err) => failed(false, err.into()),
            None => failed(false, "status 400".into()),
        },
        status @ (429 | 500..=599) => failed(true, format!("status {status}").into()),
        status => failed(false, format!("status {status}").into()),
    }
}

/// The `err` of an error answer (RFC 8935 section 2.3), bounded.
pub(crate) fn push_error(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Error<'a> {
        #[serde(borrow)]
        err: Cow<'a, str>,
    }
    let error: Error<'_> = serde_json::from_slice(body).ok()?;
    Some(error.err.chars().filter(|c| !c.is_control()).take(60).collect())
}

/// Which errors of RFC 8935 section 2.4 (and RFC 8936 section 2.6) no retry can mend. A key that is not known yet may be
/// known in a minute, and our own credentials can be mended; the rest will be said of the same token again.
pub(crate) fn is_permanent(err: &str) -> bool {
    matches!(
        err,
        "invalid_request" | "invalid_issuer" | "invalid_audience" | "access_denied" | "invalid_state"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(format: Format, status: u16, body: &str) -> &'static str {
        let reply = Reply { status, retry_after: None, body: body.as_bytes() };
        match judge(format, &reply) {
            Verdict::Failed { strains: true, .. } => "strains",
            other => other.as_str(),
        }
    }

    #[test]
    fn a_status_means_the_same_in_every_format() {
        for format in [Format::FxaHeader, Format::Push, Format::WebhookHmac, Format::WebhookEd25519] {
            for (statuses, expected) in [
                (&[200, 201, 202, 203, 204, 205, 206, 226][..], "delivered"),
                (&[300, 301, 302, 303, 304, 307, 308], "strains"),
                (&[400, 401, 403, 404, 409, 413, 431], "failed"),
                (&[410], "gone"),
                (&[429, 500, 502, 503, 504], "strains"),
                (&[100, 199, 600, 999], "failed"),
            ] {
                for status in statuses {
                    assert_eq!(verdict(format, *status, ""), expected, "{format:?} {status}");
                }
            }
        }
    }

    #[test]
    fn only_the_permanent_errors_of_a_push_reject() {
        let push = |err: &str| verdict(Format::Push, 400, &format!(r#"{{"err":"{err}","description":"x"}}"#));
        for err in ["invalid_request", "invalid_issuer", "invalid_audience", "access_denied", "invalid_state"]
        {
            assert_eq!(push(err), "rejected", "{err}");
            let body = format!(r#"{{"err":"{err}"}}"#);
            assert_eq!(verdict(Format::FxaHeader, 400, &body), "failed", "only a push speaks RFC 8935");
        }
        for err in ["invalid_key", "authentication_failed", "whatever", ""] {
            assert_eq!(push(err), "failed", "{err}");
        }
        for body in ["", "[]", "{}", r#"{"err":7}"#, "<html>"] {
            assert_eq!(verdict(Format::Push, 400, body), "failed", "{body}");
        }
    }

    #[test]
    fn retry_after_is_passed_on() {
        let wait = Some(Duration::from_secs(7));
        for status in [429, 503, 404] {
            let reply = Reply { status, retry_after: wait, body: b"" };
            let Verdict::Failed { retry_after, .. } = judge(Format::Push, &reply) else {
                panic!("{status} is a failure")
            };
            assert_eq!(retry_after, wait);
        }
    }
}
