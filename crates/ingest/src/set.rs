//! Security Event Tokens (RFC 8417): which are taken for true, and what account events they tell of. Pure rules; the
//! signature is checked in between, by whoever holds the keys.
//!
//! [`Envelope::open`] reads what must be known to find the keys, [`Rules::accept`] judges the claims once the
//! signature is good, [`Accepted::events`] reads the events.

mod vocabulary;

use crate::decode::Decoded;
use crate::decode::members::{Members, Value};
use crate::decode::reader::moment_of_seconds;
use crate::junk::{Junk, Oddity, Reason};
use crate::remit::{Authority, Remit};
use account::{AccountId, Millis};
use idp::{Idp, Idps};
use jose::{Compact, Header, Malformed};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// How far clocks may lie apart: a token from the future within it is taken, one that expired within it too.
const SKEW: Duration = Duration::from_mins(1);

/// Why a token is not taken. None of them is an outage: sending it again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a compact JWS (RFC 7515 section 7.1) of an algorithm that is spoken here.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// What is in it is no JSON object.
    #[error("the token's claims are no JSON object")]
    Claims,
    /// The `typ` says that it is another kind of token (RFC 8417 section 2.3).
    #[error("a token of type {0:?} is no security event token")]
    Type(String),
    /// A claim that must be there is not, or has another type.
    #[error("the claim `{0}` is missing or has another type than it must have")]
    Claim(&'static str),
    /// Nobody here takes events from that issuer.
    #[error("the issuer is not known here")]
    Issuer,
    /// It is meant for somebody else.
    #[error("the audience is another one")]
    Audience,
    /// Its `iat` or `nbf` lies in the future.
    #[error("the token is from the future")]
    Early,
    /// Its `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `events` is there, but no JSON object.
    #[error("`events` is no object")]
    Events,
    /// The issuer has no key of that `kid`, or none for that `alg`.
    #[error("the key that signed the token is not one of the issuer's")]
    Key,
    /// The signature is not by that key.
    #[error("the signature does not fit")]
    Signature,
}

/// Who may send tokens, to whom they must be addressed, and for whose accounts they may speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmitter {
    /// What `aud` may say: one of these must be in it. With none, every token is refused.
    pub audiences: Vec<String>,
    /// The issuer is the home of this remit; its keys sign. It may speak for the others too.
    pub remit: Remit,
}

/// The transmitters that are listened to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Each with an issuer of its own.
    pub transmitters: Vec<Transmitter>,
}

/// A token's outside: what it says of itself before anything in it can be believed.
#[derive(Clone)]
pub struct Envelope<'t> {
    compact: Compact<'t>,
    header: Header,
    issuer: String,
    claims: String,
}

impl<'t> Envelope<'t> {
    /// Reads a compact JWS. Every `typ` is refused but `secevent+jwt`, `JWT` and none at all: above all `at+jwt`, since
    /// access tokens are signed with the same keys and have a client id for their audience as well.
    pub fn open(token: &'t str) -> Result<Self, Refusal> {
        let compact = Compact::split(token)?;
        let header = compact.header()?;
        check_type(&header)?;
        let claims = String::from_utf8(compact.payload()?).map_err(|_| Refusal::Claims)?;
        Ok(Self { compact, header, issuer: issuer(&claims)?, claims })
    }

    /// The token, for whoever verifies its signature.
    pub fn signed(&self) -> (&Compact<'t>, &Header) {
        (&self.compact, &self.header)
    }
}

fn issuer(claims: &str) -> Result<String, Refusal> {
    let value = members(claims)?.some("iss").ok_or(Refusal::Claim("iss"))?;
    Ok(value.text().map_err(|_| Refusal::Claim("iss"))?.into_owned())
}

fn members(claims: &str) -> Result<Members<'_>, Refusal> {
    Members::of(claims).map_err(|_| Refusal::Claims)
}

