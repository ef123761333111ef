//! When a failed delivery is tried again. Pure.

use crate::InvalidConfig;
use account::Millis;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// Over three days, dense at first.
const DEFAULT_DELAYS: [u32; 12] =
    [5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 43_200, 72_000, 86_400];
const MOST_DELAYS: usize = 50;
/// A month: what has not arrived by then is for an operator to look at.
const LONGEST: u64 = 31 * 24 * 3_600;

/// After which delays a failed delivery is tried again; when they are used up it is given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct RetryPolicy {
    /// Seconds after each failure, each ± 20 % so that deliveries that failed together do not come back together.
    pub delays_seconds: Vec<u32>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { delays_seconds: DEFAULT_DELAYS.to_vec() }
    }
}

impl RetryPolicy {
    /// Whether it stays within bounds.
    pub(crate) fn check(&self) -> Result<(), InvalidConfig> {
        let sum: u64 = self.delays_seconds.iter().copied().map(u64::from).sum();
        if self.delays_seconds.len() > MOST_DELAYS || sum > LONGEST {
            return Err(InvalidConfig(format!(
                "there are over {MOST_DELAYS} retries, or they take over 31 days"
            )));
        }
        Ok(())
    }

    /// How long a delivery is tried in all, and so how old one may get before it is given up untried.
    pub fn span(&self) -> Duration {
        Duration::from_secs(self.delays_seconds.iter().copied().map(u64::from).sum())
    }

    /// When to try again after the `failures`-th failure (from 1 on); `None` when it is given up. What the other side
    /// asked for (`Retry-After`) can only put it off. `seed` spreads deliveries; the same one always spreads alike.
    pub fn next(
        &self,
        failures: u32,
        now: Millis,
        retry_after: Option<Duration>,
        seed: u64,
    ) -> Option<Millis> {
        let at = usize::try_from(failures.checked_sub(1)?).ok()?;
        let delay = Duration::from_secs(u64::from(*self.delays_seconds.get(at)?));
        let spread = delay.mul_f64(0.8 + 0.4 * fraction(seed ^ u64::from(failures)));
        Some(now.plus(spread.max(retry_after.unwrap_or_default())))
    }
}

/// A number from 0 to 1 from any other: the finaliser of SplitMix64.
pub(crate) fn fraction(seed: u64) -> f64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let top = u32::try_from((x ^ (x >> 31)) >> 32).unwrap_or(u32::MAX);
    f64::from(top) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Millis = Millis::new(1_000_000);

    #[test]
    fn by_default_it_is_tried_for_three_days() {
        let policy = RetryPolicy::default();
        let days = policy.span().as_secs_f64() / 86_400.0;
        assert!((2.9..=3.1).contains(&days), "{days}");
        assert!(policy.next(12, NOW, None, 0).is_some());
        assert_eq!(policy.next(13, NOW, None, 0), None);
        assert_eq!(policy.check(), Ok(()));
    }

    #[test]
    fn the_other_side_can_put_it_off_but_not_hurry_it() {
        let policy = RetryPolicy { delays_seconds: vec![100] };
        let asked =
            |seconds| policy.next(1, NOW, Some(Duration::from_secs(seconds)), 1).expect("another try");
        assert_eq!(asked(3_600), NOW.plus(Duration::from_hours(1)));
        assert_eq!(Some(asked(1)), policy.next(1, NOW, None, 1));
    }

    #[test]
    fn a_policy_without_delays_tries_once() {
        assert_eq!(RetryPolicy { delays_seconds: vec![] }.next(1, NOW, None, 0), None);
    }

    #[test]
    fn a_policy_over_a_month_is_refused() {
        assert!(RetryPolicy { delays_seconds: vec![u32::MAX] }.check().is_err());
        assert!(RetryPolicy { delays_seconds: vec![1; 51] }.check().is_err());
    }

    proptest! {
        #[test]
        fn a_delay_keeps_within_a_fifth_and_is_always_the_same(
            delay in 1_u32..100_000, failures in 1_u32..5, seed in any::<u64>()
        ) {
            let policy = RetryPolicy { delays_seconds: vec![delay; 4] };
            let next = policy.next(failures, NOW, None, seed).expect("another try");
            let waited = next.since(NOW).as_secs_f64() / f64::from(delay);
            prop_assert!((0.799..=1.201).contains(&waited), "{waited}");
            prop_assert_eq!(policy.next(failures, NOW, None, seed), Some(next));
        }
    }
}
