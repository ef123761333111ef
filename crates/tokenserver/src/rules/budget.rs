//! Budgets: so many at once, and as many again in every span. One number tells how much of a budget is used: the moment at
//! which it is whole again.

use account::Millis;
use std::time::Duration;

/// So many in a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// What one costs, in microseconds of the span.
    step: i64,
    /// The span, in microseconds.
    span: i64,
}

/// The moment at which a budget is whole again, in microseconds since the epoch. One that was never used is whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Whole(i64);

impl Budget {
    /// `None` for no bound.
    pub(crate) fn new(count: u32, span: Duration) -> Option<Self> {
        let span = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        (count > 0).then(|| Self { step: (span / i64::from(count)).max(1), span })
    }

    /// Takes one, when there is one left: the moment at which it is whole again after that. Else how long it takes until
    /// there is one.
    pub(crate) fn take(self, whole: Whole, now: Millis) -> Result<Whole, Duration> {
        let now = now.get().saturating_mul(1000);
        // Never further ahead than the span, however the clock was set since.
        let used = whole.0.clamp(now, now.saturating_add(self.span));
        let then = used.saturating_add(self.step);
        match then.saturating_sub(now.saturating_add(self.span)) {
            over if over > 0 => Err(Duration::from_micros(over.unsigned_abs())),
            _ => Ok(Whole(then)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: Duration = Duration::from_hours(1);

    /// How many are taken one after the other at that moment.
    fn taken(budget: Budget, whole: &mut Whole, at: i64) -> usize {
        let mut count = 0;
        while let Ok(then) = budget.take(*whole, Millis::new(at)) {
            *whole = then;
            count += 1;
        }
        count
    }

    #[test]
    fn so_many_go_at_once_and_as_many_again_in_every_span() {
        let budget = Budget::new(60, HOUR).expect("a bound");
        let mut whole = Whole::default();
        assert_eq!(taken(budget, &mut whole, 1_000_000), 60);
        assert_eq!(budget.take(whole, Millis::new(1_000_000)), Err(Duration::from_mins(1)));
        assert_eq!(taken(budget, &mut whole, 1_000_000 + 59_999), 0);
        assert_eq!(taken(budget, &mut whole, 1_000_000 + 60_000), 1);
        assert_eq!(taken(budget, &mut whole, 1_000_000 + 3_660_000), 60, "never more than a span's worth");
        assert_eq!(Budget::new(0, HOUR), None);
    }

    #[test]
    fn a_clock_that_was_set_back_bars_nobody_for_longer_than_a_span() {
        let budget = Budget::new(2, HOUR).expect("a bound");
        let mut whole = Whole::default();
        taken(budget, &mut whole, 1_000_000_000_000);
        assert_eq!(budget.take(whole, Millis::new(1_000)), Err(HOUR / 2));
    }

    proptest! {
        #[test]
        fn in_no_stretch_of_time_is_more_taken_than_two_spans_hold(
            count in 1..50u32, pauses in prop::collection::vec(0..200_000i64, 1..200)
        ) {
            let span = Duration::from_mins(1);
            let budget = Budget::new(count, span).expect("a bound");
            let (mut whole, mut now, mut times) = (Whole::default(), 1_000_000, Vec::new());
            for pause in pauses {
                now += pause / 100;
                if let Ok(then) = budget.take(whole, Millis::new(now)) {
                    whole = then;
                    times.push(now);
                }
            }
            for (n, from) in times.iter().enumerate() {
                let within = times[n..].iter().filter(|at| *at - from < 60_000).count();
                prop_assert!(within <= 2 * count as usize, "{within} within a span of {count}");
            }
        }
    }
}
