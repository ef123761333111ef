use super::{Budget, BudgetLeft, Lane};
use account::Millis;
use outbound::{Admission, Breaker, BreakerRules, Spread};
use std::time::Duration;

/// One blip opens nothing; five in a row spare the other side for a second at most. So it is known to be well again within
/// two seconds of a short outage, and a long one costs it a question in half a minute.
const RULES: BreakerRules = BreakerRules {
    failures: 5,
    first_wait: Duration::from_secs(1),
    longest_wait: Duration::from_secs(30),
    probe: Duration::from_mins(1),
};

/// What every question must pass: the other side is not spared just now, and there is budget left. Pure; the time is
/// passed in, and chance too.
#[derive(Debug)]
pub(crate) struct Gate {
    breaker: Breaker,
    budget: Option<Budget>,
}

/// Why a question is not asked now, and how long that lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Spared(Duration),
    Budget(Duration),
}

/// What came of a question, as far as it tells how the other side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It answers.
    Answer,
    /// It does not, or not as it should; and it may have said when to come again.
    Failure { retry_after: Option<Duration> },
}

impl Gate {
    /// An open one; without a budget there is no bound.
    pub(crate) const fn new(budget: Option<Budget>) -> Self {
        Self { breaker: Breaker::new(RULES), budget }
    }

    /// How long the other side is to be left alone; zero when it may be asked.
    pub(crate) fn spared_for(&self, now: Millis) -> Duration {
        self.breaker.wait(now)
    }

    /// Lets one question through. Whoever is let through says what came of it, by [`Gate::heard`] or [`Gate::unheard`].
    pub(crate) fn pass(&mut self, lane: Lane<'_>, now: Millis) -> Result<(), Held> {
        let admission = self.breaker.admission(now);
        if admission == Admission::None {
            return Err(Held::Spared(self.breaker.wait(now)));
        }
        if let Some(budget) = &mut self.budget {
            budget.take(lane, now).map_err(Held::Budget)?;
        }
        if admission == Admission::Probe {
            self.breaker.probing(now);
        }
        Ok(())
    }

    /// What came of a question.
    pub(crate) fn heard(&mut self, heard: Heard, now: Millis, spread: Spread) {
        match heard {
            Heard::Answer => self.breaker.succeeded(),
            Heard::Failure { retry_after } => self.breaker.failed(now, retry_after, spread),
        }
    }

    /// A question was given up: if it was to find out how the other side is, another may.
    pub(crate) fn unheard(&mut self, now: Millis) {
        self.breaker.not_probing(now);
    }

    /// The breaker's name for its state.
    pub(crate) const fn breaker(&self) -> &'static str {
        self.breaker.name()
    }

    /// What is left of the budget, if there is a bound.
    pub(crate) fn left(&mut self, now: Millis) -> Option<BudgetLeft> {
        self.budget.as_mut().map(|budget| budget.left(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: i64) -> Millis {
        Millis::new(ms)
    }

    fn failure(retry_after: Option<u64>) -> Heard {
        Heard::Failure { retry_after: retry_after.map(Duration::from_secs) }
    }

    #[test]
    fn one_blip_holds_nobody_back() {
        let mut gate = Gate::new(None);
        assert_eq!(gate.pass(Lane::Known, at(0)), Ok(()));
        gate.heard(failure(None), at(0), Spread::NONE);
        assert_eq!(gate.pass(Lane::Known, at(0)), Ok(()));
    }

    #[test]
    fn after_an_outage_one_probe_goes_within_a_second_and_its_answer_lets_all_through() {
        let mut gate = Gate::new(None);
        for _ in 0..5 {
            gate.heard(failure(None), at(0), Spread::of(128));
        }
        assert_eq!(gate.pass(Lane::Known, at(0)), Err(Held::Spared(Duration::from_millis(750))));
        assert_eq!(gate.pass(Lane::Known, at(750)), Ok(()));
        assert!(matches!(gate.pass(Lane::Known, at(751)), Err(Held::Spared(_))));
        gate.heard(Heard::Answer, at(800), Spread::NONE);
        assert_eq!(gate.pass(Lane::Known, at(800)), Ok(()));
        assert_eq!(gate.breaker(), "closed");
    }

    #[test]
    fn a_probe_that_was_given_up_makes_room_for_another() {
        let mut gate = Gate::new(None);
        gate.heard(failure(Some(10)), at(0), Spread::NONE);
        assert_eq!(gate.pass(Lane::Known, at(10_000)), Ok(()));
        gate.unheard(at(10_001));
        assert_eq!(gate.pass(Lane::Known, at(10_001)), Ok(()));
    }

    #[test]
    fn a_question_without_budget_is_no_probe() {
        let mut gate = Gate::new(Some(Budget::new(60, 1, at(0))));
        assert_eq!(gate.pass(Lane::Known, at(0)), Ok(()));
        gate.heard(failure(Some(1)), at(0), Spread::NONE);
        gate.budget = Some(Budget::new(1, 0, at(0)));
        assert!(matches!(gate.pass(Lane::Known, at(1_000)), Err(Held::Budget(_))));
        assert_eq!(gate.breaker(), "open");
    }

    proptest! {
        #[test]
        fn nobody_passes_before_the_other_side_wants_to_be_asked(
            steps in prop::collection::vec((0_i64..5_000, prop::option::of(0_u64..60), any::<u8>()), 1..50)
        ) {
            let (mut gate, mut now, mut not_before) = (Gate::new(None), 0, at(0));
            for (elapsed, retry_after, random) in steps {
                now += elapsed;
                if gate.pass(Lane::Known, at(now)).is_ok() {
                    prop_assert!(at(now) >= not_before);
                    gate.heard(failure(retry_after), at(now), Spread::of(random));
                    not_before = not_before.max(at(now).plus(Duration::from_secs(retry_after.unwrap_or(0))));
                }
            }
        }
    }
}
