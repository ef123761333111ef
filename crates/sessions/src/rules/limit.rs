//! How much may be under way to an identity provider that is asked too much: additive increase, multiplicative decrease.

use super::Outcome;
use account::Millis;

/// One place, in thousandths.
const PLACE: u32 = 1_000;

/// How many attempts may be under way at once, below the bound that is configured.
///
/// It is cut in half when an identity provider throttles, or does not answer in time; each attempt that goes well gives a part of
/// a place back, so that as many as there are places give one. Only attempts that began after the last cut tell anything of what
/// holds since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// In thousandths of a place.
    places: u32,
    cut_at: Option<Millis>,
}

impl Limit {
    /// As many as the bound lets in.
    pub const OPEN: Self = Self { places: u32::MAX, cut_at: None };

    /// How many may be under way; never none, since nothing would be learned then.
    pub fn places(self, bound: u32) -> u32 {
        (self.places / PLACE).min(bound).max(1)
    }

    /// What holds after an attempt that began at `began_at`.
    #[must_use]
    pub fn after(self, outcome: Outcome, began_at: Millis, bound: u32, now: Millis) -> Self {
        if self.cut_at.is_some_and(|cut_at| began_at <= cut_at) {
            return self;
        }
        match outcome {
            Outcome::Throttled { .. } | Outcome::Unknown => self.cut(bound, now),
            Outcome::Renewed { .. } | Outcome::Refused => self.raised(bound),
            // They say nothing of how much is too much.
            Outcome::Mismatch | Outcome::Misconfigured | Outcome::NotTaken { .. } => self,
        }
    }

    fn cut(self, bound: u32, now: Millis) -> Self {
        let half = self.places.min(bound.saturating_mul(PLACE)) / 2;
        Self { places: half.max(PLACE), cut_at: Some(now) }
    }

    fn raised(self, bound: u32) -> Self {
        let full = bound.saturating_mul(PLACE);
        if self.places >= full {
            return self;
        }
        // Rounded up: else many places would never become more.
        let part = (PLACE * PLACE).div_ceil(self.places);
        Self { places: self.places.saturating_add(part).min(full), ..self }
    }
}
