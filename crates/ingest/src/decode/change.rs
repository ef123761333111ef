use super::members::Value;
use super::reader::Reader;
use super::wrong_type;
use crate::junk::{Junk, Oddity, Reason};
use account::{Change, DeleteReason, Login, Millis, Profile, Subscription};

/// What happened and when, by the event's name. `text` is the event as it came.
pub(super) fn read(
    name: &str,
    text: &str,
    reader: &mut Reader<'_>,
) -> Result<(Option<Millis>, Change), Junk> {
    Ok(match name {
        "login" => (time(reader), Change::Login(login(reader))),
        "delete" => (time(reader), Change::Delete { reason: delete_reason(reader) }),
        "passwordChange" => (Some(credential_time(reader)?), Change::PasswordChange),
        "reset" => (Some(credential_time(reader)?), Change::PasswordReset),
        "signOutEverywhere" => (Some(credential_time(reader)?), Change::SignOutEverywhere),
        "primaryEmailChanged" => (time(reader), email_change(profile(reader))),
        "profileDataChange" => (time(reader), Change::ProfileChange(profile(reader))),
        "subscription:update" => {
            (subscription_time(reader), Change::SubscriptionChange(subscription(reader)?))
        }
        "accountDisabled" => (time(reader), Change::Disable),
        "accountEnabled" => (time(reader), Change::Enable),
        other => (time(reader), Change::Unknown { name: other.to_owned(), body: text.to_owned() }),
    })
}

fn time(reader: &mut Reader<'_>) -> Option<Millis> {
    reader.millis("timestamp").or_else(|| reader.seconds("ts"))
}

/// Without a time such an event could end what was granted after it.
fn credential_time(reader: &mut Reader<'_>) -> Result<Millis, Junk> {
    reader
        .millis("generation")
        .or_else(|| time(reader))
        .ok_or_else(|| Junk::new(Reason::NoTime, "none of `generation`, `timestamp` and `ts` is a moment"))
}

fn subscription_time(reader: &mut Reader<'_>) -> Option<Millis> {
    reader.seconds("eventCreatedAt").or_else(|| time(reader))
}

fn login(reader: &mut Reader<'_>) -> Login {
    Login {
        client_id: client_id(reader),
        service: reader.text("service"),
        email: reader.text("email"),
        device_count: reader.count("deviceCount"),
        user_agent: reader.text("userAgent"),
    }
}

/// An OAuth client id: one or more pairs of hex digits, kept in lower case.
fn client_id(reader: &mut Reader<'_>) -> Option<String> {
    let id = reader.text("clientId")?;
    if !id.is_empty() && id.len() % 2 == 0 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some(id.to_ascii_lowercase());
    }
    reader.note("clientId", Oddity::Malformed);
    None
}

/// The reason, when it is one of the known words. The delete itself counts in any case.
pub(crate) fn delete_reason(reader: &mut Reader<'_>) -> Option<DeleteReason> {
    let (reason, oddity) = match reader.members().value("reason").map(Value::text) {
        None => (None, Oddity::Missing),
        Some(Err(_)) => (None, Oddity::NonString),
        Some(Ok(word)) if word.is_empty() => (None, Oddity::Missing),
        Some(Ok(word)) => (DeleteReason::from_wire(&word), Oddity::UnknownString),
    };
    if reason.is_none() {
        reader.note("reason", oddity);
    }
    reason
}

pub(crate) fn profile(reader: &mut Reader<'_>) -> Profile {
    Profile {
        email: reader.text("email"),
        locale: reader.text("locale"),
        metrics_enabled: reader.flag("metricsEnabled"),
        totp_enabled: reader.flag("totpEnabled"),
        account_disabled: reader.flag("accountDisabled"),
        account_locked: reader.flag("accountLocked"),
    }
}

/// A primary e-mail change may carry every member of a profile; when it does, none of them is lost.
fn email_change(profile: Profile) -> Change {
    let only_email = Profile { email: profile.email.clone(), ..Profile::default() };
    if profile == only_email {
        Change::PrimaryEmailChange { email: profile.email }
    } else {
        Change::ProfileChange(profile)
    }
}

fn subscription(reader: &Reader<'_>) -> Result<Subscription, Junk> {
    Ok(Subscription {
        active: needed(reader, "isActive", Value::flag)?,
        capabilities: needed(reader, "productCapabilities", capabilities)?,
    })
}

/// Capability names, in the sender's order.
pub(crate) fn capabilities(value: Value<'_>) -> Result<Vec<String>, Oddity> {
    let names = value.texts()?;
    let clean = names.iter().all(|name| !name.chars().any(char::is_control));
    if clean { Ok(names) } else { Err(Oddity::ControlCharacter) }
}

pub(crate) fn needed<'a, T>(
    reader: &Reader<'a>,
    name: &'static str,
    read: impl FnOnce(Value<'a>) -> Result<T, Oddity>,
) -> Result<T, Junk> {
    let value = reader.members().some(name);
    let value = value.ok_or_else(|| Junk::new(Reason::MissingMember, format!("no `{name}`")))?;
    read(value).map_err(|oddity| match oddity {
        Oddity::ControlCharacter => {
            Junk::new(Reason::ControlCharacter, format!("`{name}` has a control character in it"))
        }
        _ => wrong_type(name, value),
    })
}
