use super::RETIRED;
use account::{Change, Millis, State};
use ledger::News;
use std::time::Duration;

/// How far the identity provider's clock may be behind this house's when a row is dated by its making.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(5);

/// A live row, as far as an account event touches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LiveRow {
    /// Its id.
    pub uid: i64,
    /// The highest generation seen; [`RETIRED`] once the account is deleted.
    pub generation: i64,
    /// When it was made.
    pub created_at: Millis,
    /// Its node.
    pub node_id: i64,
}

/// What an account event means to the rows of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    /// The password is another one since then: older devices are locked out, while the first that comes with the
    /// new generation may still bring a new key. So one below that time.
    Raise(Millis),
    /// The account is deleted, and with it all that was granted until then.
    Retire(Millis),
}

impl Carried {
    /// What an event means; most mean nothing here. (A disabled account is refused by the ledger's word.) A deletion
    /// means what it left the account as: one that came too late retires nobody, and the mark refuses what it ended.
    pub(crate) fn of(news: &News) -> Option<Self> {
        match &news.change {
            change if change.kind().is_password_kind() => Some(Self::Raise(news.at)),
            // All that the mark ends, as requests are judged too.
            Change::Delete { .. } if news.state == State::Deleted => {
                Some(Self::Retire(Millis::new(news.mark.get())))
            }
            _ => None,
        }
    }

    /// Which live rows it changes, for a statement that finds them.
    pub(crate) fn reach(self) -> Reach {
        match self {
            Self::Raise(at) => Reach { below: at.get() - 1, undated_until: Millis::MAX },
            Self::Retire(at) => {
                Reach { below: at.get().saturating_add(1), undated_until: at.plus(CLOCK_TOLERANCE) }
            }
        }
    }

    /// Applies it to a live row; nothing moves backwards, and a row that was granted after a deletion stays.
    pub(crate) fn apply(self, row: &mut LiveRow) {
        match self {
            Self::Raise(at) => row.generation = row.generation.max(at.get() - 1),
            Self::Retire(at) if was_there(row, at) => row.generation = RETIRED,
            Self::Retire(_) => {}
        }
    }
}

/// Live rows that an event changes: those of a lower generation, and of those that have none the ones made by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// The generation it changes no more.
    pub below: i64,
    /// The latest making of a row without a generation.
    pub undated_until: Millis,
}

/// A row is dated by its generation; one that never had any by its making, with patience for clocks that differ.
fn was_there(row: &LiveRow, at: Millis) -> bool {
    match row.generation {
        0 => row.created_at <= at.plus(CLOCK_TOLERANCE),
        generation => generation <= at.get(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use account::{AccountId, IdpId, Mark, Subject};
    use proptest::prelude::*;

    fn after(generation: i64, carried: &[Carried]) -> i64 {
        let mut row = LiveRow { uid: 1, generation, created_at: Millis::new(1_000_000), node_id: 1 };
        for carried in carried {
            carried.apply(&mut row);
        }
        row.generation
    }

    const fn raise(at: i64) -> Carried {
        Carried::Raise(Millis::new(at))
    }

    const fn retire(at: i64) -> Carried {
        Carried::Retire(Millis::new(at))
    }

    #[test]
    fn a_new_password_raises_the_generation_to_one_below_its_time() {
        assert_eq!(after(100, &[raise(1000)]), 999);
        assert_eq!(after(100, &[raise(50)]), 100);
        assert_eq!(after(0, &[raise(0)]), 0);
    }

    #[test]
    fn a_deletion_retires_what_was_there_before_it() {
        assert_eq!(after(100, &[retire(1000)]), RETIRED);
        assert_eq!(after(1001, &[retire(1000)]), 1001, "granted after it");
        assert_eq!(after(0, &[retire(1_000_000)]), RETIRED);
        assert_eq!(after(0, &[retire(999_000)]), RETIRED, "clocks differ");
        assert_eq!(after(0, &[retire(1000)]), 0, "made long after it");
    }

    #[test]
    fn events_are_carried_in_their_order() {
        assert_eq!(after(100, &[retire(200), raise(300)]), RETIRED);
        assert_eq!(after(100, &[raise(300), retire(200)]), 299, "a late word of a deletion that was undone");
    }

    fn news(change: Change, state: State) -> News {
        let account = AccountId::new(IdpId::new("main").expect("valid"), Subject::new("u").expect("valid"));
        News { account, version: 1, at: Millis::new(5), change, mark: Mark::at(Millis::new(9)), state }
    }

    #[test]
    fn a_deletion_retires_by_the_state_and_the_mark_it_left() {
        let delete = || Change::Delete { reason: None };
        assert_eq!(Carried::of(&news(delete(), State::Deleted)), Some(retire(9)));
        assert_eq!(Carried::of(&news(delete(), State::Active)), None, "it came too late");
        assert_eq!(Carried::of(&news(Change::PasswordChange, State::Deleted)), Some(raise(5)));
        assert_eq!(Carried::of(&news(Change::Disable, State::Active)), None);
    }

    proptest! {
        #[test]
        fn what_is_in_reach_is_what_changes(
            generation in 0..20_i64, created_at in 0..1_000_000_i64, at in 0..20_i64, deleted: bool
        ) {
            let carried = if deleted { retire(at) } else { raise(at) };
            let before = LiveRow { uid: 1, generation, created_at: Millis::new(created_at), node_id: 1 };
            let mut after = before;
            carried.apply(&mut after);
            let Reach { below, undated_until } = carried.reach();
            let reached = generation < below && (generation > 0 || before.created_at <= undated_until);
            prop_assert_eq!(reached, after != before);
        }
    }
}
