use account::Millis;

/// A bound on how many may begin each second: a bucket that holds one second's worth. Pure; the time is passed in.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    per_second: u32,
    /// Thousandths of a token.
    level: u64,
    at: Millis,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(per_second: u32, now: Millis) -> Self {
        Self { per_second, level: u64::from(per_second) * 1000, at: now }
    }

    /// Takes up to `wanted` tokens; how many there were.
    pub fn take(&mut self, wanted: u32, now: Millis) -> u32 {
        self.fill(now);
        let taken = wanted.min(u32::try_from(self.level / 1000).unwrap_or(u32::MAX));
        self.level -= u64::from(taken) * 1000;
        taken
    }

    /// Gives back tokens that were taken and not used.
    pub fn give_back(&mut self, unused: u32) {
        self.level = (self.level + u64::from(unused) * 1000).min(self.capacity());
    }

    fn fill(&mut self, now: Millis) {
        // A thousandth of a token for every millisecond and token a second.
        let elapsed = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        self.level = self
            .level
            .saturating_add(elapsed.saturating_mul(u64::from(self.per_second)))
            .min(self.capacity());
        self.at = self.at.max(now);
    }

    fn capacity(&self) -> u64 {
        u64::from(self.per_second) * 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_gives_its_rate_and_no_more() {
        let at = |ms: i64| Millis::new(1_000 + ms);
        let mut bucket = TokenBucket::new(10, at(0));
        assert_eq!(bucket.take(100, at(0)), 10);
        assert_eq!(bucket.take(1, at(99)), 0);
        assert_eq!(bucket.take(1, at(100)), 1);
        assert_eq!(bucket.take(100, at(60_000)), 10);
        bucket.give_back(3);
        assert_eq!(bucket.take(100, at(60_000)), 3);
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_gets_more_than_its_share(
            rate in 1_u32..50, steps in prop::collection::vec((0_i64..2_000, 0_u32..20), 1..50)
        ) {
            let mut bucket = TokenBucket::new(rate, Millis::ZERO);
            let (mut now, mut taken) = (0_i64, 0_u64);
            for (elapsed, wanted) in steps {
                now += elapsed;
                taken += u64::from(bucket.take(wanted, Millis::new(now)));
            }
            let share = u64::from(rate) + now.unsigned_abs() * u64::from(rate) / 1000;
            prop_assert!(taken <= share, "{taken} of {share}");
        }
    }
}
