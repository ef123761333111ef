use crate::Millis;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// How far into the future a change time may lie before it is taken for a wrong clock.
const FUTURE_TOLERANCE: Duration = Duration::from_mins(5);

/// An account's high-water mark: the highest change time that ended grants. It only rises.
///
/// Whatever was granted at or below it is refused. [`Mark::NONE`] is below every grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mark(i64);

impl Mark {
    /// No event has raised it yet.
    pub const NONE: Self = Self(0);

    /// A mark at a change time.
    pub const fn at(change: Millis) -> Self {
        Self(change.get())
    }

    /// The higher of the two.
    #[must_use]
    pub fn raised_to(self, change: Millis) -> Self {
        self.max(Self::at(change))
    }

    /// As milliseconds since the epoch; 0 when nothing raised it.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Where a grant born then stands.
    pub fn standing(self, birth: Birth) -> Standing {
        if self == Self::NONE || birth.earliest.get() > self.0 {
            Standing::Above
        } else if birth.latest.get() <= self.0 {
            Standing::Below
        } else {
            Standing::Straddles
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// When a grant was born, at the resolution its clock has: every moment from `earliest` to `latest` is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Birth {
    /// The first moment it can have been born.
    pub earliest: Millis,
    /// The last one.
    pub latest: Millis,
}

impl Birth {
    /// Known to the millisecond (`fxa-generation`).
    pub const fn exactly(at: Millis) -> Self {
        Self { earliest: at, latest: at }
    }

    /// Known to the second (`auth_time`, an integer `iat`): any of its thousand milliseconds.
    pub fn within_second(seconds: i64) -> Self {
        let earliest = Millis::from_seconds(seconds);
        Self { earliest, latest: earliest.plus(Duration::from_millis(999)) }
    }
}

/// Where a grant stands to the mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Wholly above: it counts.
    Above,
    /// Wholly at or below: refused.
    Below,
    /// Its resolution is too coarse to tell: ask the identity provider again.
    Straddles,
}

impl Millis {
    /// This change time, or the time of receipt when it lies more than five minutes in the future of it.
    /// The flag says that it was clamped, so that somebody can be warned.
    pub fn clamped_to_receipt(self, received_at: Self) -> (Self, bool) {
        if self > received_at.plus(FUTURE_TOLERANCE) { (received_at, true) } else { (self, false) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_at_the_mark_is_below_it() {
        let mark = Mark::at(Millis::new(1500));
        assert_eq!(mark.standing(Birth::exactly(Millis::new(1500))), Standing::Below);
        assert_eq!(mark.standing(Birth::exactly(Millis::new(1501))), Standing::Above);
    }

    #[test]
    fn a_birth_known_to_the_second_is_judged_as_a_whole_second() {
        let mark = Mark::at(Millis::new(1500));
        assert_eq!(mark.standing(Birth::within_second(0)), Standing::Below);
        assert_eq!(mark.standing(Birth::within_second(1)), Standing::Straddles);
        assert_eq!(mark.standing(Birth::within_second(2)), Standing::Above);
        assert_eq!(Mark::at(Millis::new(1999)).standing(Birth::within_second(1)), Standing::Below);
    }

    #[test]
    fn no_mark_refuses_nothing() {
        assert_eq!(Mark::NONE.standing(Birth::exactly(Millis::ZERO)), Standing::Above);
    }

    #[test]
    fn a_change_time_in_the_far_future_becomes_the_time_of_receipt() {
        let received = Millis::new(1_000_000);
        assert_eq!(Millis::new(1_300_000).clamped_to_receipt(received), (Millis::new(1_300_000), false));
        assert_eq!(Millis::new(1_300_001).clamped_to_receipt(received), (received, true));
    }
}
