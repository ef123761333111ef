use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// A moment: integer milliseconds since the Unix epoch. Converted at the edges, never mixed with seconds inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(i64);

impl Millis {
    /// The epoch itself.
    pub const ZERO: Self = Self(0);
    /// The last moment there is.
    pub const MAX: Self = Self(i64::MAX);

    /// A moment from milliseconds since the epoch.
    pub const fn new(milliseconds: i64) -> Self {
        Self(milliseconds)
    }

    /// A moment from whole seconds since the epoch (JWT's NumericDate, RFC 7519 section 2). Saturates.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// A moment from seconds with a fraction, rounded down to the millisecond: `⌊seconds · 1000⌋`.
    /// `None` for what is no number of milliseconds (NaN, infinite, out of range).
    pub fn from_fractional_seconds(seconds: f64) -> Option<Self> {
        /// Above this an `f64` no longer holds every integer.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        // A decimal such as 1789000000.123 is not exact in binary: what is within a micro-second of the next
        // millisecond *is* that millisecond.
        let milliseconds = (seconds * 1000.0 + 0.001).floor();
        #[expect(clippy::cast_possible_truncation, reason = "checked to be within the exact integers")]
        (milliseconds.is_finite() && milliseconds.abs() <= EXACT).then_some(Self(milliseconds as i64))
    }

    /// Milliseconds since the epoch.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment moved forward; saturates.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_milliseconds(duration)))
    }

    /// This moment moved back; saturates.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(whole_milliseconds(duration)))
    }

    /// The time from `earlier` to this moment; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).max(0).unsigned_abs())
    }
}

fn whole_milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_of_a_second_is_rounded_down_to_the_millisecond() {
        let at = |seconds| Millis::from_fractional_seconds(seconds).map(Millis::get);
        assert_eq!(at(1_789_000_000.123), Some(1_789_000_000_123));
        assert_eq!(at(1.5), Some(1500));
        assert_eq!(at(1.234_567), Some(1234));
        assert_eq!(at(f64::NAN), None);
        assert_eq!(at(f64::INFINITY), None);
        assert_eq!(at(1e300), None);
    }

    #[test]
    fn a_moment_never_wraps_around() {
        assert_eq!(Millis::MAX.plus(Duration::from_secs(1)), Millis::MAX);
        assert_eq!(Millis::from_seconds(i64::MAX), Millis::MAX);
        assert_eq!(Millis::new(5).since(Millis::new(9)), Duration::ZERO);
    }
}
