use crate::{Facts, Record};
use std::sync::Arc;

/// What a token says, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it says.
    pub facts: Arc<Facts>,
    /// What the house has on record of the account. The default one where no records are kept.
    pub record: Record,
    /// How one came to it.
    pub how: How,
}

/// How one came to an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// It was remembered.
    Remembered,
    /// It was found out for this caller.
    Learned,
    /// It was found out for somebody who asked at the same time.
    Coalesced,
    /// It was remembered and no longer counts, but nothing better is to be had, and the caller allows it.
    Stale,
}

impl How {
    /// A word for it, for metrics and headers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Remembered => "remembered",
            Self::Learned => "learned",
            Self::Coalesced => "coalesced",
            Self::Stale => "stale",
        }
    }
}
