//! Load that is shed when an operator says so: clients are asked to stay away, and a part of them is turned away at once.

use crate::Refusal;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU32, Ordering};
use utoipa::ToSchema;

/// After how many seconds those who are turned away come again, when nobody has said it.
const USUAL_WAIT: u32 = 60;

/// What is asked of clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Shedding {
    /// Seconds they are asked to stay away after an answer (`X-Backoff`, and `Retry-After` of those who are turned away);
    /// 0 asks for nothing.
    pub backoff_seconds: u32,
    /// How many in a hundred are turned away at once.
    pub refuse_percent: u8,
}

/// What is asked now, in every request's way.
#[derive(Default)]
pub(crate) struct Valve {
    /// Written seldom: the two numbers, each read by itself.
    backoff: AtomicU32,
    percent: AtomicU32,
    /// Counts those who came, so that what is turned away is spread evenly.
    came: Mutex<u32>,
}

impl Valve {
    /// One that does as it is set.
    pub(crate) fn new(shedding: Shedding) -> Self {
        let valve = Self::default();
        valve.set(shedding);
        valve
    }

    pub(crate) fn set(&self, shedding: Shedding) {
        self.backoff.store(shedding.backoff_seconds, Ordering::Relaxed);
        self.percent.store(u32::from(shedding.refuse_percent.min(100)), Ordering::Relaxed);
    }

    /// How long clients are asked to stay away, in seconds.
    pub(crate) fn backoff(&self) -> Option<u32> {
        Some(self.backoff.load(Ordering::Relaxed)).filter(|seconds| *seconds > 0)
    }

    /// Turns away who is to be.
    pub(crate) fn pass(&self) -> Result<(), Refusal> {
        let percent = self.percent.load(Ordering::Relaxed);
        if percent == 0 {
            return Ok(());
        }
        let mut came = self.came.lock();
        *came = (*came + 1) % 100;
        let is_out = (*came + 1) * percent / 100 > *came * percent / 100;
        if is_out {
            return Err(Refusal::Shed { retry_after: self.backoff().unwrap_or(USUAL_WAIT) });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned_away(percent: u8, of: usize) -> usize {
        let valve = Valve::new(Shedding { refuse_percent: percent, ..Shedding::default() });
        (0..of).filter(|_| valve.pass().is_err()).count()
    }

    #[test]
    fn as_many_in_a_hundred_are_turned_away_as_was_said() {
        for percent in 0..=100 {
            assert_eq!(turned_away(percent, 300), 3 * usize::from(percent), "{percent}");
        }
    }

    #[test]
    fn they_are_spread_over_all_who_come() {
        assert_eq!((turned_away(10, 20), turned_away(50, 10)), (2, 5));
    }

    #[test]
    fn who_is_turned_away_comes_again_when_all_do() {
        let valve = Valve::default();
        valve.set(Shedding { refuse_percent: 100, backoff_seconds: 0 });
        assert_eq!((valve.pass(), valve.backoff()), (Err(Refusal::Shed { retry_after: 60 }), None));
        valve.set(Shedding { refuse_percent: 100, backoff_seconds: 600 });
        assert_eq!((valve.pass(), valve.backoff()), (Err(Refusal::Shed { retry_after: 600 }), Some(600)));
    }
}
