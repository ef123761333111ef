use account::Millis;
use std::time::Duration;

/// The longest that anybody is spared on the word of a `Retry-After`, and a little: a time further ahead can only come
/// from a clock that was set back.
const FURTHEST: Duration = Duration::from_mins(62);

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRules {
    /// So many failures one after another open it.
    pub failures: u32,
    /// How long it stays open the first time; twice as long after each probe that fails.
    pub first_wait: Duration,
    /// How long at most, unless the other side asks for longer.
    pub longest_wait: Duration,
    /// A probe that has not come back by then is taken for lost, and another may go.
    pub probe: Duration,
}

/// A circuit breaker: while the other side fails it is spared, and costs nothing; one probe finds out whether it is
/// back. Pure; the time is passed in, and chance too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    rules: BreakerRules,
    state: State,
    /// How often it opened since the last success.
    opened: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Millis },
    HalfOpen { probe_lost_at: Millis },
}

/// How many requests a breaker lets begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// As many as there is room for.
    Any,
    /// One, to see: say [`Breaker::probing`] when it goes.
    Probe,
    /// None.
    None,
}

/// How far a wait is moved from where it would end, so that many who wait do not come back together: a number that was
/// drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread(u8);

impl Spread {
    /// Not at all.
    pub const NONE: Self = Self(0);

    /// By a random byte.
    pub const fn of(random: u8) -> Self {
        Self(random)
    }

    /// A part of a duration: less than all of it.
    fn part_of(self, duration: Duration) -> Duration {
        duration * u32::from(self.0) / 256
    }
}

impl Breaker {
    /// A closed one.
    pub const fn new(rules: BreakerRules) -> Self {
        Self { rules, state: State::Closed { failures: 0 }, opened: 0 }
    }

    /// What may begin now.
    pub fn admission(&self, now: Millis) -> Admission {
        match self.state {
            State::Closed { .. } => Admission::Any,
            _ if self.wait(now).is_zero() => Admission::Probe,
            _ => Admission::None,
        }
    }

    /// How long until something may begin, as far as is known now; zero when it may.
    pub fn wait(&self, now: Millis) -> Duration {
        let wait = match self.state {
            State::Closed { .. } => Duration::ZERO,
            State::Open { until } | State::HalfOpen { probe_lost_at: until } => until.since(now),
        };
        if wait > FURTHEST { Duration::ZERO } else { wait }
    }

