use account::Millis;

/// How far a drain may be behind before what it missed is let go, in seconds' worth: after an outage it goes on at its
/// rate, and does not make up for it.
const LONGEST_BACKLOG_SECONDS: i64 = 1;

/// So many a second, evenly, from some moment on: never more than that, whatever was missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// A second's worth.
    pub rate: i64,
    /// Since when it is counted.
    pub from: Millis,
    /// How many since then.
    pub done: i64,
}

impl Pace {
    /// How many are due now; what was missed beyond a second's worth is forgotten first.
    pub(crate) fn due(&mut self, now: Millis) -> i64 {
        let due = self.owed(now);
        if due > self.rate * LONGEST_BACKLOG_SECONDS {
            let second = std::time::Duration::from_secs(LONGEST_BACKLOG_SECONDS.unsigned_abs());
            (self.from, self.done) = (now.minus(second), 0);
        }
        self.owed(now).max(0)
    }

    fn owed(&self, now: Millis) -> i64 {
        now.get().saturating_sub(self.from.get()).saturating_mul(self.rate) / 1000 - self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_missed_is_not_made_up_for() {
        let mut pace = Pace { rate: 10, from: Millis::new(1000), done: 0 };
        assert_eq!((pace.due(Millis::new(1000)), pace.due(Millis::new(1099))), (0, 0));
        assert_eq!((pace.due(Millis::new(1100)), pace.due(Millis::new(2000))), (1, 10));
        assert_eq!(pace.due(Millis::new(3_600_000)), 10, "after an outage: a second's worth");
        assert_eq!(pace.due(Millis::new(500)), 0, "a clock that was set back");
    }

    proptest! {
        #[test]
        fn over_any_time_the_rate_is_kept_and_never_exceeded(
            rate in 1..5000i64, steps in prop::collection::vec(1..900i64, 1..200)
        ) {
            let mut pace = Pace { rate, from: Millis::new(0), done: 0 };
            let (mut now, mut done) = (0, 0);
            for step in steps {
                now += step;
                let due = pace.due(Millis::new(now));
                pace.done += due;
                done += due;
                prop_assert!(done <= now * rate / 1000);
                prop_assert!(done >= now * rate / 1000 - 1, "{done} of {rate}/s in {now} ms");
            }
        }
    }
}
