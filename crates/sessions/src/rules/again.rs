//! Whether a refresh token may be presented once more when what came of the first time is not known.

use account::Millis;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Whether an identity provider gives a new refresh token at a refresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rotation {
    /// It is not known: what each grant saw decides.
    #[default]
    Unknown,
    /// The refresh token stays the same.
    Never,
    /// Every refresh gives a new one.
    Always,
    /// Some do.
    Sometimes,
}

/// What is known of an identity provider's refresh tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Whether they change.
    pub rotation: Rotation,
    /// How long a refresh token that was used is still taken.
    pub reuse_grace: Duration,
}

/// What a grant has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Refreshes that were answered.
    pub refreshes: i64,
    /// Refreshes that brought another refresh token.
    pub rotations: i64,
    /// Presentations of the present token whose outcome is not known, the last one included.
    pub unknowns: u32,
}

/// Whether the token that was first presented at `presented_at` may be presented again now, without the risk that it is
/// taken for stolen.
///
/// It may where the identity provider never rotates; while its grace for reuse runs; and once, where nothing is known of it,
/// if this grant was refreshed before and its token stayed the same.
pub fn may_present_again(profile: Profile, history: History, presented_at: Millis, now: Millis) -> bool {
    let in_grace = !profile.reuse_grace.is_zero() && now < presented_at.plus(profile.reuse_grace);
    match profile.rotation {
        Rotation::Never => true,
        Rotation::Unknown if history.refreshes > 0 && history.rotations == 0 && history.unknowns <= 1 => true,
        Rotation::Unknown | Rotation::Always | Rotation::Sometimes => in_grace,
    }
}
