//! When a grant is refreshed next.

use account::Millis;
use std::time::Duration;

/// How far ahead of an access token's end it is refreshed, and how often it is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Ahead of the end by this much at least.
    pub grace: Duration,
    /// … or by this part of its life, in hundredths, if that is more.
    pub share_percent: u32,
    /// Never sooner after an attempt.
    pub cool_off: Duration,
    /// When it is not told how long a token lives, or a refresh does not make it live longer.
    pub interval: Duration,
    /// The longest wait after failures.
    pub longest_wait: Duration,
}

/// A number that was drawn, from 0 up to but not including 1: so that many who wait do not come back together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Chance(u16);

impl Chance {
    /// By random bits.
    pub const fn of(random: u16) -> Self {
        Self(random)
    }

    /// A part of a duration: less than all of it.
    pub fn part_of(self, duration: Duration) -> Duration {
        duration * u32::from(self.0) / (u32::from(u16::MAX) + 1)
    }
}

/// When the grant of an access token is refreshed that came by an attempt at `attempted_at` and lives until `expires_at`.
///
/// The point is the token's end minus the larger of the grace and a share of its life, at most half of it, and up to a
/// fifth of that earlier by chance. The floor is counted from the last *attempt*: no record that is written meanwhile moves
/// it. A token whose end a refresh did not move ahead (it comes expired, or lives no longer than the floor) says nothing of
/// when to come again: then the interval does.
pub fn refresh_at(
    attempted_at: Millis,
    expires_at: Option<Millis>,
    timing: &Timing,
    chance: Chance,
) -> Millis {
    let floor = attempted_at.plus(timing.cool_off);
    let lasting = expires_at.filter(|expires_at| *expires_at > floor);
    let Some(expires_at) = lasting else {
        let spread = chance.part_of(timing.interval / 10);
        return attempted_at.plus(timing.interval.saturating_sub(spread).max(timing.cool_off));
    };
    let life = expires_at.since(attempted_at);
    let lead = timing.grace.max(life * timing.share_percent / 100).min(life / 2);
    let lead = lead + chance.part_of(lead / 5);
    expires_at.minus(lead).max(floor)
}

/// How long to wait after so many failures: exponential, with full jitter (any wait up to the bound is as likely), and
/// never less than the cool-off or than was asked for.
pub fn back_off(failures: u32, asked_for: Option<Duration>, timing: &Timing, chance: Chance) -> Duration {
    let doubled = timing.cool_off.saturating_mul(1 << failures.min(16));
    let bound = doubled.min(timing.longest_wait).max(timing.cool_off);
    let drawn = timing.cool_off.max(chance.part_of(bound));
    match asked_for {
        // All who were asked to stay away for so long come back spread over a tenth more.
        Some(asked) => drawn.max(asked + chance.part_of(asked / 10)),
        None => drawn,
    }
}
