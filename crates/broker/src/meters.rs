//! What is measured: by fxa-event-broker's names where it had one, per relying party besides.

mod attempts;

pub(crate) use attempts::{Attempts, arrived};

use crate::routing::Registry;
use crate::store::list::Backlog;
use crate::store::rows::Delivery;
use crate::{ClientId, KeyView};
use account::{Change, EventKind, Millis};
use ledger::News;
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

/// A change as the queue's messages call it, by the name of its kind.
pub(crate) fn event_name(kind: &str) -> &str {
    match kind {
        "password_change" => "passwordChange",
        "password_reset" => "reset",
        "sign_out_everywhere" => "signOutEverywhere",
        "primary_email_change" => "primaryEmailChanged",
        "profile_change" => "profileDataChange",
        "subscription_change" => "subscription:update",
        "disable" => "accountDisabled",
        "enable" => "accountEnabled",
        other => other,
    }
}

/// What is counted of an event, before its transaction is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    kind: EventKind,
    at: Millis,
}

impl Counted {
    /// Of an event that means something here: a login that says to whom, anything else that is known.
    pub(crate) fn of(news: &News) -> Option<Self> {
        match &news.change {
            Change::Unknown { .. } => None,
            Change::Login(login) if login.client_id.is_none() => None,
            change => Some(Self { kind: change.kind(), at: news.at }),
        }
    }
}

/// Events whose deliveries are committed; handling them began at `now` and took so long.
pub(crate) fn news(counted: &[Counted], now: Millis, took: Duration) {
    for Counted { kind, at } in counted {
        let word = match kind {
            EventKind::PasswordChange | EventKind::PasswordReset => "password",
            EventKind::PrimaryEmailChange | EventKind::ProfileChange => "profile",
            EventKind::SubscriptionChange => "subscription",
            other => other.as_str(),
        };
        counter!("message.type", "eventType" => word).increment(1);
        histogram!("message.processing.total").record(took.as_secs_f64());
        let waited = now.since(*at).as_secs_f64();
        histogram!("message.queueDelay").record(waited);
        if *kind == EventKind::SubscriptionChange {
            histogram!("message.sub.eventDelay").record(waited);
        }
    }
}

/// A client that should be told and cannot be.
pub(crate) fn webhook_not_found(kind: EventKind) {
    counter!("message.webhookNotFound", "eventType" => event_name(kind.as_str())).increment(1);
}

/// Deliveries to a client that is a relying party no more.
pub(crate) fn left_over(client_id: &ClientId, count: usize) {
    let client_id = client_id.as_str().to_owned();
    counter!("proxy.webhookNotFound", "clientId" => client_id)
        .increment(u64::try_from(count).unwrap_or(u64::MAX));
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

/// How many relying parties there are, by their status.
pub(crate) fn registry(registry: &Registry) {
    for status in ["enabled", "paused", "disabled"] {
        let count = registry.iter().filter(|rp| rp.status.as_str() == status).count();
        gauge!("broker.rps", "status" => status).set(u32::try_from(count).unwrap_or(u32::MAX));
    }
}

/// How old the keys are that sign.
pub(crate) fn keys(keys: &[KeyView], now: Millis) {
    for key in keys.iter().filter(|key| key.state == "current") {
        let Some(created_at) = key.created_at else { continue };
        gauge!("broker.signing_key_age", "algorithm" => key.algorithm.clone())
            .set(now.since(created_at).as_secs_f64());
    }
}

/// A relying party was disabled by us.
pub(crate) fn disabled(reason: &'static str) {
    counter!("broker.rps_disabled", "reason" => reason).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use account::{AccountId, IdpId, Login, Mark, State, Subject};

    fn news(change: Change) -> News {
        let account = AccountId::new(IdpId::new("main").expect("valid"), Subject::new("u").expect("valid"));
        let (at, mark) = (Millis::new(1), Mark::at(Millis::ZERO));
        News { account, version: 1, at, change, mark, state: State::Active }
    }

    #[test]
    fn an_event_is_called_as_its_message_was() {
        for (kind, name) in [
            (EventKind::Login, "login"),
            (EventKind::Delete, "delete"),
            (EventKind::PasswordChange, "passwordChange"),
            (EventKind::PasswordReset, "reset"),
            (EventKind::PrimaryEmailChange, "primaryEmailChanged"),
            (EventKind::ProfileChange, "profileDataChange"),
            (EventKind::SubscriptionChange, "subscription:update"),
        ] {
            assert_eq!(event_name(kind.as_str()), name);
        }
    }

    #[test]
    fn what_means_nothing_here_is_not_counted() {
        let login = |client_id: Option<&str>| {
            Change::Login(Login { client_id: client_id.map(str::to_owned), ..Login::default() })
        };
        assert_eq!(Counted::of(&news(login(None))), None);
        assert!(Counted::of(&news(login(Some("aaaa")))).is_some());
        assert!(Counted::of(&news(Change::PasswordChange)).is_some());
    }
}
