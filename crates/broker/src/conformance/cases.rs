//! What is tried: a table.

use crate::Format;
use Expects::{Refused, RefusedOrTaken, Taken, TakenOrRefused};

/// One thing that is tried.
pub(super) struct Case {
    pub(super) name: &'static str,
    /// What is sent, for people.
    pub(super) sends: &'static str,
    pub(super) forgery: Forgery,
    pub(super) expects: Expects,
    /// What to do when the receiver did the opposite of what is expected.
    pub(super) advice: &'static str,
    to: Family,
}

/// How what is sent differs from a good delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forgery {
    Nothing,
    Again,
    UnknownAccount,
    UnknownEvent,
    OldChange,
    IssuedLongAgo,
    IssuedAhead,
    StreamVerification,
    AlteredAfterSigning,
    Unsigned,
    UnknownKey,
    OtherAudience,
    OtherIssuer,
    NoToken,
    StaleTimestamp,
}

/// What a receiver should do. The errors are those of RFC 8935 section 2.4 that say what is the matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expects {
    /// It takes it.
    Taken,
    /// It takes it; a refusal is bearable.
    TakenOrRefused,
    /// It refuses it.
    Refused(&'static [&'static str]),
    /// It refuses it; many take it.
    RefusedOrTaken(&'static [&'static str]),
}

/// Which receivers a case is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Every,
    Tokens,
    Pushes,
    Webhooks,
}

impl Case {
    /// Whether it is tried on receivers of that format.
    pub(super) fn is_for(&self, format: Format) -> bool {
        match self.to {
            Family::Every => true,
            Family::Tokens => format.is_token(),
            Family::Pushes => format == Format::Push,
            Family::Webhooks => !format.is_token(),
        }
    }
}

impl Expects {
    /// For people.
    pub(super) fn in_words(self, format: Format) -> String {
        let taken = if format == Format::Push { "202" } else { "a status of 200 to 299" };
        let refused = |errors: &[&str]| match format {
            Format::Push => format!("400 with `err` {}", errors.join(" or ")),
            _ => "a status of 400 to 499".to_owned(),
        };
        match self {
            Taken | TakenOrRefused => taken.to_owned(),
            Refused(errors) | RefusedOrTaken(errors) => refused(errors),
        }
    }
}

const SIGNATURE: &[&str] = &["authentication_failed", "invalid_key"];
const KEY: &[&str] = &["invalid_key", "authentication_failed"];

/// Everything that is tried, in its order. The good token comes first: if nobody answers it, nothing else is tried.
pub(super) const CASES: &[Case] = &[
    Case {
        name: "good",
        sends: "a good token",
        forgery: Forgery::Nothing,
        expects: Taken,
        advice: "take it: compare the keys, the issuer and the audience that the receiver was given with those it was sent with",
        to: Family::Every,
    },
    Case {
        name: "duplicate",
        sends: "the same once more, with the same id",
        forgery: Forgery::Again,
        expects: Taken,
        advice: "answer as the first time, and act once: a delivery whose answer was lost comes again with the same id",
        to: Family::Every,
    },
    Case {
        name: "unknown-account",
        sends: "the deletion of an account that nobody has",
        forgery: Forgery::UnknownAccount,
        expects: Taken,
        advice: "take it: an account that is not there needs nothing done, and a refusal is tried again for days",
        to: Family::Every,
    },
    Case {
        name: "unknown-event",
        sends: "an event of a type that nobody has heard of",
        forgery: Forgery::UnknownEvent,
        expects: TakenOrRefused,
        advice: "take it and let it pass: new types of events must not stop the old ones",
        to: Family::Every,
    },
    Case {
        name: "old-change",
        sends: "a change of a year ago",
        forgery: Forgery::OldChange,
        expects: Taken,
        advice: "take it and change nothing that is newer: no retry makes its time younger",
        to: Family::Every,
    },
    Case {
        name: "issued-long-ago",
        sends: "a token issued three days ago, as at the last retry",
        forgery: Forgery::IssuedLongAgo,
        expects: Taken,
        advice: "take it: deliveries are tried for days, and these tokens have no end (`exp`); do not measure their age",
        to: Family::Every,
    },
    Case {
        name: "issued-ahead",
        sends: "a token issued two seconds ahead, as by a clock that is",
        forgery: Forgery::IssuedAhead,
        expects: TakenOrRefused,
        advice: "allow a minute between the clocks when `iat` is checked",
        to: Family::Tokens,
    },
    Case {
        name: "verification",
        sends: "a verification event of the stream without a state",
        forgery: Forgery::StreamVerification,
        expects: Taken,
        advice: "take it: a transmitter may verify its stream by itself, and then there is no state (SSF 1.0 section 8.1.4)",
        to: Family::Pushes,
    },
    Case {
        name: "bad-signature",
        sends: "what was altered after it was signed",
        forgery: Forgery::AlteredAfterSigning,
        expects: Refused(SIGNATURE),
        advice: "verify the signature: anybody can delete accounts here",
        to: Family::Every,
    },
    Case {
        name: "unsigned",
        sends: "a token that says it needs no signature (`alg` none)",
        forgery: Forgery::Unsigned,
        expects: Refused(&["authentication_failed", "invalid_key", "invalid_request"]),
        advice: "accept the algorithms of the published keys alone, never the one a token names: anybody can delete accounts here",
        to: Family::Tokens,
    },
    Case {
        name: "unknown-key",
        sends: "what is signed with a key that was never published",
        forgery: Forgery::UnknownKey,
        expects: Refused(KEY),
        advice: "trust the published keys alone: anybody can delete accounts here",
        to: Family::Every,
    },
    Case {
        name: "wrong-audience",
        sends: "a token for somebody else",
        forgery: Forgery::OtherAudience,
        expects: Refused(&["invalid_audience"]),
        advice: "compare `aud` with the own client id: what another relying party is told could be replayed here",
        to: Family::Tokens,
    },
    Case {
        name: "wrong-issuer",
        sends: "a token of another issuer, signed with the right key",
        forgery: Forgery::OtherIssuer,
        expects: RefusedOrTaken(&["invalid_issuer"]),
        advice: "compare `iss` with the issuer it was given: a key may sign for several",
        to: Family::Tokens,
    },
    Case {
        name: "no-token",
        sends: "something that is no token",
        forgery: Forgery::NoToken,
        expects: Refused(&["invalid_request", "authentication_failed"]),
        advice: "refuse what is no token",
        to: Family::Every,
    },
    Case {
        name: "stale-timestamp",
        sends: "a webhook that was signed an hour ago",
        forgery: Forgery::StaleTimestamp,
        expects: RefusedOrTaken(&[]),
        advice: "refuse a `webhook-timestamp` more than five minutes from now: it is the attempt's, and an old one is a replay",
        to: Family::Webhooks,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_case_has_a_name_of_its_own_and_each_format_its_cases() {
        let names: BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
        let of = |format| CASES.iter().filter(|case| case.is_for(format)).count();
        assert_eq!((of(Format::FxaHeader), of(Format::Push), of(Format::WebhookHmac)), (13, 14, 10));
    }
}
