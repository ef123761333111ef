//! What is measured, by the names operators of the field know; every handle is held, so that counting costs little.

use crate::rules::Step;
use crate::{ClientStateFault, Refusal};
use metrics::{Counter, Histogram, counter, histogram};
use std::time::Instant;

/// Held handles of all meters of the token route. Times are in seconds.
pub(crate) struct Meters {
    pub(crate) verification: Histogram,
    pub(crate) creation: Histogram,
    pub(crate) get_users: Histogram,
    allocate_user: Histogram,
    post_user: Histogram,
    put_user: Histogram,
    replace_users: Histogram,
    oauth_errors: Counter,
    stale_client_states: Counter,
    resource_unavailable: Counter,
    not_allowed: Counter,
    shed: Counter,
    pub(crate) rejected_agents: Counter,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            verification: histogram!("token_verification", "token_type" => "OAuth"),
            creation: histogram!("token_creation", "token_type" => "OAuth"),
            get_users: histogram!("storage.get_users"),
            allocate_user: histogram!("storage.allocate_user"),
            post_user: histogram!("storage.post_user"),
            put_user: histogram!("storage.put_user"),
            replace_users: histogram!("storage.replace_users"),
            oauth_errors: counter!("request.error.oauth"),
            stale_client_states: counter!("request.error.oauth", "is_stale" => "true"),
            resource_unavailable: counter!(
                "request.error.resource_unavailable", "reason" => "oauth_verify_timeout"
            ),
            not_allowed: counter!("new_users.held", "reason" => "not_allowed"),
            shed: counter!("request.shed"),
            rejected_agents: counter!("error.rejectua"),
        }
    }

    /// The time a change took, by what it did.
    pub(crate) fn changed(&self, step: &Step, began: Instant) {
        let timer = match step {
            Step::Assign => &self.allocate_user,
            Step::Replace(_) => &self.post_user,
            Step::Raise(_) => &self.put_user,
            Step::Serve(_) => &self.replace_users,
        };
        timer.record(began.elapsed());
    }

    /// Counts a refusal: those that are the client's doing, and an identity provider that took too long.
    pub(crate) fn refused(&self, refusal: &Refusal) {
        match refusal {
            Refusal::UnacceptableClientState(ClientStateFault::Stale) => {
                self.stale_client_states.increment(1);
            }
            Refusal::VerifierTimedOut { .. } => self.resource_unavailable.increment(1),
            Refusal::NewUsersDisabled => self.not_allowed.increment(1),
            Refusal::Shed { .. } => self.shed.increment(1),
            // Counted where it is held, by whose budget it was.
            Refusal::NewUserHeld { .. } => {}
            other if other.status().is_client_error() => self.oauth_errors.increment(1),
            _ => {}
        }
    }
}
