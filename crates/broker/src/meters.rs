//! What is measured: by fxa-event-broker's names where it had one, per relying party besides. Labels differ by relying
//! party, so handles are looked up as they are needed.

use crate::ClientId;
use crate::store::list::Backlog;
use crate::store::rows::Delivery;
use account::{EventKind, Millis};
use metrics::{counter, gauge, histogram};
use std::time::Duration;

/// One attempt, as it is measured.
pub(crate) struct Measured<'a> {
    pub(crate) delivery: &'a Delivery,
    pub(crate) outcome: &'static str,
    pub(crate) status: Option<u16>,
    /// When it began, and how long it took.
    pub(crate) at: Millis,
    pub(crate) duration: Duration,
}

/// An event that may have to be told.
pub(crate) fn news(kind: EventKind) {
    let kind = match kind {
        EventKind::Login => "login",
        EventKind::Delete => "delete",
        EventKind::PasswordChange | EventKind::PasswordReset => "password",
        EventKind::PrimaryEmailChange | EventKind::ProfileChange => "profile",
        EventKind::SubscriptionChange => "subscription",
        other => other.as_str(),
    };
    counter!("message.type", "eventType" => kind).increment(1);
}

/// A client that should be told and cannot be.
pub(crate) fn webhook_not_found(kind: EventKind) {
    counter!("message.webhookNotFound", "eventType" => kind.as_str()).increment(1);
}

/// An attempt has ended. Times are in seconds.
pub(crate) fn attempt(measured: &Measured<'_>) {
    let Measured { delivery, outcome, status, at, duration } = *measured;
    let client_id = delivery.client_id.as_str().to_owned();
    let kind = delivery.event_type.name();
    let queued = at.since(delivery.created_at);
    histogram!("proxy.queueDelay").record(queued.as_secs_f64());
    let by_rp = [("client_id", client_id.clone()), ("outcome", outcome.to_owned())];
    histogram!("broker.attempt", &by_rp).record(duration.as_secs_f64());
    let Some(status) = status else { return };
    let tags =
        [("clientId", client_id.clone()), ("statusCode", status.to_string()), ("type", kind.to_owned())];
    if outcome != "delivered" {
        counter!("proxy.fail", &tags).increment(1);
        return;
    }
    let arrived = queued + duration;
    histogram!("proxy.success", &tags).record(arrived.as_secs_f64());
    histogram!("broker.delivery_delay", "client_id" => client_id).record(arrived.as_secs_f64());
    if kind == "subscription-state-change" {
        let since_event = at.since(delivery.event_at) + duration;
        histogram!("proxy.sub.eventDelay").record(since_event.as_secs_f64());
    }
}

/// What is outstanding now.
pub(crate) fn backlog(backlog: &[Backlog], clients: &[ClientId], now: Millis) {
    for client_id in clients {
        let own = backlog.iter().find(|it| it.client_id == *client_id);
        let count = own.map_or(0, |it| u32::try_from(it.count).unwrap_or(u32::MAX));
        let age = own.map_or(Duration::ZERO, |it| now.since(it.oldest_at));
        let client_id = client_id.as_str().to_owned();
        gauge!("broker.backlog", "client_id" => client_id.clone()).set(count);
        gauge!("broker.backlog_oldest_age", "client_id" => client_id).set(age.as_secs_f64());
    }
}

/// A relying party was disabled by us.
pub(crate) fn disabled(reason: &'static str) {
    counter!("broker.rps_disabled", "reason" => reason).increment(1);
}
