//! The events of OpenID CAEP 1.0 and RISC 1.0. Times are whole seconds (`event_timestamp`). What has no standard word
//! keeps Mozilla's, in a token of the same profile.

use super::fxa::{ProfileChange, profile_change};
use super::shared::{metrics, subscription};
use super::{EventType, Telling};
use account::{Change, DeleteReason, Millis, Profile};
use serde::Serialize;

/// Who began it (CAEP section 2).
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum Initiator {
    Admin,
    User,
    Policy,
    System,
}

/// A text for administrators, by language (CAEP section 2).
#[derive(Serialize)]
struct Reason<'a> {
    en: &'a str,
}

/// What any event may carry.
#[derive(Serialize)]
struct Common<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    initiating_entity: Option<Initiator>,
    event_timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_admin: Option<Reason<'a>>,
}

#[derive(Serialize)]
struct CredentialChange<'a> {
    credential_type: &'a str,
    change_type: &'a str,
    #[serde(flatten)]
    common: Common<'a>,
}

#[derive(Serialize)]
struct ClaimsChange<'a> {
    claims: Claims<'a>,
    #[serde(flatten)]
    common: Common<'a>,
}

#[derive(Default, PartialEq, Serialize)]
struct Claims<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<&'a str>,
    #[serde(rename = "metricsEnabled", skip_serializing_if = "Option::is_none")]
    metrics_enabled: Option<bool>,
    #[serde(rename = "accountLocked", skip_serializing_if = "Option::is_none")]
    account_locked: Option<bool>,
}

pub(super) fn tellings(change: &Change, at: Millis, capabilities: &[String]) -> Vec<Telling> {
    use Initiator::User;
    let about = |initiator, why| common(at, initiator, why);
    match change {
        Change::PasswordChange => password(at, "Password changed by the user"),
        Change::PasswordReset => {
            let recovered =
                Telling::new(EventType::RecoveryActivated, &about(Some(User), "Password reset by the user"));
            password(at, "Password reset by the user").into_iter().chain([recovered]).collect()
        }
        Change::SignOutEverywhere => {
            vec![Telling::new(
                EventType::SessionRevoked,
                &about(Some(User), "Signed out everywhere by the user"),
            )]
        }
        Change::PrimaryEmailChange { email: Some(email) } => {
            vec![claims(at, Claims { email: Some(email), ..Claims::default() })]
        }
        Change::PrimaryEmailChange { email: None } => vec![profile_change(&ProfileChange::default())],
        Change::ProfileChange(profile) => self::profile(profile, at),
        Change::Disable => vec![disabled(at)],
        Change::Enable => vec![enabled(at)],
        Change::SubscriptionChange(given) => vec![subscription(given, at, capabilities)],
        Change::Delete { reason } => vec![purged(*reason, at)],
        Change::Login(_) => {
            vec![Telling::new(EventType::SessionEstablished, &about(Some(User), "Signed in by the user"))]
        }
        Change::Unknown { .. } => vec![],
    }
}

pub(super) fn ended(at: Millis) -> Telling {
    Telling::new(EventType::SessionRevoked, &common(at, None, "Sessions of before then are ended"))
}

fn common(at: Millis, initiator: Option<Initiator>, why: &str) -> Common<'_> {
    Common {
        initiating_entity: initiator,
        event_timestamp: at.seconds(),
        reason_admin: Some(Reason { en: why }),
    }
}

pub(super) fn disconnected(at: Millis) -> Telling {
    Telling::new(
        EventType::SessionRevoked,
        &common(at, None, "The account was disconnected from this client"),
    )
}

fn credential(at: Millis, credential_type: &str, change_type: &str, why: &str) -> Telling {
    let common = common(at, Some(Initiator::User), why);
    Telling::new(EventType::CredentialChange, &CredentialChange { credential_type, change_type, common })
}

/// A new password also ends the sessions that began with the old one.
fn password(at: Millis, why: &str) -> Vec<Telling> {
    vec![
        credential(at, "password", "update", why),
        Telling::new(EventType::SessionRevoked, &common(at, Some(Initiator::User), why)),
    ]
}

fn disabled(at: Millis) -> Telling {
    Telling::new(EventType::AccountDisabled, &common(at, None, "Account disabled"))
}

fn enabled(at: Millis) -> Telling {
    Telling::new(EventType::AccountEnabled, &common(at, None, "Account enabled"))
}

fn claims(at: Millis, claims: Claims<'_>) -> Telling {
    let common = Common { initiating_entity: None, event_timestamp: at.seconds(), reason_admin: None };
    Telling::new(EventType::TokenClaimsChange, &ClaimsChange { claims, common })
}

fn profile(profile: &Profile, at: Millis) -> Vec<Telling> {
    let mut told = Vec::new();
    if let Some(enabled) = profile.totp_enabled {
        let (change, why) =
            if enabled { ("create", "Second factor added") } else { ("delete", "Second factor removed") };
        told.push(credential(at, "app", change, why));
    }
    told.extend(
        profile.account_disabled.map(|disabled| if disabled { self::disabled(at) } else { enabled(at) }),
    );
    if profile.account_locked == Some(true) {
        let required = common(at, None, "Account locked until its password is reset");
        told.push(Telling::new(EventType::AccountCredentialChangeRequired, &required));
    }
    let rest = Claims {
        email: profile.email.as_deref(),
        locale: profile.locale.as_deref(),
        metrics_enabled: profile.metrics_enabled,
        // That it is unlocked again has no event of its own.
        account_locked: profile.account_locked.filter(|locked| !locked),
    };
    if rest != Claims::default() {
        told.push(claims(at, rest));
    }
    if told.is_empty() {
        // Something changed, nobody said what: fetch the profile again.
        told.push(profile_change(&ProfileChange::default()));
    }
    told.into_iter().chain(metrics(profile)).collect()
}

fn purged(reason: Option<DeleteReason>, at: Millis) -> Telling {
    let (initiator, why) = match reason {
        Some(DeleteReason::User) => (Some(Initiator::User), "Account deleted by the user"),
        Some(DeleteReason::Admin) => (Some(Initiator::Admin), "Account deleted by an administrator"),
        Some(DeleteReason::Inactivity) => (Some(Initiator::Policy), "Account deleted for inactivity"),
        Some(DeleteReason::Unverified) => {
            (Some(Initiator::System), "Account deleted because it was never verified")
        }
        None => (None, "Account deleted"),
    };
    Telling::new(EventType::AccountPurged, &common(at, initiator, why))
}
