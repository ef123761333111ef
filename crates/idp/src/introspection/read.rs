//! Reading an answer: strictly, since everything that is taken for granted here is taken from somebody's token later.

use super::{Inactive, Introspection};
use crate::Protocol;
use account::{Birth, Millis, Subject};
use aws_lc_rs::digest::{SHA256, digest};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::error::Category;

/// What the answer must be an answer to.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) protocol: Protocol,
    pub(crate) token: &'a str,
    /// Whether an `iss` is one of the identity provider's names.
    pub(crate) goes_by: &'a dyn Fn(&str) -> bool,
}

/// Why an answer tells nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("its answer is no JSON")]
    NotJson,
    #[error("its answer is JSON but no object")]
    NotObject,
    #[error("its answer has a member twice")]
    Twice,
    #[error("`{0}` in its answer is not what it should be")]
    Member(&'static str),
}

/// RFC 7662 section 2.2, with the claims of RFC 9470 section 6.2 and what Mozilla accounts add. An explicit null is as
/// good as nothing; what is not named here is not looked at.
#[derive(Deserialize)]
struct Members {
    active: Option<Value>,
    token_type: Option<Value>,
    token_use: Option<Value>,
    cnf: Option<Value>,
    sub: Option<Value>,
    iss: Option<Value>,
    jti: Option<Value>,
    client_id: Option<Value>,
    scope: Option<Value>,
    aud: Option<Value>,
    exp: Option<Value>,
    nbf: Option<Value>,
    iat: Option<Value>,
    auth_time: Option<Value>,
    acr: Option<Value>,
    amr: Option<Value>,
    #[serde(rename = "fxa-generation")]
    generation: Option<Value>,
}

/// What an answer says of the token it was asked about.
pub(crate) fn read(
    body: &[u8],
    question: &Question<'_>,
) -> Result<Result<Introspection, Inactive>, Unreadable> {
    let members = members(body)?;
    match members.active {
        Some(Value::Bool(true)) => {}
        // Whatever else it says of such a token is of no use (Mozilla accounts tell all about one that has ended).
        Some(Value::Bool(false)) => return Ok(Err(Inactive::Unknown)),
        _ => return Err(Unreadable::Member("active")),
    }
    match kind(&members, question.protocol)? {
        Kind::Bearer => {}
        Kind::Bound => return Ok(Err(Inactive::Bound)),
        Kind::Other => return Ok(Err(Inactive::OtherKind)),
    }
    if text("iss", members.iss.as_ref())?.is_some_and(|issuer| !(question.goes_by)(issuer)) {
        return Ok(Err(Inactive::Foreign));
    }
    answers(question, text("jti", members.jti.as_ref())?)?;
    let Some(subject) = subject(&members, question.protocol)? else { return Ok(Err(Inactive::NoAccount)) };
    facts(&members, subject).map(Ok)
}

fn members(body: &[u8]) -> Result<Members, Unreadable> {
    jose::from_object(body).map_err(|error| match serde_json::from_slice::<IgnoredAny>(body) {
        Err(_) => Unreadable::NotJson,
        Ok(_) if error.classify() == Category::Data && body.trim_ascii_start().starts_with(b"{") => {
            Unreadable::Twice
        }
        Ok(_) => Unreadable::NotObject,
    })
}

/// What may be done with a token.
enum Kind {
    Bearer,
    Bound,
    Other,
}

/// Only an access token is good, and only one that says so: some identity providers look into refresh tokens as well,
/// hint or no hint, and name no type then.
fn kind(members: &Members, protocol: Protocol) -> Result<Kind, Unreadable> {
    let token_type = text("token_type", members.token_type.as_ref())?;
    let token_use = text("token_use", members.token_use.as_ref())?;
    let is = |text: Option<&str>, names: &[&str]| {
        text.is_some_and(|text| names.iter().any(|name| text.eq_ignore_ascii_case(name)))
    };
    let names: &[&str] = match protocol {
        Protocol::Fxa => &["access_token"],
        // RFC 7662 means the types of RFC 6749 section 5.1; others give the names of the hint, or of RFC 8693 section 3.
        Protocol::Rfc7662 => {
            &["bearer", "dpop", "access_token", "urn:ietf:params:oauth:token-type:access_token"]
        }
    };
    let is_access =
        is(token_type, names) && (token_use.is_none() || is(token_use, &["access_token", "access"]));
    Ok(match is_access {
        false => Kind::Other,
        // RFC 9449 section 7, RFC 8705 section 3: without its proof it is somebody else's.
        true if members.cnf.is_some() || is(token_type, &["dpop"]) => Kind::Bound,
        true => Kind::Bearer,
    })
}