/// RFC 8417 section 2.3 recommends `secevent+jwt`, Mozilla accounts sends no `typ`, and many libraries write a plain
/// `JWT`. No other kind of token has an `events` claim, so the plain word opens no door.
fn check_type(header: &Header) -> Result<(), Refusal> {
    match &header.typ {
        Some(typ) if !header.is_type("secevent+jwt") && !header.is_type("jwt") => {
            Err(Refusal::Type(typ.chars().filter(|c| !c.is_control()).take(60).collect()))
        }
        _ => Ok(()),
    }
}

impl Rules {
    /// Those identity providers that send tokens: each with an audience configured.
    pub fn of(idps: &Idps) -> Self {
        let transmitter = |idp: &Arc<Idp>| {
            let audiences = vec![idp.set_audience()?.to_owned()];
            Some(Transmitter { audiences, remit: Remit::new(Authority::from(&**idp), vec![]) })
        };
        Self { transmitters: idps.iter().filter_map(transmitter).collect() }
    }

    /// The transmitter whose token this says it is.
    pub fn transmitter(&self, envelope: &Envelope<'_>) -> Result<&Transmitter, Refusal> {
        self.sent_by(&envelope.issuer)
    }

    fn sent_by(&self, issuer: &str) -> Result<&Transmitter, Refusal> {
        let known = |transmitter: &&Transmitter| transmitter.remit.home().has_issuer(issuer);
        self.transmitters.iter().find(known).ok_or(Refusal::Issuer)
    }

    /// Judges the claims of a token whose signature by its transmitter's key is good.
    pub fn accept<'t>(&'t self, envelope: &'t Envelope<'_>, now: Millis) -> Result<Accepted<'t>, Refusal> {
        let transmitter = self.transmitter(envelope)?;
        let claims = members(&envelope.claims)?;
        check_audience(&claims, &transmitter.audiences)?;
        check_times(&claims, now)?;
        read(transmitter, claims)
    }

    /// Reads the claims of a token that was accepted once, from where they were kept.
    pub fn reread<'t>(&'t self, claims: &'t str) -> Result<Accepted<'t>, Refusal> {
        read(self.sent_by(&issuer(claims)?)?, members(claims)?)
    }
}

fn read<'t>(transmitter: &'t Transmitter, claims: Members<'t>) -> Result<Accepted<'t>, Refusal> {
    let events = claims.some("events").ok_or(Refusal::Claim("events"))?;
    let events = events.members().map_err(|_| Refusal::Events)?;
    let told_at = claim_time(&claims, "toe")?.or(claim_time(&claims, "iat")?);
    Ok(Accepted { transmitter, told_at, claims, events })
}

fn check_times(claims: &Members<'_>, now: Millis) -> Result<(), Refusal> {
    for name in ["iat", "nbf"] {
        if claim_time(claims, name)?.is_some_and(|at| at > now.plus(SKEW)) {
            return Err(Refusal::Early);
        }
    }
    match claim_time(claims, "exp")? {
        Some(at) if at.plus(SKEW) < now => Err(Refusal::Expired),
        _ => Ok(()),
    }
}

/// RFC 7519 section 4.1.3: one string, or several. A token with none is for nobody.
fn check_audience(claims: &Members<'_>, audiences: &[String]) -> Result<(), Refusal> {
    let value = claims.some("aud").ok_or(Refusal::Claim("aud"))?;
    let said = match value.text() {
        Ok(one) => vec![one.into_owned()],
        Err(_) => value.texts().map_err(|_| Refusal::Claim("aud"))?,
    };
    if said.iter().any(|one| audiences.contains(one)) { Ok(()) } else { Err(Refusal::Audience) }
}

/// RFC 7519 section 2: a NumericDate may have a fraction, and Mozilla accounts' `iat` has one.
fn claim_time(claims: &Members<'_>, name: &'static str) -> Result<Option<Millis>, Refusal> {
    let Some(value) = claims.some(name) else { return Ok(None) };
    let at = value.json_number().and_then(moment_of_seconds);
    at.map(Some).map_err(|_| Refusal::Claim(name))
}

