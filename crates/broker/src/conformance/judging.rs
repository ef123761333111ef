//! What an answer says of a receiver. Pure.

use super::Grade;
use super::cases::{Case, Expects};
use crate::Format;
use crate::trial::Exchange;
use crate::verdict::push_error;
use outbound::OutboundError;

/// What came of a request, as far as it is judged.
pub(super) enum Reaction {
    Answer {
        status: u16,
        /// The `err` of RFC 8935 section 2.3, if the body is such an object.
        err: Option<String>,
    },
    Nothing {
        why: String,
        in_time: bool,
    },
}

impl Reaction {
    pub(super) fn of(exchange: &Exchange) -> Self {
        match &exchange.answer {
            Ok(answer) => Self::Answer { status: answer.status().as_u16(), err: push_error(answer.body()) },
            Err(error) => Self::Nothing {
                why: error.to_string(),
                in_time: !matches!(error, OutboundError::Timeout { .. }),
            },
        }
    }

    pub(super) const fn status(&self) -> Option<u16> {
        match self {
            Self::Answer { status, .. } => Some(*status),
            Self::Nothing { .. } => None,
        }
    }
}

/// How a receiver did in a case, and what to do about it.
pub(super) fn judged(case: &Case, format: Format, reaction: &Reaction) -> (Grade, Option<String>) {
    match judge(case, format, reaction) {
        Ok(()) => (Grade::Pass, None),
        Err((grade, advice)) => (grade, Some(advice)),
    }
}

fn judge(case: &Case, format: Format, reaction: &Reaction) -> Result<(), (Grade, String)> {
    let fail = |advice: &str| Err((Grade::Fail, advice.to_owned()));
    let warn = |advice: &str| Err((Grade::Warn, advice.to_owned()));
    let (status, err) = match reaction {
        Reaction::Nothing { in_time: true, .. } => {
            return fail("see that it can be reached, and that it answers every request");
        }
        Reaction::Nothing { in_time: false, .. } => {
            return fail("answer at once and act afterwards: what is not answered in time is sent again");
        }
        Reaction::Answer { status, err } => (*status, err.as_deref()),
    };
    match (status, case.expects) {
        (300..=399, _) => fail("answer where the request is sent: no redirect is followed"),
        (410, _) => fail("410 says that nobody is here any more, and disables the relying party"),
        (429, _) => {
            fail("let the transmitter through: a rate limit or a firewall stands before the receiver")
        }
        (200..=299, Expects::Taken | Expects::TakenOrRefused) if format != Format::Push || status == 202 => {
            Ok(())
        }
        (200..=299, Expects::Taken | Expects::TakenOrRefused) => {
            warn("answer 202 to what is taken (RFC 8935 section 2.2)")
        }
        (200..=299, Expects::Refused(_)) | (400..=499, Expects::Taken) => fail(case.advice),
        (200..=299, Expects::RefusedOrTaken(_)) | (400..=499, Expects::TakenOrRefused) => warn(case.advice),
        (400..=499, Expects::Refused(errors) | Expects::RefusedOrTaken(errors)) => {
            refused(format, status, err, errors).map_err(|advice| (Grade::Warn, advice))
        }
        (500..=599, Expects::Refused(_) | Expects::RefusedOrTaken(_)) => fail(
            "answer what is refused with a status of 400 to 499: after a 5xx the same is sent again for days",
        ),
        (500..=599, _) => fail(&format!("{}; a 5xx says that the receiver itself is broken", case.advice)),
        _ => fail("answer with a status of HTTP that says what happened"),
    }
}