    /// What it is called: `closed`, `open`, or `half_open` while a probe is under way.
    pub const fn name(&self) -> &'static str {
        match self.state {
            State::Closed { .. } => "closed",
            State::Open { .. } => "open",
            State::HalfOpen { .. } => "half_open",
        }
    }

    /// The probe is under way: nobody else goes until it is back.
    pub fn probing(&mut self, now: Millis) {
        self.state = State::HalfOpen { probe_lost_at: now.plus(self.rules.probe) };
    }

    /// There was nothing to probe with after all: another may.
    pub fn not_probing(&mut self, now: Millis) {
        if let State::HalfOpen { .. } = self.state {
            self.state = State::Open { until: now };
        }
    }

    /// A request arrived, whatever became of it: the other side answers. While it is open, that was a late one of those
    /// that were under way before, and says nothing about now.
    pub fn succeeded(&mut self) {
        if !matches!(self.state, State::Open { .. }) {
            (self.state, self.opened) = (State::Closed { failures: 0 }, 0);
        }
    }

    /// A request failed in a way that says something about the other side. One that asks to be spared is spared at once,
    /// for no less than it asks. Otherwise the wait ends up to half of it earlier, by `spread`.
    pub fn failed(&mut self, now: Millis, retry_after: Option<Duration>, spread: Spread) {
        let asked_for = retry_after
            .map(|asked| now.plus(asked).plus(spread.part_of((asked / 10).min(Duration::from_secs(1)))));
        match &mut self.state {
            State::Closed { failures } if *failures + 1 < self.rules.failures && asked_for.is_none() => {
                *failures += 1;
            }
            State::Closed { .. } | State::HalfOpen { .. } => self.open(now, asked_for, spread),
            // A late one of those that were under way when it opened.
            State::Open { until } => *until = (*until).max(asked_for.unwrap_or(*until)),
        }
    }

    fn open(&mut self, now: Millis, asked_for: Option<Millis>, spread: Spread) {
        let BreakerRules { first_wait, longest_wait, .. } = self.rules;
        let wait = first_wait.saturating_mul(1 << self.opened.min(16)).min(longest_wait);
        self.opened = self.opened.saturating_add(1);
        let until = now.plus(wait.saturating_sub(spread.part_of(wait / 2)));
        self.state = State::Open { until: until.max(asked_for.unwrap_or(until)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: BreakerRules = BreakerRules {
        failures: 5,
        first_wait: Duration::from_secs(10),
        longest_wait: Duration::from_mins(5),
        probe: Duration::from_mins(1),
    };

    fn at(seconds: i64) -> Millis {
        Millis::from_seconds(seconds)
    }

    fn fail(breaker: &mut Breaker, now: Millis) {
        breaker.failed(now, None, Spread::NONE);
    }

    fn ask_to_be_spared(breaker: &mut Breaker, now: Millis, seconds: u64, spread: Spread) {
        breaker.failed(now, Some(Duration::from_secs(seconds)), spread);
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::new(RULES);
        (0..RULES.failures).for_each(|_| fail(&mut breaker, at(0)));
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let mut breaker = Breaker::new(RULES);
        for _ in 0..20 {
            (1..RULES.failures).for_each(|_| fail(&mut breaker, at(0)));
            assert_eq!((breaker.admission(at(0)), breaker.name()), (Admission::Any, "closed"));
            breaker.succeeded();
        }
        (0..RULES.failures).for_each(|_| fail(&mut breaker, at(0)));
        assert_eq!((breaker.admission(at(0)), breaker.name()), (Admission::None, "open"));
    }

    #[test]
    fn one_probe_goes_at_a_time_and_a_success_closes_it() {
        let mut breaker = opened();
        assert_eq!(
            (breaker.admission(at(9)), breaker.wait(at(9))),
            (Admission::None, Duration::from_secs(1))
        );
        assert_eq!(breaker.admission(at(10)), Admission::Probe);
        breaker.probing(at(10));
        assert_eq!((breaker.admission(at(11)), breaker.name()), (Admission::None, "half_open"));
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
            fail(&mut breaker, now);
            waits.push(breaker.wait(now).as_secs());
            now = now.plus(breaker.wait(now));
        }
        assert_eq!(waits, [20, 40, 80, 160, 300, 300, 300, 300]);
    }

    #[test]
    fn whoever_asks_to_be_spared_is_spared_at_once_and_for_no_less() {
        for spread in [Spread::NONE, Spread::of(128), Spread::of(255)] {
            let mut breaker = Breaker::new(RULES);
            ask_to_be_spared(&mut breaker, at(0), 90, spread);
            assert_eq!(breaker.admission(Millis::new(89_999)), Admission::None);
            assert_eq!(breaker.admission(at(91)), Admission::Probe);
        }
    }

    #[test]
    fn a_late_answer_of_those_under_way_shortens_no_wait_and_may_make_it_longer() {
        let mut breaker = opened();
        breaker.succeeded();
        fail(&mut breaker, at(5));
        assert_eq!(breaker.wait(at(5)), Duration::from_secs(5));
        ask_to_be_spared(&mut breaker, at(5), 900, Spread::NONE);
        breaker.succeeded();
        ask_to_be_spared(&mut breaker, at(6), 1, Spread::NONE);
        assert_eq!(breaker.wait(at(5)), Duration::from_mins(15));
    }

    #[test]
    fn a_lost_probe_does_not_keep_it_open_for_ever() {
        let mut breaker = opened();
        breaker.probing(at(10));
        assert_eq!(breaker.admission(at(69)), Admission::None);
        assert_eq!(breaker.admission(at(70)), Admission::Probe);
        breaker.probing(at(70));
        breaker.not_probing(at(71));
        assert_eq!(breaker.admission(at(71)), Admission::Probe);
    }

    #[test]
    fn a_clock_that_is_set_back_far_does_not_keep_it_open() {
        let mut breaker = opened();
        ask_to_be_spared(&mut breaker, at(100_000), 3_600, Spread::NONE);
        assert_eq!(breaker.admission(at(100_001)), Admission::None);
        assert_eq!(breaker.admission(at(0)), Admission::Probe);
    }

    proptest! {
        #[test]
        fn whatever_happens_it_admits_again_within_the_longest_wait_and_never_before_it_was_asked_to(
            steps in prop::collection::vec((0_i64..400, 0_u8..4, any::<u8>(), 0_u64..3_600), 0..40)
        ) {
            let (mut breaker, mut now, mut not_before) = (Breaker::new(RULES), 0, at(0));
            for (elapsed, what, random, asked) in steps {
                now += elapsed;
                match what {
                    0 => breaker.succeeded(),
                    1 => breaker.failed(at(now), None, Spread::of(random)),
                    2 => {
                        ask_to_be_spared(&mut breaker, at(now), asked, Spread::of(random));
                        not_before = not_before.max(at(now).plus(Duration::from_secs(asked)));
                    }
                    _ if breaker.admission(at(now)) == Admission::Probe => breaker.probing(at(now)),
                    _ => {}
                }
                // A probe that comes back well says that the time is over; none goes before.
                if at(now) < not_before {
                    prop_assert_eq!(breaker.admission(at(now)), Admission::None);
                }
            }
            prop_assert_ne!(breaker.admission(at(now + 300).max(not_before.plus(Duration::from_secs(1)))), Admission::None);
        }
    }
}