/// A token that is taken for true.
#[derive(Clone, Debug)]
pub struct Accepted<'t> {
    transmitter: &'t Transmitter,
    told_at: Option<Millis>,
    claims: Members<'t>,
    events: Members<'t>,
}

/// One event of a token.
#[derive(Clone, Debug, PartialEq)]
pub struct SetEvent {
    /// What names its kind.
    pub uri: String,
    /// What it says of an account.
    pub told: Told,
    /// The token's claims with this one event, JSON text: what is kept of one that cannot be used.
    pub claims: String,
}

/// What an event of a token comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// Something happened to an account.
    Account(Box<Decoded>),
    /// It is about the stream of events itself (a test, a pause) and about no account.
    Stream,
    /// Authentic, and yet no event that can be used.
    Junk(Junk),
}

impl Accepted<'_> {
    /// What makes the token unmistakable at its issuer: the `jti`. `None` when there is none that can be kept; the
    /// text of the token itself is then its name.
    pub fn token_id(&self) -> Option<String> {
        let id = self.claims.some("jti")?.clean_text().ok()?;
        (!id.is_empty()).then(|| id.into_owned())
    }

    /// Its events, in the token's order.
    pub fn events(&self) -> Vec<SetEvent> {
        let event = |(uri, payload): (&str, Value<'_>)| SetEvent {
            uri: uri.to_owned(),
            told: self.told(uri, payload),
            claims: self.claims_with(uri, payload),
        };
        self.events.iter().map(event).collect()
    }

    fn claims_with(&self, uri: &str, payload: Value<'_>) -> String {
        let others = self.claims.iter().filter(|(name, _)| *name != "events");
        let written = |name: &str, json: &str| {
            format!("{}:{json}", serde_json::to_string(name).expect("text always serialises"))
        };
        let event = format!("{{{}}}", written(uri, payload.json()));
        let all: Vec<String> = others
            .map(|(name, value)| written(name, value.json()))
            .chain([written("events", &event)])
            .collect();
        format!("{{{}}}", all.join(","))
    }

    fn told(&self, uri: &str, payload: Value<'_>) -> Told {
        if vocabulary::is_about_the_stream(uri) {
            return Told::Stream;
        }
        match self.decoded(uri, payload) {
            Ok(decoded) => Told::Account(Box::new(decoded)),
            Err(junk) => Told::Junk(junk),
        }
    }

    fn decoded(&self, uri: &str, payload: Value<'_>) -> Result<Decoded, Junk> {
        let account = self.account()?;
        vocabulary::read(uri, payload, self.told_at, account)
    }

    /// RFC 9493 section 3.2.4 (`sub_id` of the format `iss_sub`), else `sub` of RFC 8417 section 2.2.
    fn account(&self) -> Result<AccountId, Junk> {
        if let Some(Ok(subject)) = self.claims.some("sub_id").map(Value::members)
            && text(&subject, "format").is_some_and(|format| format == "iss_sub")
            && let (Some(iss), Some(sub)) = (text(&subject, "iss"), text(&subject, "sub"))
        {
            return self.transmitter.remit.subject(&sub, Some(&iss));
        }
        let sub = self.claims.some("sub").ok_or_else(|| {
            Junk::new(Reason::MissingUid, "neither `sub` nor `sub_id` of the format iss_sub")
        })?;
        let sub =
            sub.text().map_err(|_| Junk::new(Reason::WrongType, format!("`sub` is {}", sub.type_name())))?;
        self.transmitter.remit.subject(&sub, None)
    }
}

fn text<'a>(members: &Members<'a>, name: &str) -> Option<Cow<'a, str>> {
    members.some(name).and_then(|value| value.text().ok())
}

impl Value<'_> {
    /// A number, and no string with one.
    fn json_number(self) -> Result<f64, Oddity> {
        if self.type_name() == "a number" { self.number() } else { Err(Oddity::WrongType) }
    }
}

#[cfg(test)]
mod tests;
