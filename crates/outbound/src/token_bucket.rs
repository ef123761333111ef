use account::Millis;
use std::time::Duration;

/// So many in a stretch of time, steadily.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    per_ms: u32,
}

impl Rate {
    /// So many a second.
    pub const fn per_second(count: u32) -> Self {
        Self { count, per_ms: 1_000 }
    }

    /// So many a minute.
    pub const fn per_minute(count: u32) -> Self {
        Self { count, per_ms: 60_000 }
    }
}

/// A bound on how many may begin: a bucket that holds so many tokens and is filled at a rate. Pure; the time is passed
/// in, and one that goes back adds nothing.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    rate: Rate,
    burst: u32,
    /// In parts of a token: as many make one as its rate's stretch has milliseconds, so nothing is ever rounded.
    level: u64,
    at: Millis,
}

impl TokenBucket {
    /// A full bucket that holds `burst` tokens.
    pub fn new(rate: Rate, burst: u32, now: Millis) -> Self {
        let mut bucket = Self { rate, burst, level: 0, at: now };
        bucket.level = bucket.capacity();
        bucket
    }

    /// Takes up to `wanted` tokens; how many there were.
    pub fn take(&mut self, wanted: u32, now: Millis) -> u32 {
        self.fill(now);
        let taken = wanted.min(self.whole());
        self.level -= self.parts(taken);
        taken
    }

    /// Takes up to `at_most` tokens, the part of one that is left included.
    pub fn drain(&mut self, at_most: u32, now: Millis) {
        self.fill(now);
        self.level = self.level.saturating_sub(self.parts(at_most));
    }

    /// Gives back tokens that were taken and not used.
    pub fn give_back(&mut self, unused: u32) {
        self.level = (self.level + self.parts(unused)).min(self.capacity());
    }

    /// How many tokens are in it now, parts of one included.
    pub fn level(&mut self, now: Millis) -> f64 {
        self.fill(now);
        #[expect(
            clippy::cast_precision_loss,
            reason = "exact below 2^53 parts: hundreds of millions of tokens"
        )]
        let level = self.level as f64;
        level / f64::from(self.rate.per_ms)
    }

    /// How long until there are `wanted` tokens, if nobody takes one before. `None`: that many are never in it.
    pub fn wait_for(&mut self, wanted: u32, now: Millis) -> Option<Duration> {
        self.fill(now);
        let missing = self.parts(wanted).saturating_sub(self.level);
        if missing == 0 {
            return Some(Duration::ZERO);
        }
        let reachable = wanted <= self.burst && self.rate.count > 0;
        reachable.then(|| Duration::from_millis(missing.div_ceil(self.rate.count.into())))
    }

    fn fill(&mut self, now: Millis) {
        // For every millisecond, a part of a token for each that the rate has.
        let elapsed = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        let poured = elapsed.saturating_mul(self.rate.count.into());
        self.level = self.level.saturating_add(poured).min(self.capacity());
        self.at = self.at.max(now);
    }

    fn whole(&self) -> u32 {
        u32::try_from(self.level / u64::from(self.rate.per_ms)).unwrap_or(u32::MAX)
    }

    fn capacity(&self) -> u64 {
        self.parts(self.burst)
    }

    fn parts(&self, tokens: u32) -> u64 {
        u64::from(tokens) * u64::from(self.rate.per_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: i64) -> Millis {
        Millis::new(1_000 + ms)
    }

    #[test]
    fn it_gives_its_rate_and_no_more() {
        let mut bucket = TokenBucket::new(Rate::per_second(10), 10, at(0));
        assert_eq!(bucket.take(100, at(0)), 10);
        assert_eq!(bucket.take(1, at(99)), 0);
        assert_eq!(bucket.take(1, at(100)), 1);
        assert_eq!(bucket.take(100, at(60_000)), 10);
        bucket.give_back(3);
        assert_eq!(bucket.take(100, at(60_000)), 3);
    }

    #[test]
    fn it_says_how_long_the_next_token_takes() {
        let mut bucket = TokenBucket::new(Rate::per_minute(240), 40, at(0));
        assert_eq!(bucket.wait_for(40, at(0)), Some(Duration::ZERO));
        assert_eq!(bucket.wait_for(41, at(0)), None);
        assert_eq!(bucket.take(40, at(0)), 40);
        assert_eq!(bucket.wait_for(1, at(0)), Some(Duration::from_millis(250)));
        assert_eq!(bucket.wait_for(2, at(100)), Some(Duration::from_millis(400)));
        assert!(bucket.level(at(249)) < 1.0);
        assert!((bucket.level(at(375)) - 1.5).abs() < f64::EPSILON);
        bucket.drain(1, at(375));
        assert!((bucket.level(at(375)) - 0.5).abs() < f64::EPSILON);
        bucket.drain(1, at(375));
        assert!(bucket.level(at(375)) < f64::EPSILON);
        assert_eq!(TokenBucket::new(Rate::per_minute(0), 0, at(0)).wait_for(1, at(0)), None);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut bucket = TokenBucket::new(Rate::per_second(1), 1, at(0));
        assert_eq!(bucket.take(1, at(5_000)), 1);
        assert_eq!(bucket.take(1, at(0)), 0);
        assert_eq!(bucket.take(1, at(5_999)), 0);
        assert_eq!(bucket.take(1, at(6_000)), 1);
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_gets_more_than_its_share(
            rate in 1_u32..500, burst in 1_u32..50, steps in prop::collection::vec((-500_i64..2_000, 0_u32..20), 1..50)
        ) {
            for (rate, per) in [(Rate::per_second(rate), 1_000), (Rate::per_minute(rate), 60_000)] {
                let mut bucket = TokenBucket::new(rate, burst, Millis::ZERO);
                let (mut now, mut latest, mut taken) = (0_i64, 0_i64, 0_u64);
                for (elapsed, wanted) in &steps {
                    now += elapsed;
                    latest = latest.max(now);
                    taken += u64::from(bucket.take(*wanted, Millis::new(now)));
                }
                let share = u64::from(burst) + latest.unsigned_abs() * u64::from(rate.count) / per;
                prop_assert!(taken <= share, "{taken} of {share}");
            }
        }

        #[test]
        fn whoever_waits_as_long_as_told_is_served(
            rate in 1_u32..500, burst in 1_u32..50, taken in 0_u32..60, wanted in 1_u32..50, later in 0_i64..10_000
        ) {
            let mut bucket = TokenBucket::new(Rate::per_minute(rate), burst, Millis::ZERO);
            bucket.take(taken, Millis::ZERO);
            let now = Millis::new(later);
            match bucket.wait_for(wanted, now) {
                None => prop_assert!(wanted > burst),
                Some(wait) => {
                    if let Some(just_before) = wait.checked_sub(Duration::from_millis(1)) {
                        prop_assert!(bucket.clone().level(now.plus(just_before)) < f64::from(wanted));
                    }
                    prop_assert_eq!(bucket.take(wanted, now.plus(wait)), wanted);
                }
            }
        }
    }
}
