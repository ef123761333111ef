//! How long what is remembered counts.

use crate::{Freshness, Sight};
use account::Millis;
use std::time::Duration;

/// How long a refresh that was asked for in the background has before the next one is.
const REFRESH_PAUSE: Duration = Duration::from_secs(5);

/// From when to when something that was learned counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// From when it is learned anew in the background, by those who read it.
    pub(crate) refresh_at: Millis,
    /// From when it is stale.
    pub(crate) until: Millis,
}

/// How old something that is remembered is for one who asks now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// It counts.
    Young,
    /// It counts, and should be learned anew meanwhile.
    Ripe,
    /// It counts only when nothing better is to be had.
    Stale,
    /// It does not count for this caller.
    Over,
}

/// What the age of facts is judged by.
pub(crate) struct Judging<'a> {
    pub(crate) learned_at: Millis,
    pub(crate) expires_at: Option<Millis>,
    pub(crate) freshness: &'a Freshness,
    pub(crate) sight: Sight,
    /// The longest life that `sight` leaves, before it is spread.
    pub(crate) longest_life: Option<Duration>,
}

impl Span {
    pub(crate) fn age(&self, judging: &Judging<'_>, now: Millis) -> Age {
        let Judging { learned_at, expires_at, freshness, sight, longest_life } = *judging;
        // RFC 7662 section 4: not past `exp`, for whatever reason.
        if expires_at.is_some_and(|end| end <= now) {
            return Age::Over;
        }
        let lives = [freshness.max_age, longest_life].into_iter().flatten();
        let end = lives.map(|life| learned_at.plus(life)).fold(self.until, Ord::min);
        if now < end {
            return if now < self.refresh_at { Age::Young } else { Age::Ripe };
        }
        if sight < Sight::Lost && now < end.plus(freshness.stale_if_error) { Age::Stale } else { Age::Over }
    }

    /// The same, to be refreshed a while from now.
    pub(crate) fn postponed(self, now: Millis) -> Self {
        Self { refresh_at: now.plus(REFRESH_PAUSE), ..self }
    }
}

/// Where a token stands among others, from 0 to 255: spreads what would happen to all at once.
#[derive(Clone, Copy)]
pub(crate) struct Spread(pub(crate) u8);

impl Spread {
    /// A duration, less up to a fifth of it.
    pub(crate) fn shortened(self, duration: Duration) -> Duration {
        duration * 4 / 5 + duration / 5 * u32::from(u8::MAX - self.0) / 255
    }

    /// A duration, up to 15 % less or more.
    pub(crate) fn around(self, duration: Duration) -> Duration {
        duration * 85 / 100 + duration * 30 / 100 * u32::from(self.0) / 255
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPAN: Span = Span { refresh_at: Millis::new(40_000), until: Millis::new(60_000) };
    const ANY: Freshness = Freshness { max_age: None, stale_if_error: Duration::ZERO, patience: None };

    fn judging(freshness: &Freshness) -> Judging<'_> {
        Judging {
            learned_at: Millis::ZERO,
            expires_at: Some(Millis::new(80_000)),
            freshness,
            sight: Sight::Clear,
            longest_life: None,
        }
    }

    fn age(judging: &Judging<'_>, now: i64) -> Age {
        SPAN.age(judging, Millis::new(now))
    }

    #[test]
    fn it_is_young_then_ripe_then_over() {
        for (now, expected) in [
            (0, Age::Young),
            (39_999, Age::Young),
            (40_000, Age::Ripe),
            (59_999, Age::Ripe),
            (60_000, Age::Over),
        ] {
            assert_eq!(age(&judging(&ANY), now), expected, "{now}");
        }
    }

    #[test]
    fn a_caller_in_a_hurry_for_news_finds_it_over_sooner() {
        let five = Freshness { max_age: Some(Duration::from_secs(5)), ..ANY };
        assert_eq!(age(&judging(&five), 4_999), Age::Young);
        assert_eq!(age(&judging(&five), 5_000), Age::Over);
        assert_eq!(age(&judging(&Freshness::NOW), 0), Age::Over);
        let long = Freshness { max_age: Some(Duration::from_hours(1)), ..ANY };
        assert_eq!(age(&judging(&long), 60_000), Age::Over, "never longer than it counts");
    }

    #[test]
    fn stale_ends_after_its_time_and_at_the_tokens_end() {
        let stale = |seconds| Freshness { stale_if_error: Duration::from_secs(seconds), ..ANY };
        assert_eq!(age(&judging(&stale(10)), 69_999), Age::Stale);
        assert_eq!(age(&judging(&stale(10)), 70_000), Age::Over);
        assert_eq!(age(&judging(&stale(600)), 79_999), Age::Stale);
        assert_eq!(age(&judging(&stale(600)), 80_000), Age::Over);
    }

    #[test]
    fn without_sight_it_ends_sooner_and_in_the_end_nothing_stale_is_left() {
        let stale = Freshness { stale_if_error: Duration::from_mins(10), ..ANY };
        let seen = |sight| Judging { sight, longest_life: Some(Duration::from_secs(10)), ..judging(&stale) };
        assert_eq!(age(&seen(Sight::Dim), 9_999), Age::Young);
        assert_eq!(age(&seen(Sight::Dim), 10_000), Age::Stale);
        assert_eq!(age(&seen(Sight::Lost), 10_000), Age::Over);
    }

    proptest! {
        #[test]
        fn past_its_end_a_token_never_counts(
            refresh in any::<i64>(), until in any::<i64>(), learned in any::<i64>(), exp in any::<i64>(),
            max_age in proptest::option::of(any::<u64>()), stale in any::<u64>(), later in 0_i64..i64::MAX,
        ) {
            let freshness = Freshness {
                max_age: max_age.map(Duration::from_millis),
                stale_if_error: Duration::from_millis(stale),
                patience: None,
            };
            let judging = Judging {
                learned_at: Millis::new(learned),
                expires_at: Some(Millis::new(exp)),
                ..judging(&freshness)
            };
            let span = Span { refresh_at: Millis::new(refresh), until: Millis::new(until) };
            prop_assert_eq!(span.age(&judging, Millis::new(exp.saturating_add(later))), Age::Over);
        }

        #[test]
        fn what_is_spread_stays_within_its_bounds(place in any::<u8>(), seconds in 1_u64..1_000_000) {
            let (whole, spread) = (Duration::from_secs(seconds), Spread(place));
            prop_assert!(spread.shortened(whole) <= whole && spread.shortened(whole) >= whole * 4 / 5);
            prop_assert!(spread.around(whole) >= whole * 85 / 100 && spread.around(whole) <= whole * 115 / 100);
        }
    }
}
