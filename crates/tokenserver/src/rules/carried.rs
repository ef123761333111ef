use super::RETIRED;
use account::{Change, Millis, State};
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
    /// The account was deleted then.
    Retire(Millis),
}

impl Carried {
    /// What a change at that time means; most mean nothing here. (A disabled account is refused by the ledger's word.)
    pub(crate) fn of(change: &Change, at: Millis) -> Option<Self> {
        match change {
            _ if change.kind().is_password_kind() => Some(Self::Raise(at)),
            _ if change.sets_state() == Some(State::Deleted) => Some(Self::Retire(at)),
            _ => None,
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
}
