use account::Millis;
use std::time::Duration;

/// So many failures one after another open it.
const FAILURES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// A probe that has not come back by then is taken for lost, and another may go.
const PROBE: Duration = Duration::from_mins(1);

/// A relying party's circuit breaker: while it fails it is spared, and costs nothing; one probe finds out whether it
/// is back. Pure; the time is passed in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    state: State,
    /// How often it opened since the last success.
    opened: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Millis },
    HalfOpen { probe_lost_at: Millis },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

/// How many deliveries a breaker lets begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// As many as there is room for.
    Any,
    /// One, to see: say [`Breaker::probing`] when it goes.
    Probe,
    /// None.
    None,
}

impl Breaker {
    /// What may begin now.
    pub fn admission(&self, now: Millis) -> Admission {
        match self.state {
            State::Closed { .. } => Admission::Any,
            State::Open { until } if now < until => Admission::None,
            State::HalfOpen { probe_lost_at } if now < probe_lost_at => Admission::None,
            State::Open { .. } | State::HalfOpen { .. } => Admission::Probe,
        }
    }

    /// The probe is under way: nobody else goes until it is back.
    pub fn probing(&mut self, now: Millis) {
        self.state = State::HalfOpen { probe_lost_at: now.plus(PROBE) };
    }

    /// There was nothing to probe with after all: another may.
    pub fn not_probing(&mut self, now: Millis) {
        if let State::HalfOpen { .. } = self.state {
            self.state = State::Open { until: now };
        }
    }

    /// A delivery arrived, whatever became of it: the relying party answers.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A delivery failed in a way that says something about the relying party.
    pub fn failed(&mut self, now: Millis, retry_after: Option<Duration>) {
        match &mut self.state {
            State::Closed { failures } if *failures + 1 < FAILURES && retry_after.is_none() => *failures += 1,
            State::Closed { .. } | State::HalfOpen { .. } => self.open(now, retry_after),
            // A late one of those that were under way when it opened.
            State::Open { .. } => {}
        }
    }

    fn open(&mut self, now: Millis, retry_after: Option<Duration>) {
        let wait = FIRST_WAIT.saturating_mul(1 << self.opened.min(10)).min(LONGEST_WAIT);
        self.opened = self.opened.saturating_add(1);
        self.state = State::Open { until: now.plus(wait.max(retry_after.unwrap_or_default())) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Millis {
        Millis::from_seconds(seconds)
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        (0..FAILURES).for_each(|_| breaker.failed(at(0), None));
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let mut breaker = Breaker::default();
        for _ in 0..20 {
            (1..FAILURES).for_each(|_| breaker.failed(at(0), None));
            assert_eq!(breaker.admission(at(0)), Admission::Any);
            breaker.succeeded();
        }
        (0..FAILURES).for_each(|_| breaker.failed(at(0), None));
        assert_eq!(breaker.admission(at(0)), Admission::None);
    }

    #[test]
    fn one_probe_goes_at_a_time_and_a_success_closes_it() {
        let mut breaker = opened();
        assert_eq!(breaker.admission(at(9)), Admission::None);
        assert_eq!(breaker.admission(at(10)), Admission::Probe);
        breaker.probing(at(10));
        assert_eq!(breaker.admission(at(11)), Admission::None);
        breaker.succeeded();
        assert_eq!(breaker.admission(at(11)), Admission::Any);
    }

    #[test]
    fn each_failed_probe_doubles_the_wait_up_to_a_bound() {
        let mut breaker = opened();
        let mut now = at(10);
        let mut waits = Vec::new();
        for _ in 0..8 {
            assert_eq!(breaker.admission(now), Admission::Probe);
            breaker.probing(now);
            breaker.failed(now, None);
            let mut later = now;
            while breaker.admission(later) == Admission::None {
                later = later.plus(Duration::from_secs(1));
            }
            waits.push(later.since(now).as_secs());
            now = later;
        }
        assert_eq!(waits, [20, 40, 80, 160, 300, 300, 300, 300]);
    }

    #[test]
    fn whoever_asks_to_be_spared_is_spared_at_once() {
        let mut breaker = Breaker::default();
        breaker.failed(at(0), Some(Duration::from_secs(90)));
        assert_eq!(breaker.admission(at(89)), Admission::None);
        assert_eq!(breaker.admission(at(90)), Admission::Probe);
    }

    #[test]
    fn a_lost_probe_does_not_keep_it_open_for_ever() {
        let mut breaker = opened();
        breaker.probing(at(10));
        assert_eq!(breaker.admission(at(69)), Admission::None);
        assert_eq!(breaker.admission(at(70)), Admission::Probe);
    }

    proptest! {
        #[test]
        fn whatever_happens_it_admits_again_within_the_longest_wait(
            steps in prop::collection::vec((0_i64..400, 0_u8..3), 0..40)
        ) {
            let (mut breaker, mut now) = (Breaker::default(), 0);
            for (elapsed, what) in steps {
                now += elapsed;
                match what {
                    0 => breaker.succeeded(),
                    1 => breaker.failed(at(now), None),
                    _ if breaker.admission(at(now)) == Admission::Probe => breaker.probing(at(now)),
                    _ => {}
                }
            }
            prop_assert_ne!(breaker.admission(at(now + 300)), Admission::None);
        }
    }
}
