//! What is measured. The names of the component whose place this takes are kept beside ours, where they mean something.

use crate::store::reap::Reaped;
use crate::store::settle::Settled;
use account::{IdpId, Millis};
use metrics::{counter, gauge, histogram};
use std::time::Duration;

fn name(idp: &IdpId) -> String {
    idp.as_str().to_owned()
}

/// An attempt was made.
pub(crate) fn attempt(idp: &IdpId, class: &'static str, took: Duration, now: Millis) {
    counter!("sessions.attempts", "idp" => name(idp), "class" => class).increment(1);
    histogram!("sessions.attempt_seconds", "idp" => name(idp)).record(took.as_secs_f64());
    if class != "renewed" {
        counter!("identity_manager_last_session_refresh_errors").increment(1);
        gauge!("identity_manager_last_session_refresh_error_timestamp").set(as_number(now.seconds()));
    }
}

/// It brought new tokens.
pub(crate) fn renewed(idp: &IdpId, rotated: bool, now: Millis) {
    let rotated = if rotated { "yes" } else { "no" };
    counter!("sessions.renewed", "idp" => name(idp), "rotated" => rotated).increment(1);
    counter!("identity_manager_last_session_refresh_success").increment(1);
    let seconds = as_number(now.seconds());
    gauge!("sessions.last_refresh_timestamp", "idp" => name(idp)).set(seconds);
    gauge!("identity_manager_last_session_refresh_success_timestamp").set(seconds);
    gauge!("identity_manager_last_refresh_timestamp").set(seconds);
}

/// Something became of an ID token that could not be verified when it came.
pub(crate) fn set_aside(idp: &IdpId, outcome: &'static str) {
    counter!("sessions.id_tokens", "idp" => name(idp), "outcome" => outcome).increment(1);
}

/// A user was looked at.
pub(crate) fn looked(idp: &IdpId, outcome: &'static str, now: Millis) {
    counter!("sessions.userinfo", "idp" => name(idp), "outcome" => outcome).increment(1);
    let seconds = as_number(now.seconds());
    match outcome {
        "told" => {
            counter!("identity_manager_last_user_refresh_success").increment(1);
            gauge!("identity_manager_last_user_refresh_success_timestamp").set(seconds);
        }
        // There was nothing to ask, or nobody was asked.
        "nothing" | "held_back" => {}
        _ => {
            counter!("identity_manager_last_user_refresh_errors").increment(1);
            gauge!("identity_manager_last_user_refresh_error_timestamp").set(seconds);
        }
    }
}

/// Users who are due and not looked at.
pub(crate) fn overdue_users(idp: &IdpId, count: i64, oldest: Millis, now: Millis) {
    let age = if count == 0 { Duration::ZERO } else { now.since(oldest) };
    gauge!("sessions.userinfo_overdue", "idp" => name(idp)).set(as_number(count));
    gauge!("sessions.userinfo_lag_seconds", "idp" => name(idp)).set(age.as_secs_f64());
}

/// Outcomes were committed.
pub(crate) fn settled(settled: &Settled) {
    for (fate, count) in [
        ("kept", settled.renewed),
        ("late", settled.late),
        ("dropped", settled.dropped),
        ("orphaned", settled.orphaned),
    ] {
        if count > 0 {
            counter!("sessions.settled", "fate" => fate).increment(count as u64);
        }
    }
}

/// Claims were taken from a process that is gone.
pub(crate) fn reaped(reaped: Reaped) {
    counter!("sessions.reaped", "then" => "again").increment(reaped.again as u64);
    counter!("sessions.reaped", "then" => "retired").increment(reaped.retired as u64);
}

/// What is due and not begun.
pub(crate) fn overdue(idp: &IdpId, count: i64, oldest: Millis, now: Millis) {
    let age = if count == 0 { Duration::ZERO } else { now.since(oldest) };
    gauge!("sessions.overdue", "idp" => name(idp)).set(as_number(count));
    gauge!("sessions.due_lag_seconds", "idp" => name(idp)).set(age.as_secs_f64());
}

/// How the other side is taken to be.
pub(crate) fn breaker(idp: &IdpId, state: &'static str) {
    for it in ["closed", "half_open", "open"] {
        gauge!("sessions.breaker", "idp" => name(idp), "state" => it).set(f64::from(u8::from(it == state)));
    }
}

/// How much it is taken to bear at once.
pub(crate) fn limit(idp: &IdpId, places: u32) {
    gauge!("sessions.concurrency_limit", "idp" => name(idp)).set(places);
}

/// What identity providers are still to be told.
pub(crate) fn outbox(count: i64, oldest: Millis, now: Millis) {
    let age = if count == 0 { Duration::ZERO } else { now.since(oldest) };
    gauge!("sessions.revocations_pending").set(as_number(count));
    gauge!("sessions.revocations_oldest_age").set(age.as_secs_f64());
}

/// Somebody at that identity provider keeps tokens that nobody needs: it was not to be told.
pub(crate) fn revocation_given_up(idp: String) {
    counter!("sessions.revocations_given_up", "idp" => idp).increment(1);
}

/// Attempts under way.
pub(crate) fn in_flight(count: usize) {
    gauge!("sessions.in_flight").set(u32::try_from(count).unwrap_or(u32::MAX));
}

/// Whether the clock's work is this process's.
pub(crate) fn lease(is_held: bool) {
    gauge!("sessions.sweep_lease").set(f64::from(u8::from(is_held)));
}

/// Somebody asked for an access token.
pub(crate) fn handed(how: &'static str) {
    counter!("sessions.access_tokens", "how" => how).increment(1);
}

/// A watcher is told of changes, the first of which was made so long ago.
pub(crate) fn told(lag: Duration) {
    histogram!("sessions.watch_lag_seconds").record(lag.as_secs_f64());
}

/// Grants are refreshed no more, from this commit on.
pub(crate) fn retired(reason: &'static str, count: u64) {
    counter!("sessions.retired", "reason" => reason).increment(count);
}

/// Somebody watches, or no longer.
pub(crate) fn watching(by: f64) {
    gauge!("sessions.watchers").increment(by);
}

#[expect(clippy::cast_precision_loss, reason = "counts and seconds are far below 2⁵³")]
fn as_number(count: i64) -> f64 {
    count as f64
}
