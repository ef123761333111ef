use super::Lane;
use super::callers::Callers;
use account::Millis;
use outbound::{Rate, TokenBucket};
use std::time::Duration;

/// What an identity provider can be asked, and for whom it is kept. Pure; the time is passed in.
///
/// One bucket bounds all questions. Half of it is kept for known tokens, a quarter for unknown ones; the rest, and what
/// one lane leaves of it by and by, is for whoever comes. Those who ask about unknown tokens take turns.
#[derive(Debug)]
pub(crate) struct Budget {
    all: TokenBucket,
    /// What of `all` is kept for each lane: never more than there is.
    known: TokenBucket,
    unknown: TokenBucket,
    callers: Callers,
}

/// Levels are told as fractions; none is nearer to a whole one than this.
const ONE: f64 = 1.0 - 1e-9;

/// How many questions each lane could ask at once; the part of one that is not there yet included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetLeft {
    /// About tokens that were good not long ago.
    pub known: f64,
    /// About unknown ones.
    pub unknown: f64,
}

impl Budget {
    /// A full one.
    pub(crate) fn new(per_minute: u32, burst: u32, now: Millis) -> Self {
        let bucket = |part| TokenBucket::new(Rate::per_minute(per_minute / part), burst / part, now);
        Self { all: bucket(1), known: bucket(2), unknown: bucket(4), callers: Callers::new(burst / 10, now) }
    }

    /// Takes leave for one question.
    ///
    /// # Errors
    /// How long until there may be one.
    pub(crate) fn take(&mut self, lane: Lane<'_>, now: Millis) -> Result<(), Duration> {
        let others = match lane {
            Lane::Known => 0,
            Lane::Unknown { caller } => self.callers.must_leave(caller, now),
        };
        if self.level(lane, now) - f64::from(others) < ONE {
            if let Lane::Unknown { caller } = lane {
                self.callers.turned_away(caller, now);
            }
            return Err(self.wait(lane, now));
        }
        self.all.take(1, now);
        // The part of one too: else what is kept could be more than there is.
        self.kept(lane).drain(1, now);
        if let Lane::Unknown { caller } = lane {
            self.callers.served(caller, now);
        }
        Ok(())
    }

    pub(crate) fn left(&mut self, now: Millis) -> BudgetLeft {
        let (known, unknown) = (Lane::Known, Lane::Unknown { caller: "" });
        BudgetLeft { known: self.level(known, now), unknown: self.level(unknown, now) }
    }

    /// All there is but what is kept for the other lane.
    fn level(&mut self, lane: Lane<'_>, now: Millis) -> f64 {
        let kept = match lane {
            Lane::Known => self.unknown.level(now),
            Lane::Unknown { .. } => self.known.level(now),
        };
        (self.all.level(now) - kept).max(0.0)
    }

    /// The other lane's part may have to be filled first; with no part of one's own, that is all one can wait for.
    fn wait(&mut self, lane: Lane<'_>, now: Millis) -> Duration {
        const LONG: Duration = Duration::from_mins(1);
        let own = self.kept(lane).wait_for(1, now).unwrap_or(LONG);
        own.max(self.all.wait_for(1, now).unwrap_or(LONG))
    }

