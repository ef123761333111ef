//! The decisions, pure: no clock, no I/O, no SQL.
//!
//! A grant is what an identity provider gave for one login. Its refresh token is presented ([`Before`]), something comes
//! of that ([`Outcome`]), and what becomes of the grant follows from it ([`after`]). Times are passed in, chance too.

mod again;
mod decide;
mod ending;
mod grant;
mod limit;
mod retired;
mod schedule;
#[cfg(test)]
mod tests;
mod users;

pub use again::{History, Profile, Rotation, may_present_again};
pub use decide::{Before, Next, Outcome, Policy, Presented, abandoned, after, before};
pub use ending::{Cutoff, EndsOn, cutoff, is_refused};
pub use grant::{GrantState, Reason};
pub use limit::Limit;
pub use retired::{Left, Retired, WhenRetired, left};
pub use schedule::{Chance, Timing, back_off, refresh_at};
pub use users::{Look, look_again};
