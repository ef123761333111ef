//! The life of a delivery: a state machine. An attempt's verdict goes in, what follows comes out.
//!
//! ```text
//! pending ──▶ delivered     it has it
//!    ▲ │ ──▶ exhausted      tried for as long as its relying party's schedule lasts
//!    └─┘ ──▶ rejected       it will never take it
//!        ──▶ discarded      nobody to tell, or overtaken by something that makes it void
//! ```

use crate::{RetryPolicy, Verdict};
use account::Millis;
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// How a delivery ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Terminal {
    /// The relying party has it.
    Delivered,
    /// Every try failed. It is kept and can be replayed.
    Exhausted,
    /// The relying party will never take it.
    Rejected,
    /// It was not told, for the reason its row gives.
    Discarded,
}

impl Terminal {
    /// As kept in the store, where 0 is pending.
    pub const fn code(self) -> i64 {
        match self {
            Self::Delivered => 1,
            Self::Exhausted => 2,
            Self::Rejected => 3,
            Self::Discarded => 4,
        }
    }

    /// From the store; `None` is pending.
    pub const fn from_code(code: i64) -> Option<Self> {
        match code {
            1 => Some(Self::Delivered),
            2 => Some(Self::Exhausted),
            3 => Some(Self::Rejected),
            4 => Some(Self::Discarded),
            _ => None,
        }
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Exhausted => "exhausted",
            Self::Rejected => "rejected",
            Self::Discarded => "discarded",
        }
    }

    /// By its word.
    pub fn from_word(word: &str) -> Option<Self> {
        (1..=4).filter_map(Self::from_code).find(|it| it.as_str() == word)
    }
}

impl fmt::Display for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a delivery stands after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It has ended so.
    Ended(Terminal),
    /// It is tried again then.
    Again(Millis),
}

/// What else follows from an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The next delivery of the same relying party and account may go.
    ReleaseLine,
    /// The relying party took something: its failing, if it was, is over.
    RpTakes,
    /// The relying party failed once more.
    RpFails,
    /// The relying party wants nothing any more: it is disabled.
    DisableRp,
}

/// What follows from an attempt at a pending delivery that had failed `failures` times before it.
pub fn after(
    verdict: &Verdict,
    failures: u32,
    retry: &RetryPolicy,
    now: Millis,
    seed: u64,
) -> (Next, Vec<Effect>) {
    use Effect::{DisableRp, ReleaseLine, RpFails, RpTakes};
    let (next, mut effects) = match verdict {
        Verdict::Delivered => (Next::Ended(Terminal::Delivered), vec![RpTakes]),
        Verdict::Rejected { .. } => (Next::Ended(Terminal::Rejected), vec![]),
        Verdict::Gone => (Next::Ended(Terminal::Rejected), vec![DisableRp]),
        Verdict::Failed { retry_after, .. } => {
            let again = retry.next(failures.saturating_add(1), now, *retry_after, seed);
            (again.map_or(Next::Ended(Terminal::Exhausted), Next::Again), vec![RpFails])
        }
    };
    if let Next::Ended(_) = next {
        effects.push(ReleaseLine);
    }
    (next, effects)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Millis = Millis::new(1_000_000);

    fn failed(strains: bool) -> Verdict {
        Verdict::Failed { retry_after: None, strains, why: "x".into() }
    }

    #[test]
    fn each_verdict_has_its_consequences() {
        use Effect::{DisableRp, ReleaseLine, RpFails, RpTakes};
        let retry = RetryPolicy { delays_seconds: vec![10] };
        let rejected = Verdict::Rejected { why: "invalid_request".into() };
        let table: [(Verdict, u32, &str, &[Effect]); 6] = [
            (Verdict::Delivered, 0, "delivered", &[RpTakes, ReleaseLine]),
            (rejected, 0, "rejected", &[ReleaseLine]),
            (Verdict::Gone, 0, "rejected", &[DisableRp, ReleaseLine]),
            (failed(true), 0, "again", &[RpFails]),
            (failed(false), 0, "again", &[RpFails]),
            (failed(true), 1, "exhausted", &[RpFails, ReleaseLine]),
        ];
        for (verdict, failures, expected, effects) in table {
            let (next, caused) = after(&verdict, failures, &retry, NOW, 0);
            let next = match next {
                Next::Ended(how) => how.as_str(),
                Next::Again(_) => "again",
            };
            assert_eq!((next, caused.as_slice()), (expected, effects), "{verdict:?}");
        }
    }

    #[test]
    fn a_state_survives_its_code_and_its_word() {
        for code in 1..=4 {
            let state = Terminal::from_code(code).expect("a state");
            assert_eq!((state.code(), Terminal::from_word(state.as_str())), (code, Some(state)));
        }
        assert_eq!((Terminal::from_code(0), Terminal::from_word("pending")), (None, None));
    }

    proptest! {
        #[test]
        fn a_delivery_ends_after_as_many_failures_as_its_schedule_has_and_one(
            delays in prop::collection::vec(0_u32..1_000, 0..8), strains: bool, seed: u64
        ) {
            let retry = RetryPolicy { delays_seconds: delays.clone() };
            let (mut now, mut failures) = (NOW, 0);
            loop {
                let (next, effects) = after(&failed(strains), failures, &retry, now, seed);
                failures += 1;
                match next {
                    Next::Again(at) => { prop_assert!(at >= now); now = at; }
                    Next::Ended(how) => {
                        prop_assert_eq!(how, Terminal::Exhausted);
                        prop_assert!(effects.contains(&Effect::ReleaseLine), "its line is free");
                        break;
                    }
                }
            }
            prop_assert_eq!(usize::try_from(failures).expect("small"), delays.len() + 1);
        }
    }
}