    fn kept(&mut self, lane: Lane<'_>) -> &mut TokenBucket {
        match lane {
            Lane::Known => &mut self.known,
            Lane::Unknown { .. } => &mut self.unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: i64 = 60_000;

    fn at(ms: i64) -> Millis {
        Millis::new(ms)
    }

    fn unknown(caller: &str) -> Lane<'_> {
        Lane::Unknown { caller }
    }

    fn budget() -> Budget {
        Budget::new(240, 40, at(0))
    }

    fn taken(budget: &mut Budget, lane: Lane<'_>, now: Millis) -> usize {
        (0..100).filter(|_| budget.take(lane, now).is_ok()).count()
    }

    #[test]
    fn garbage_leaves_what_is_kept_for_known_tokens() {
        let mut budget = budget();
        assert_eq!(taken(&mut budget, unknown("flood"), at(0)), 16);
        assert_eq!(taken(&mut budget, Lane::Known, at(0)), 24);
        assert_eq!(taken(&mut budget, unknown("flood"), at(0)), 0);
    }

    #[test]
    fn known_tokens_leave_what_is_kept_for_new_ones() {
        let mut budget = budget();
        assert_eq!(taken(&mut budget, Lane::Known, at(0)), 30);
        assert_eq!(taken(&mut budget, unknown("a"), at(0)), 6);
        assert!(budget.take(unknown("b"), at(0)).is_ok());
    }

    #[test]
    fn a_lane_that_is_alone_gets_the_whole_rate() {
        for lane in [Lane::Known, unknown("a")] {
            let mut budget = budget();
            let times = (0..10 * MINUTE).step_by(10).map(at);
            let count = times.filter(|now| budget.take(lane, *now).is_ok()).count();
            assert!((2_380..=2_440).contains(&count), "{lane:?}: {count}");
        }
    }

    #[test]
    fn in_a_flood_of_both_lanes_each_gets_what_is_kept_for_it() {
        let mut budget = budget();
        let (mut known, mut new) = (0, 0);
        for ms in (0..10 * MINUTE).step_by(10) {
            new += u32::from(budget.take(unknown("flood"), at(ms)).is_ok());
            known += u32::from(budget.take(Lane::Known, at(ms)).is_ok());
        }
        assert!(known >= 1_190 && new >= 590 && known + new <= 2_440, "{known} and {new}");
    }

    #[test]
    fn floods_turn_no_modest_one_away() {
        let mut budget = budget();
        for ms in (0..10 * MINUTE).step_by(50) {
            for _ in 0..3 {
                let _ = budget.take(unknown("flood"), at(ms));
                let _ = budget.take(Lane::Known, at(ms));
            }
            if ms % 4_000 == 3_950 {
                assert_eq!(budget.take(unknown("modest"), at(ms)), Ok(()), "{ms}");
            }
        }
    }

    #[test]
    fn those_who_ask_without_end_are_served_in_turns_however_fast_they_ask() {
        let mut budget = budget();
        let mut served = [0_u32; 5];
        for ms in (0..10 * MINUTE).step_by(10) {
            // The last one asks every 90 ms.
            for (caller, pause) in ["a", "b", "c", "d", "e"].into_iter().zip([10, 30, 50, 70, 90]) {
                if ms % pause == 0 && budget.take(unknown(caller), at(ms)).is_ok() {
                    served[usize::from(caller.as_bytes()[0] - b'a')] += 1;
                }
            }
        }
        assert!(served.iter().sum::<u32>() > 2_380, "{served:?}");
        assert!(served.iter().all(|count| count.abs_diff(480) < 24), "{served:?}");
    }

    #[test]
    fn whoever_must_wait_is_told_how_long() {
        let mut budget = budget();
        taken(&mut budget, Lane::Known, at(0));
        let wait = budget.take(Lane::Known, at(0)).expect_err("used up");
        assert_eq!(wait, Duration::from_millis(500));
        assert!(budget.take(Lane::Known, at(0).plus(wait)).is_ok());
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_has_more_questions_than_allowed_and_what_is_kept_is_there(
            per_minute in 1_u32..1_000, burst in 1_u32..100,
            steps in prop::collection::vec((0_i64..3_000, 0_usize..4), 1..200)
        ) {
            let mut budget = Budget::new(per_minute, burst, at(0));
            let (mut now, mut count) = (0, 0_u64);
            for (elapsed, who) in steps {
                now += elapsed;
                let lane = [Lane::Known, unknown("a"), unknown("b"), unknown("c")][who];
                let kept = budget.kept(lane).level(at(now));
                let others = match lane {
                    Lane::Known => 0,
                    Lane::Unknown { caller } => budget.callers.must_leave(caller, at(now)),
                };
                let outcome = budget.take(lane, at(now));
                prop_assert!(outcome.is_ok() || kept - f64::from(others) < ONE);
                count += u64::from(outcome.is_ok());
            }
            let most = u64::from(burst) + now.unsigned_abs() * u64::from(per_minute) / 60_000;
            prop_assert!(count <= most, "{count} of {most}");
        }
    }
}
