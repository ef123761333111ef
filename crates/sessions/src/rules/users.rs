//! When a user is looked at next.

use super::{Chance, Timing, back_off};
use account::Millis;
use std::time::Duration;

/// Without an endpoint, or an access token that lives, a user is looked at no more often than this.
const SELDOM: Duration = Duration::from_hours(24);

/// What came of asking who a user is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The identity provider has told.
    Told,
    /// It tells nothing of anybody, or no access token of the user's lives.
    Nothing,
    /// It does not take the access token, although that should still live.
    Refused,
    /// It was not asked, so as not to be a burden.
    NotAsked {
        /// When it may be.
        retry_after: Option<Duration>,
    },
    /// It did not tell.
    Failed {
        /// For how long it wants to be left alone.
        retry_after: Option<Duration>,
    },
}

/// When a user is looked at again after `failures` failures in a row, and how many there are then.
pub fn look_again(
    look: Look,
    failures: u32,
    interval: Duration,
    timing: &Timing,
    now: Millis,
    chance: Chance,
) -> (Millis, u32) {
    let spread = |wait: Duration| now.plus(wait.saturating_sub(chance.part_of(wait / 10)));
    let failed = |retry_after| {
        let failures = failures.saturating_add(1);
        let timing = Timing { longest_wait: interval.max(timing.cool_off), ..*timing };
        (now.plus(back_off(failures, retry_after, &timing, chance)), failures)
    };
    match look {
        Look::Told => (spread(interval), 0),
        Look::Nothing => (spread(SELDOM.max(interval)), 0),
        // The token is refreshed meanwhile.
        Look::Refused if failures == 0 => (now.plus(timing.cool_off), 1),
        Look::Refused => failed(None),
        Look::NotAsked { retry_after } => {
            let wait = retry_after.unwrap_or(timing.cool_off);
            (now.plus(wait + chance.part_of(wait / 10)), failures)
        }
        Look::Failed { retry_after } => failed(retry_after),
    }
}
