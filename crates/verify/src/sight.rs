//! How well this node sees what happens to accounts, and what that does to the life of what it remembers.

use crate::Settings;
use account::Millis;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// How well a node sees what happens to accounts. It gets worse in stages while the feed cannot be read, never at once:
/// a node that forgot everything would ask the identity provider about every token at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sight {
    /// The feed is read, or was until a moment ago; or none is followed. Facts have their full life.
    Clear,
    /// It could not be read for longer than a failover takes. Facts have a shorter life; past it they count as stale, and
    /// are given out only when the identity provider cannot be asked and the caller allows it.
    Dim,
    /// It could not be read for long. Facts live for seconds, and nothing stale is given out.
    Lost,
}

impl Sight {
    /// A word for it, for health and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Dim => "dim",
            Self::Lost => "lost",
        }
    }
}

/// No feed is followed.
const UNFOLLOWED: i64 = i64::MAX;

/// When the feed was last proven, and what follows from it.
pub(crate) struct Lookout {
    proven_at: AtomicI64,
    grace: Duration,
    lost_after: Duration,
    dim_life: Duration,
    lost_life: Duration,
}

impl Lookout {
    pub(crate) fn new(settings: &Settings) -> Self {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        Self {
            proven_at: AtomicI64::new(UNFOLLOWED),
            grace: seconds(settings.feed_grace_seconds),
            lost_after: seconds(settings.feed_lost_seconds.max(settings.feed_grace_seconds)),
            dim_life: seconds(settings.remember_unfed_seconds),
            lost_life: seconds(settings.remember_lost_seconds.min(settings.remember_unfed_seconds)),
        }
    }

    /// The feed had been read to its end at that time. Never moves back, but from "none is followed".
    pub(crate) fn proven(&self, at: Millis) {
        let later = |known: i64| (known == UNFOLLOWED || known < at.get()).then_some(at.get());
        // An error says that it was known already, or known better.
        let _known = self.proven_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }

    pub(crate) fn sight(&self, now: Millis) -> Sight {
        let proven_at = Millis::new(self.proven_at.load(Ordering::Relaxed));
        if now <= proven_at.plus(self.grace) {
            Sight::Clear
        } else if now <= proven_at.plus(self.lost_after) {
            Sight::Dim
        } else {
            Sight::Lost
        }
    }

    /// The longest life of facts, if it is shorter than usual.
    pub(crate) fn longest_life(&self, sight: Sight) -> Option<Duration> {
        match sight {
            Sight::Clear => None,
            Sight::Dim => Some(self.dim_life),
            Sight::Lost => Some(self.lost_life),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_follows_no_feed_misses_none() {
        let lookout = Lookout::new(&Settings::default());
        assert_eq!(lookout.sight(Millis::new(i64::MAX - 1)), Sight::Clear);
    }

    #[test]
    fn sight_gets_worse_in_stages_and_is_back_with_the_feed() {
        let lookout = Lookout::new(&Settings::default());
        let at = Millis::from_seconds;
        lookout.proven(at(1_000));
        lookout.proven(at(900));
        for (now, sight) in [
            (900, Sight::Clear),
            (1_030, Sight::Clear),
            (1_031, Sight::Dim),
            (1_300, Sight::Dim),
            (1_301, Sight::Lost),
        ] {
            assert_eq!(lookout.sight(at(now)), sight, "{now}");
        }
        lookout.proven(at(1_301));
        assert_eq!(lookout.sight(at(1_301)), Sight::Clear);
    }

    #[test]
    fn the_worse_the_sight_the_shorter_the_life() {
        let lookout = Lookout::new(&Settings::default());
        assert_eq!(lookout.longest_life(Sight::Clear), None);
        assert!(lookout.longest_life(Sight::Dim) > lookout.longest_life(Sight::Lost));
    }
}
