//! From a message's body to an account event: pure, and total: any bytes are an event or junk.
//!
//! The body is a flat JSON object, or one nested in `data`, or either of them as the string `Message` of an SNS
//! notification. Only `event` and `uid` are required of every kind; what else a kind needs is said at
//! [`decode`]. Members that do not count are never read, so nothing in them can spoil an event.

pub(crate) mod change;
pub(crate) mod members;
pub(crate) mod reader;

use crate::junk::{Junk, Note, Reason};
use crate::remit::Remit;
use account::AccountEvent;
use members::{Members, NoMembers};
use reader::Reader;

/// The largest body that is looked at, in bytes: what Amazon SQS carries, 256 KiB.
pub const MAX_BODY: usize = 256 * 1024;

/// The longest name of a kind, in bytes. Known ones have 20.
const MAX_NAME: usize = 255;

/// An account event out of a message's body.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The event.
    pub event: AccountEvent,
    /// Optional members that were dropped.
    pub notes: Vec<Note>,
}

/// Reads one message's body.
///
/// | `event` | becomes | its time | needs besides `uid` |
/// |---|---|---|---|
/// | `login` | login | `timestamp`, `ts` | |
/// | `delete` | delete | `timestamp`, `ts` | |
/// | `passwordChange` | password change | `generation`, `timestamp`, `ts` | one of these times |
/// | `reset` | password reset | `generation`, `timestamp`, `ts` | one of these times |
/// | `signOutEverywhere` | sign-out everywhere | `generation`, `timestamp`, `ts` | one of these times |
/// | `primaryEmailChanged` | primary e-mail change; with another profile member, profile change | `timestamp`, `ts` | |
/// | `profileDataChange` | profile change | `timestamp`, `ts` | |
/// | `subscription:update` | subscription change | `eventCreatedAt`, `timestamp`, `ts` | `isActive`, `productCapabilities` |
/// | `accountDisabled` | disable | `timestamp`, `ts` | |
/// | `accountEnabled` | enable | `timestamp`, `ts` | |
/// | any other | unknown, kept verbatim | `timestamp`, `ts` | |
///
/// `generation` and `timestamp` are milliseconds, `ts` and `eventCreatedAt` seconds; the first that is a moment
/// counts, and zero is none. Numbers and booleans may come as strings, as the schemas of the sender's side have it.
pub fn decode(body: &[u8], remit: &Remit) -> Result<Decoded, Junk> {
    if body.len() > MAX_BODY {
        return Err(Junk::new(Reason::TooLarge, format!("more than {MAX_BODY} bytes")));
    }
    let text = std::str::from_utf8(body).map_err(|error| Junk::new(Reason::NotUtf8, error.to_string()))?;
    let outer = object(text, "the body")?;
    match sns_message(&outer)? {
        Some(message) => event(&message, object(&message, "`Message`")?, remit),
        None => event(text, outer, remit),
    }
}

fn object<'a>(text: &'a str, what: &str) -> Result<Members<'a>, Junk> {
    Members::of(text).map_err(|error| match error {
        NoMembers::NotJson(detail) => Junk::new(Reason::NotJson, format!("{what}: {detail}")),
        NoMembers::NotAnObject => Junk::new(Reason::NotAnObject, format!("{what} is no JSON object")),
    })
}

/// The message inside an SNS notification, when it is one: an object with a `Message` and no `event`.
fn sns_message(outer: &Members<'_>) -> Result<Option<String>, Junk> {
    match (outer.value("event"), outer.some("Message")) {
        (None, Some(message)) => match message.text() {
            Ok(text) => Ok(Some(text.into_owned())),
            Err(_) => Err(wrong_type("Message", message)),
        },
        _ => Ok(None),
    }
}

fn event(text: &str, members: Members<'_>, remit: &Remit) -> Result<Decoded, Junk> {
    let members = flat(members);
    let name = required(&members, "event", Reason::MissingEvent)?;
    let uid = required(&members, "uid", Reason::MissingUid)?;
    let iss = match members.some("iss") {
        Some(value) => Some(value.text().map_err(|_| wrong_type("iss", value))?),
        None => None,
    };
    let account = remit.account(&uid, iss.as_deref())?;
    let mut reader = Reader::new(members);
    let (at, change) = change::read(checked_name(&name)?, text, &mut reader)?;
    Ok(Decoded { event: AccountEvent { account, at, change }, notes: reader.into_notes() })
}

/// With the members of `data` merged up, when that is where they are.
fn flat(members: Members<'_>) -> Members<'_> {
    match members.some("data").map(members::Value::members) {
        Some(Ok(data)) if members.value("uid").is_none() => members.over(data),
        _ => members,
    }
}

fn required<'a>(
    members: &Members<'a>,
    name: &'static str,
    missing: Reason,
) -> Result<std::borrow::Cow<'a, str>, Junk> {
    let value = members.some(name).ok_or_else(|| Junk::new(missing, format!("no `{name}`")))?;
    let text = value.text().map_err(|_| wrong_type(name, value))?;
    if text.is_empty() { Err(Junk::new(missing, format!("`{name}` is empty"))) } else { Ok(text) }
}

pub(crate) fn checked_name(name: &str) -> Result<&str, Junk> {
    if name.len() > MAX_NAME {
        return Err(Junk::new(
            Reason::TooLong,
            format!("the event's name is {} bytes long; at most {MAX_NAME} are kept", name.len()),
        ));
    }
    if name.chars().any(char::is_control) {
        return Err(Junk::new(Reason::ControlCharacter, "the event's name has a control character in it"));
    }
    Ok(name)
}

fn wrong_type(name: &str, value: members::Value<'_>) -> Junk {
    let odd = if value.type_name() == "a string" { "no readable text" } else { value.type_name() };
    Junk::new(Reason::WrongType, format!("`{name}` is {odd}"))
}

#[cfg(test)]
pub(crate) mod tests;