/// Whether a refusal says what is the matter, in the format that has words for it.
fn refused(format: Format, status: u16, err: Option<&str>, errors: &[&str]) -> Result<(), String> {
    if format != Format::Push {
        return Ok(());
    }
    let wanted = errors.first().copied().unwrap_or("invalid_request");
    match err {
        Some(err) if status == 400 && errors.contains(&err) => Ok(()),
        Some(err) if status == 400 => Err(format!(
            "say `{wanted}` rather than `{err}` (RFC 8935 section 2.4): it tells the transmitter what to mend"
        )),
        _ => Err(format!(
            "answer 400 with a JSON object whose `err` is `{wanted}` (RFC 8935 section 2.3): the transmitter cannot tell this from trouble"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::cases::CASES;
    use super::*;
    use Format::{FxaHeader, Push, WebhookHmac};

    fn case(name: &str) -> &'static Case {
        CASES.iter().find(|case| case.name == name).expect("a case of that name")
    }

    fn grade(name: &str, format: Format, status: u16, err: &str) -> &'static str {
        let err = (!err.is_empty()).then(|| err.to_owned());
        match judged(case(name), format, &Reaction::Answer { status, err }) {
            (Grade::Pass, None) => "pass",
            (Grade::Warn, Some(_)) => "warn",
            (Grade::Fail, Some(_)) => "fail",
            odd => panic!("advice goes with what is not right: {odd:?}"),
        }
    }

    #[test]
    fn what_is_good_is_taken_with_the_status_of_its_format() {
        for (format, status, expected) in [
            (FxaHeader, 200, "pass"),
            (FxaHeader, 202, "pass"),
            (FxaHeader, 204, "pass"),
            (WebhookHmac, 200, "pass"),
            (Push, 202, "pass"),
            (Push, 200, "warn"),
            (FxaHeader, 302, "fail"),
            (FxaHeader, 400, "fail"),
            (FxaHeader, 401, "fail"),
            (Push, 400, "fail"),
            (FxaHeader, 410, "fail"),
            (FxaHeader, 429, "fail"),
            (FxaHeader, 500, "fail"),
            (FxaHeader, 100, "fail"),
        ] {
            for name in ["good", "duplicate", "unknown-account", "old-change", "issued-long-ago"] {
                assert_eq!(grade(name, format, status, ""), expected, "{name} {format:?} {status}");
            }
        }
    }

    #[test]
    fn what_is_forged_is_refused_and_a_push_says_why() {
        for name in ["bad-signature", "unsigned", "unknown-key", "wrong-audience", "no-token"] {
            for (format, status, expected) in [
                (FxaHeader, 400, "pass"),
                (FxaHeader, 401, "pass"),
                (FxaHeader, 403, "pass"),
                (WebhookHmac, 400, "pass"),
                (FxaHeader, 200, "fail"),
                (Push, 202, "fail"),
                (FxaHeader, 500, "fail"),
                (Push, 503, "fail"),
                (Push, 401, "warn"),
                (Push, 400, "warn"),
            ] {
                assert_eq!(grade(name, format, status, ""), expected, "{name} {format:?} {status}");
            }
        }
        for (name, err, expected) in [
            ("bad-signature", "authentication_failed", "pass"),
            ("bad-signature", "invalid_key", "pass"),
            ("bad-signature", "invalid_request", "warn"),
            ("unknown-key", "invalid_key", "pass"),
            ("wrong-audience", "invalid_audience", "pass"),
            ("wrong-audience", "invalid_issuer", "warn"),
            ("wrong-issuer", "invalid_issuer", "pass"),
            ("no-token", "invalid_request", "pass"),
            ("no-token", "invalid_audience", "warn"),
        ] {
            assert_eq!(grade(name, Push, 400, err), expected, "{name} {err}");
            assert_eq!(grade(name, Push, 403, err), "warn", "the status is wrong");
        }
    }

    #[test]
    fn what_many_receivers_do_is_a_warning() {
        assert_eq!(grade("wrong-issuer", FxaHeader, 200, ""), "warn");
        assert_eq!(grade("wrong-issuer", FxaHeader, 401, ""), "pass");
        assert_eq!(grade("unknown-event", Push, 400, "invalid_request"), "warn");
        assert_eq!(grade("issued-ahead", FxaHeader, 401, ""), "warn");
        assert_eq!(grade("stale-timestamp", WebhookHmac, 200, ""), "warn");
        assert_eq!(grade("stale-timestamp", WebhookHmac, 400, ""), "pass");
    }

    #[test]
    fn silence_is_a_failure_and_lateness_has_its_own_advice() {
        for (in_time, begins) in [(true, "see that it can be reached"), (false, "answer at once")] {
            let reaction = Reaction::Nothing { why: "x".into(), in_time };
            let (grade, advice) = judged(case("good"), FxaHeader, &reaction);
            assert_eq!(grade, Grade::Fail);
            assert!(advice.expect("an advice").starts_with(begins));
        }
    }
}
