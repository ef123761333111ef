//! One line per request, in the words of the field, with its outcome.

use crate::HashedIds;
use crate::grant::Grant;
use crate::user_agent::Agent;
use account::Millis;
use http::StatusCode;
use http::request::Parts;
use std::sync::Arc;
use std::time::Instant;

/// What is known of a request's user, as soon as it is.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// What the token gives.
    pub(crate) grant: Option<Arc<Grant>>,
    /// When it was first seen.
    pub(crate) first_seen_at: Option<Millis>,
}

/// The line. Headers that are secrets, and the account itself, are not in it.
pub(super) fn request(head: &Parts, seen: &Seen, status: StatusCode, began: Instant) {
    // Asked first: what goes into the line costs more than the line that is not written.
    if !tracing::enabled!(tracing::Level::INFO) {
        return;
    }
    let ua = super::user_agent(&head.headers).unwrap_or_default();
    let agent = Agent::of(ua);
    let hashed = seen.grant.as_ref().map(|grant| &grant.hashed);
    tracing::info!(
        uri.method = %head.method,
        uri.path = head.uri.path_and_query().map_or("", |path| path.as_str()),
        ua,
        ua.name = agent.name,
        ua.browser.ver = agent.version,
        ua.browser.family = agent.family,
        ua.os.family = agent.os_family,
        ua.os.ver = agent.os_version,
        token_type = hashed.map(|_| "OAuth"),
        uid = hashed.map(HashedIds::full_fxa_uid),
        metrics_uid = hashed.map(HashedIds::fxa_uid),
        first_seen_at = seen.first_seen_at.map(Millis::get),
        status = status.as_u16(),
        duration_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
        "request"
    );
}