/// An answer about an opaque token of Mozilla accounts names it by its digest: `jti` is SHA-256 of its bytes.
fn answers(question: &Question<'_>, jti: Option<&str>) -> Result<(), Unreadable> {
    let mut bytes = [0; 32];
    if question.protocol != Protocol::Fxa || hex::decode_to_slice(question.token, &mut bytes).is_err() {
        return Ok(());
    }
    let expected = hex::encode(digest(&SHA256, &bytes));
    if jti == Some(expected.as_str()) { Ok(()) } else { Err(Unreadable::Member("jti")) }
}

/// Mozilla accounts know no token without an account. Elsewhere clients have tokens of their own.
fn subject(members: &Members, protocol: Protocol) -> Result<Option<Subject>, Unreadable> {
    const ODD: Unreadable = Unreadable::Member("sub");
    match text("sub", members.sub.as_ref())? {
        Some(subject) => Subject::new(subject).map(Some).map_err(|_| ODD),
        None if protocol == Protocol::Fxa => Err(ODD),
        None => Ok(None),
    }
}

fn facts(members: &Members, subject: Subject) -> Result<Introspection, Unreadable> {
    Ok(Introspection {
        subject,
        client_id: text("client_id", members.client_id.as_ref())?.map(Box::from),
        scope: scope(members.scope.as_ref())?,
        audience: texts("aud", members.aud.as_ref(), OneText::Allowed)?,
        expires_at: moment("exp", members.exp.as_ref())?.map(|at| at.earliest),
        not_before: moment("nbf", members.nbf.as_ref())?.map(|at| at.earliest),
        issued_at: moment("iat", members.iat.as_ref())?,
        auth_time: moment("auth_time", members.auth_time.as_ref())?,
        acr: text("acr", members.acr.as_ref())?.map(Box::from),
        amr: texts("amr", members.amr.as_ref(), OneText::Odd)?,
        generation: match &members.generation {
            None => None,
            Some(value) => Some(value.as_i64().ok_or(Unreadable::Member("fxa-generation"))?),
        },
    })
}

/// A text that says something.
fn text<'a>(name: &'static str, value: Option<&'a Value>) -> Result<Option<&'a str>, Unreadable> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
        Some(_) => Err(Unreadable::Member(name)),
    }
}

/// One text of words with spaces between, which may be empty.
fn scope(value: Option<&Value>) -> Result<Box<str>, Unreadable> {
    match value {
        None => Ok(Box::default()),
        Some(Value::String(text)) => Ok(Box::from(text.as_str())),
        Some(_) => Err(Unreadable::Member("scope")),
    }
}

/// Whether one text may stand for a list with nothing else in it (RFC 7519 section 4.1.3).
#[derive(Clone, Copy, PartialEq)]
enum OneText {
    Allowed,
    Odd,
}

fn texts(name: &'static str, value: Option<&Value>, one: OneText) -> Result<Box<[Box<str>]>, Unreadable> {
    let owned = |value: &Value| value.as_str().map(Box::from);
    let read = match value {
        None => return Ok(Box::default()),
        Some(Value::Array(list)) => list.iter().map(owned).collect(),
        Some(text) if one == OneText::Allowed => owned(text).map(|text| Box::from([text])),
        Some(_) => None,
    };
    read.ok_or(Unreadable::Member(name))
}

/// From here on a number is milliseconds: as seconds this is the year 5138, as milliseconds March 1973.
const MILLISECONDS: f64 = 1e11;
/// From here on a number is no time in either unit.
const NO_TIME: f64 = 1e14;

/// A time since the epoch, at its own resolution. RFC 7662 means seconds; Mozilla accounts tell `iat` and `exp` in
/// milliseconds and `auth_time` in seconds. No time in use is both, so its size tells the unit, whoever changes it.
fn moment(name: &'static str, value: Option<&Value>) -> Result<Option<Birth>, Unreadable> {
    let Some(value) = value else { return Ok(None) };
    let odd = Unreadable::Member(name);
    let number = value.as_f64().filter(|number| (0.0..NO_TIME).contains(number)).ok_or(odd)?;
    let seconds = if number < MILLISECONDS { number } else { number / 1000.0 };
    let at = Millis::from_fractional_seconds(seconds).ok_or(odd)?;
    let to_the_second = number < MILLISECONDS && number.fract() == 0.0;
    Ok(Some(if to_the_second { Birth::within_second(at.seconds()) } else { Birth::exactly(at) }))
}

#[cfg(test)]
mod tests;
