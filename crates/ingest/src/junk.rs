use std::fmt;

/// Why a message is no account event. It is kept as a dead letter under this code, counted and acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Over [`MAX_BODY`](crate::decode::MAX_BODY) bytes.
    TooLarge,
    /// Not UTF-8 text (RFC 8259 section 8.1).
    NotUtf8,
    /// Not JSON.
    NotJson,
    /// JSON, but no object.
    NotAnObject,
    /// No `event` member, or an empty one.
    MissingEvent,
    /// No `uid` member, or an empty one.
    MissingUid,
    /// A member that this kind of event cannot do without is not there.
    MissingMember,
    /// A member that counts has another type.
    WrongType,
    /// An id longer than any store keeps.
    TooLong,
    /// A control character (NUL among them) in an id.
    ControlCharacter,
    /// A change of the password with no time that says when.
    NoTime,
    /// About an account of an identity provider that the source may not speak for.
    Foreign,
    /// A well-formed event that the ledger will not take.
    Refused,
}

impl Reason {
    /// Every reason there is.
    pub const ALL: [Self; 13] = [
        Self::TooLarge,
        Self::NotUtf8,
        Self::NotJson,
        Self::NotAnObject,
        Self::MissingEvent,
        Self::MissingUid,
        Self::MissingMember,
        Self::WrongType,
        Self::TooLong,
        Self::ControlCharacter,
        Self::NoTime,
        Self::Foreign,
        Self::Refused,
    ];

    /// The code as kept in `dead_letters` and shown in metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::NotUtf8 => "not_utf8",
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::MissingEvent => "missing_event",
            Self::MissingUid => "missing_uid",
            Self::MissingMember => "missing_member",
            Self::WrongType => "wrong_type",
            Self::TooLong => "too_long",
            Self::ControlCharacter => "control_character",
            Self::NoTime => "no_time",
            Self::Foreign => "foreign",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A message that is no account event, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Junk {
    /// The kind of trouble.
    pub reason: Reason,
    /// What exactly, for whoever looks at the dead letter. Names members, never repeats the body.
    pub detail: String,
}

impl Junk {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// An optional member that was dropped, while the event itself counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Note {
    /// Which member.
    pub member: &'static str,
    /// What was odd about it.
    pub oddity: Oddity,
}

/// What can be odd about an optional member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Oddity {
    /// Another type than it should have.
    WrongType,
    /// A number that is no possible moment.
    OutOfRange,
    /// A control character in it.
    ControlCharacter,
    /// Not in the form it must have.
    Malformed,
    /// A `reason` that is not there, or empty.
    Missing,
    /// A `reason` in a word that is not known.
    UnknownString,
    /// A `reason` that is no string.
    NonString,
}

impl Oddity {
    /// The word for it, as a metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WrongType => "wrong_type",
            Self::OutOfRange => "out_of_range",
            Self::ControlCharacter => "control_character",
            Self::Malformed => "malformed",
            Self::Missing => "missing",
            Self::UnknownString => "unknown_string",
            Self::NonString => "non_string",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_reason_has_a_code_of_its_own() {
        let codes: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
    }
}
