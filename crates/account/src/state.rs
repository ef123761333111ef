use crate::Millis;
use serde::{Deserialize, Serialize};

/// Whether an account may act. Ordered by strictness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It may act.
    #[default]
    Active,
    /// It may not, for now.
    Disabled,
    /// It is gone.
    Deleted,
}

impl State {
    /// As kept in the store.
    pub const fn code(self) -> i64 {
        match self {
            Self::Active => 0,
            Self::Disabled => 1,
            Self::Deleted => 2,
        }
    }

    /// From the store. An unknown code is read as the strictest state: refusing is safe, serving is not.
    pub const fn from_code(code: i64) -> Self {
        match code {
            0 => Self::Active,
            1 => Self::Disabled,
            _ => Self::Deleted,
        }
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
        }
    }
}

/// The state register: last writer by event time wins; on a tie the stricter state does.
///
/// Merging is commutative, associative and idempotent, so any order and any duplication ends in the same state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StateAt {
    /// The event time of the change that set it.
    pub at: Millis,
    /// The state it set.
    pub state: State,
}

impl StateAt {
    /// The winner of the two. (Ordered by time, then strictness: the maximum wins.)
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        self.max(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_state_at() -> impl Strategy<Value = StateAt> {
        (0..4i64, 0..3i64)
            .prop_map(|(at, code)| StateAt { at: Millis::new(at), state: State::from_code(code) })
    }

    proptest! {
        #[test]
        fn any_order_and_duplication_ends_in_the_same_state(
            changes in prop::collection::vec(any_state_at(), 1..8), seed in any::<u64>()
        ) {
            let forward = changes.iter().copied().fold(StateAt::default(), StateAt::merged);
            let mut shuffled: Vec<_> = changes.iter().chain(&changes).copied().collect();
            let length = shuffled.len();
            for i in 0..length {
                shuffled.swap(i, usize::try_from(seed.rotate_left(u32::try_from(i).expect("small"))).expect("64 bit") % length);
            }
            prop_assert_eq!(shuffled.into_iter().fold(StateAt::default(), StateAt::merged), forward);
        }
    }

    #[test]
    fn the_stricter_state_wins_a_tie() {
        let at = |state| StateAt { at: Millis::new(7), state };
        assert_eq!(at(State::Active).merged(at(State::Disabled)), at(State::Disabled));
        assert_eq!(at(State::Deleted).merged(at(State::Disabled)), at(State::Deleted));
    }
}
