//! What becomes of the sessions of a grant that is refreshed no more.

use super::{Reason, Timing};
use account::Millis;
use serde::{Deserialize, Serialize};

/// What becomes of them, as an identity provider's settings say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenRetired {
    /// They live as long as they would have; the access token is good until it runs out.
    #[default]
    Keep,
    /// They end when the access token has run out: until then the identity provider's last word holds.
    End,
    /// They live on, but no access token is handed out until the user has logged in again.
    StepUp,
}

/// A grant that is refreshed no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retired {
    /// Why.
    pub reason: Reason,
    /// When its access token came.
    pub issued_at: Millis,
    /// When it ends, if that was told.
    pub expires_at: Option<Millis>,
}

/// What its sessions are still good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// For everything.
    Everything,
    /// For whatever needs no access token, until the user logs in again.
    LoginNeeded,
    /// For nothing: they have ended.
    Nothing,
}

/// What the sessions of such a grant are good for now.
///
/// Where it was never told how long an access token lives, one that is to end something is taken to live for as long as one
/// would be left alone until its refresh. A login that came without a refresh token was whole when it came: it steps up, too,
/// only when its access token has run out.
pub fn left(grant: &Retired, when: WhenRetired, timing: &Timing, now: Millis) -> Left {
    let is_known_to_be_over = grant.expires_at.is_some_and(|at| at <= now);
    let is_over = grant.expires_at.unwrap_or_else(|| grant.issued_at.plus(timing.interval)) <= now;
    match when {
        WhenRetired::Keep if is_known_to_be_over => Left::LoginNeeded,
        WhenRetired::End if is_over => Left::Nothing,
        WhenRetired::StepUp if is_over || grant.reason != Reason::NoRefreshToken => Left::LoginNeeded,
        _ => Left::Everything,
    }
}
