//! What the event URIs mean: those of Mozilla accounts, of RISC and of CAEP.

use crate::decode::change::{capabilities, delete_reason, needed, profile};
use crate::decode::members::Value;
use crate::decode::reader::{LAST_MOMENT, Reader, moment};
use crate::decode::{Decoded, checked_name};
use crate::junk::{Junk, Oddity, Reason};
use account::{AccountEvent, AccountId, Change, DeleteReason, Millis, Profile, Subscription};

const FXA: &str = "https://schemas.accounts.firefox.com/event";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type";
const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type";
const SSF: &str = "https://schemas.openid.net/secevent/ssf/event-type";

/// No event counted in milliseconds is older than this (March 1973), none counted in seconds younger (the year 5138).
const SECONDS_BELOW: f64 = 100_000_000_000.0;

/// Whether it is about the stream of events itself (a test of it, a pause), and so about no account.
pub(super) fn is_about_the_stream(uri: &str) -> bool {
    matches!(uri.rsplit_once('/'), Some((SSF, "verification" | "stream-updated")))
}

/// Reads one event. `told_at` is when the token says it happened or, failing that, when it was issued.
///
/// A payload that is no object has no members: a bare `null` deletes an account as well as `{}` does.
pub(super) fn read(
    uri: &str,
    payload: Value<'_>,
    told_at: Option<Millis>,
    account: AccountId,
) -> Result<Decoded, Junk> {
    let mut reader = Reader::new(payload.members().unwrap_or_default());
    let (at, change) = match known(checked_name(uri)?, &mut reader, told_at) {
        Some(known) => known?,
        None => (told_at, Change::Unknown { name: uri.to_owned(), body: payload.json().to_owned() }),
    };
    Ok(Decoded { event: AccountEvent { account, at, change }, notes: reader.into_notes() })
}

type Read = Result<(Option<Millis>, Change), Junk>;

fn known(uri: &str, reader: &mut Reader<'_>, told_at: Option<Millis>) -> Option<Read> {
    Some(match uri.rsplit_once('/')? {
        (FXA, "password-change") => change_time(reader).map(|at| (Some(at), Change::PasswordChange)),
        (FXA, "delete-user") => Ok((told_at, Change::Delete { reason: delete_reason(reader) })),
        (FXA, "profile-change") => Ok((told_at, Change::ProfileChange(profile(reader)))),
        (FXA, "metrics-opt-out") => Ok((told_at, Change::ProfileChange(metrics(false)))),
        (FXA, "metrics-opt-in") => Ok((told_at, Change::ProfileChange(metrics(true)))),
        (FXA, "subscription-state-change") => subscription(reader, told_at),
        (RISC, "account-purged") => {
            Ok((event_time(reader, told_at), Change::Delete { reason: initiator(reader) }))
        }
        (RISC, "account-disabled") => Ok((event_time(reader, told_at), Change::Disable)),
        (RISC, "account-enabled") => Ok((event_time(reader, told_at), Change::Enable)),
        (RISC, "sessions-revoked") => {
            credential_time(reader, told_at).map(|at| (Some(at), Change::SignOutEverywhere))
        }
        (CAEP, "credential-change") if ends_password(reader) => {
            credential_time(reader, told_at).map(|at| (Some(at), Change::PasswordChange))
        }
        _ => return None,
    })
}

/// Milliseconds as a JSON integer: Mozilla's own receiver takes nothing else.
fn change_time(reader: &Reader<'_>) -> Result<Millis, Junk> {
    let at = needed(reader, "changeTime", Value::strict_integer)?;
    #[expect(clippy::cast_precision_loss, reason = "only compared with a limit far off")]
    let possible = at > 0 && at as f64 <= LAST_MOMENT;
    if possible { Ok(Millis::new(at)) } else { Err(Junk::new(Reason::NoTime, "`changeTime` is no moment")) }
}

/// Mozilla's documents say seconds, its broker sends milliseconds, its simulator seconds: the size tells which.
fn subscription(reader: &mut Reader<'_>, told_at: Option<Millis>) -> Read {
    let change = Change::SubscriptionChange(Subscription {
        active: needed(reader, "isActive", Value::flag)?,
        capabilities: needed(reader, "capabilities", capabilities)?,
    });
    let at = reader.moment("changeTime", |number| {
        if number < SECONDS_BELOW { moment(number * 1000.0) } else { moment(number) }
    });
    Ok((at.or(told_at), change))
}

/// CAEP section 2: `event_timestamp`, in seconds, says when it happened.
fn event_time(reader: &mut Reader<'_>, told_at: Option<Millis>) -> Option<Millis> {
    reader.seconds("event_timestamp").or(told_at)
}

fn credential_time(reader: &mut Reader<'_>, told_at: Option<Millis>) -> Result<Millis, Junk> {
    event_time(reader, told_at)
        .ok_or_else(|| Junk::new(Reason::NoTime, "none of `event_timestamp`, `toe` and `iat` is a moment"))
}

/// CAEP section 3.3: the password that was is one no more. (To `create` a first one ends nothing.)
fn ends_password(reader: &Reader<'_>) -> bool {
    let says = |name, words: &[&str]| {
        let value = reader.members().some(name).and_then(|value| value.text().ok());
        value.is_some_and(|word| words.contains(&word.as_ref()))
    };
    says("credential_type", &["password"]) && says("change_type", &["update", "revoke", "delete"])
}

/// CAEP section 2: who began it. Only a user and an administrator are reasons in our own words as well.
fn initiator(reader: &mut Reader<'_>) -> Option<DeleteReason> {
    match reader.text("initiating_entity")?.as_str() {
        "user" => Some(DeleteReason::User),
        "admin" => Some(DeleteReason::Admin),
        _ => {
            reader.note("initiating_entity", Oddity::UnknownString);
            None
        }
    }
}

fn metrics(enabled: bool) -> Profile {
    Profile { metrics_enabled: Some(enabled), ..Profile::default() }
}
