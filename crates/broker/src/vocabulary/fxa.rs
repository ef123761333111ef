//! Mozilla accounts' own events, with the payloads that fxa-event-broker documents. Times are integer milliseconds.

use super::shared::{Nothing, metrics, subscription};
use super::{EventType, Telling};
use account::{Change, DeleteReason, Millis, Profile};
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PasswordChange {
    change_time: Millis,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProfileChange<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    totp_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_disabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_locked: Option<bool>,
}

#[derive(Serialize)]
struct DeleteUser {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<DeleteReason>,
}

pub(super) fn tellings(change: &Change, at: Millis, capabilities: &[String]) -> Vec<Telling> {
    match change {
        Change::PasswordChange | Change::PasswordReset => {
            vec![Telling::new(EventType::PasswordChange, &PasswordChange { change_time: at })]
        }
        Change::PrimaryEmailChange { email } => {
            vec![profile_change(&ProfileChange { email: email.as_deref(), ..ProfileChange::default() })]
        }
        Change::ProfileChange(profile) => {
            std::iter::once(profile_change(&ProfileChange::of(profile))).chain(metrics(profile)).collect()
        }
        Change::Disable => vec![disabled(true)],
        Change::Enable => vec![disabled(false)],
        Change::SubscriptionChange(given) => vec![subscription(given, at, capabilities)],
        Change::Delete { reason } => {
            vec![Telling::new(EventType::DeleteUser, &DeleteUser { reason: *reason })]
        }
        Change::Login(_) => vec![Telling::new(EventType::SessionEstablished, &Nothing {})],
        // There is no word for it. A `password-change` would be a lie that locks people out: the Tokenserver takes its
        // time for a generation that no token of theirs will have until the password really changes.
        Change::SignOutEverywhere | Change::Unknown { .. } => vec![],
    }
}

pub(super) fn profile_change(members: &ProfileChange<'_>) -> Telling {
    Telling::new(EventType::ProfileChange, members)
}

fn disabled(disabled: bool) -> Telling {
    profile_change(&ProfileChange { account_disabled: Some(disabled), ..ProfileChange::default() })
}

impl<'a> ProfileChange<'a> {
    fn of(profile: &'a Profile) -> Self {
        Self {
            email: profile.email.as_deref(),
            locale: profile.locale.as_deref(),
            metrics_enabled: profile.metrics_enabled,
            totp_enabled: profile.totp_enabled,
            account_disabled: profile.account_disabled,
            account_locked: profile.account_locked,
        }
    }
}
