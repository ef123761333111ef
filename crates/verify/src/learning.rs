//! How something new is found out about a token, and remembered.

mod asking;

pub use asking::Asking;

use crate::claims::{Claims, Expiry};
use crate::flights::{Learned, Outcome};
use crate::lives::{Changed, Lives, Stamp};
use crate::memory::{Inactive, Memory, Remembered, TokenKey};
use crate::span::Span;
use crate::words::Words;
use crate::{CheckError, Facts, NoRecords, Options, Record, Records, Refusal, Settings, Source};
use account::Millis;
use asking::told;
use idp::{Idp, Idps, Lane, OpaqueTokens, SignatureError};
use jose::{Compact, Header, is_base64url};
use std::sync::Arc;
use std::time::Duration;

/// The longest token that is no JWT and yet worth a question, in bytes.
const MAX_OPAQUE: usize = 2048;
/// How far before its `exp` an opaque token is asked about each time: the identity provider's clock may be ahead.
const SKEW: Duration = Duration::from_secs(5);
/// How often something is learned anew because the account changed meanwhile.
const ATTEMPTS: usize = 3;

/// Who learns what tokens say.
pub(crate) struct Learner {
    pub(crate) idps: Idps,
    pub(crate) memory: Memory,
    pub(crate) lives: Arc<Lives>,
    records: Option<Arc<dyn Records>>,
    asking: Asking,
    words: Words,
    leeway: Duration,
    remember_signed: Duration,
    remember_told: Duration,
    refresh_told: Duration,
    remember_inactive: Duration,
}

/// What is to be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// What the token says, by its signature if it has one.
    Facts,
    /// What the identity provider says, whatever the token has.
    Word,
}

/// A token that something is to be found out about.
#[derive(Clone, Copy)]
pub(crate) struct Inquiry<'a> {
    pub(crate) question: Question,
    pub(crate) token: &'a str,
    pub(crate) key: TokenKey,
    /// For whom, where there is not enough for all.
    pub(crate) caller: &'a str,
    pub(crate) now: Millis,
}

type Found = Result<Facts, CheckError>;

impl Learner {
    pub(crate) fn new(idps: Idps, settings: &Settings, options: Options) -> Self {
        let Options { records, asking, derived_bytes } = options;
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        Self {
            idps,
            memory: Memory::new(settings.memory_bytes, settings.inactive_bytes, derived_bytes),
            lives: Lives::new(),
            records,
            asking,
            words: Words::default(),
            leeway: seconds(settings.leeway_seconds),
            remember_signed: seconds(settings.remember_signed_seconds),
            remember_told: seconds(settings.remember_told_seconds),
            refresh_told: seconds(settings.refresh_told_seconds),
            remember_inactive: seconds(settings.remember_inactive_seconds),
        }
    }

    /// Whether the token is worth finding anything out about: it costs nothing to say no.
    pub(crate) fn worth_it(&self, token: &str) -> Result<(), Refusal> {
        let idp = self.idps.default_idp();
        match jwt(token)? {
            Some(_) => Ok(()),
            None if self.asking.can_ask(idp) && is_asked_about(token, idp.opaque_tokens()) => Ok(()),
            None => Err(Refusal::Shape),
        }
    }

    /// What a JWT says whose key is at hand, and remembers it: that is arithmetic, and nothing to wait for together.
    /// `None` when more than that is needed.
    pub(crate) fn learn_at_once(&self, inquiry: &Inquiry<'_>) -> Option<Outcome> {
        if self.records.is_some() {
            return None;
        }
        let jwt = Compact::split(inquiry.token).ok()?;
        let stamp = self.lives.stamp();
        let facts = match self.checked(&jwt, inquiry.now) {
            Ok((header, claims, idp)) => idp
                .verify_by_known_key(&jwt, &header)?
                .map(|proof| claims.into_facts(idp.id().clone(), Source::Signature(proof), inquiry.now))
                .map_err(CheckError::from),
            Err(refusal) => Err(refusal.into()),
        };
        match facts {
            Ok(facts) => {
                let learned = self.joined(facts, stamp, Record::default()).ok()?;
                self.remember(inquiry.key, &learned, inquiry.now);
                learned.life.goes_on().then_some(Ok(learned))
            }
            Err(error) => Some(Err(self.failed(error, inquiry))),
        }
    }

    /// Finds out about a token and remembers it. What was asked before an event of the account is worth nothing after
    /// it: it is asked anew.
    pub(crate) async fn learn(&self, inquiry: Inquiry<'_>) -> Outcome {
        for _ in 0..ATTEMPTS {
            let stamp = self.lives.stamp();
            let facts = self.found(&inquiry).await.map_err(|error| self.failed(error, &inquiry))?;
            let record = match &self.records {
                Some(records) => records.record(&facts.account()).await?,
                None => Record::default(),
            };
            if let Ok(learned) = self.joined(facts, stamp, record) {
                self.remember(inquiry.key, &learned, inquiry.now);
                return Ok(learned);
            }
        }
        // Events without end: whoever asks again in a moment finds it quieter.
        Err(CheckError::Unavailable { retry_after: Duration::from_secs(1) })
    }

    fn joined(&self, mut facts: Facts, stamp: Stamp, record: Record) -> Result<Learned, Changed> {
        facts.words().for_each(|word| self.words.share(word));
        let life = self.lives.join(&facts.account(), stamp, record)?;
        Ok(Learned { facts: Arc::new(facts), life })
    }

    /// A fact proved by a key counts for as long as the identity provider has that key.
    pub(crate) fn proof_holds(&self, facts: &Facts) -> bool {
        match facts.source {
            Source::Signature(proof) => {
                self.idps.by_id(&facts.idp).is_some_and(|idp| idp.keys().holds(&proof))
            }
            Source::Word => true,
        }
    }

    fn remember(&self, key: TokenKey, learned: &Learned, now: Millis) {
        let Learned { facts, life } = learned;
        let spread = key.spread();
        let (end, until, refresh_at) = match facts.source {
            Source::Signature(_) => {
                (facts.expires_at, facts.learned_at.plus(spread.shortened(self.remember_signed)), Millis::MAX)
            }
            Source::Word => (
                facts.expires_at.map(|end| end.minus(SKEW)),
                facts.learned_at.plus(spread.shortened(self.remember_told)),
                facts.learned_at.plus(spread.around(self.refresh_told)),
            ),
        };
        let until = until.min(end.unwrap_or(Millis::MAX));
        if now < until {
            let (facts, life) = (Arc::clone(facts), Arc::clone(life));
            self.memory.remember(key, Remembered { facts, life, span: Span { refresh_at, until } });
        } else {
            self.memory.forget(&key);
        }
    }

    /// A no ends what was remembered before. Only the identity provider's own is remembered, and only of a token that
    /// nothing but its word can prove: a JWT it does not know may be good by its signature.
    fn failed(&self, error: CheckError, inquiry: &Inquiry<'_>) -> CheckError {
        let Inquiry { question, token, key, now, .. } = *inquiry;
        match error {
            CheckError::Refused(Refusal::IdentityProvider)
                if question == Question::Facts || Compact::split(token).is_err() =>
            {
                let until = now.plus(key.spread().around(self.remember_inactive));
                self.memory.remember_inactive(key, Inactive { learned_at: now, until });
            }
            CheckError::Refused(_) => self.memory.forget(&key),
            CheckError::Unavailable { .. } | CheckError::TimedOut { .. } => {}
        }
        error
    }

    async fn found(&self, inquiry: &Inquiry<'_>) -> Found {
        match (inquiry.question, jwt(inquiry.token)?) {
            (Question::Facts, Some(jwt)) => self.verify(&jwt, inquiry).await,
            (Question::Word, Some(jwt)) => {
                let claims = jwt.payload().map_err(Refusal::from).and_then(|json| Claims::read(&json));
                match claims {
                    Ok(claims) => {
                        let facts = self.asked(self.idp_of(&claims)?, inquiry, claims.expires_at()).await?;
                        // Remembered, its word on another account would be this token's from now on.
                        if facts.subject == *claims.subject() {
                            Ok(facts)
                        } else {
                            Err(Refusal::IdentityProvider.into())
                        }
                    }
                    Err(_) => self.asked(self.idps.default_idp(), inquiry, None).await,
                }
            }
            (_, None) => self.asked(self.idps.default_idp(), inquiry, None).await,
        }
    }

    /// The cheap checks come first: none of them needs the signature, and all must hold.
    fn checked(&self, jwt: &Compact<'_>, now: Millis) -> Result<(Header, Claims, &Arc<Idp>), Refusal> {
        let header = jwt.header()?;
        // RFC 9068 section 4: other JWTs of the same issuer, signed with the same keys, are no access tokens.
        if !header.is_type("at+jwt") {
            return Err(Refusal::Type);
        }
        let claims = Claims::read(&jwt.payload().map_err(|_| Refusal::Claims)?)?;
        let idp = self.idp_of(&claims)?;
        let expiry = if idp.allows_missing_expiry() { Expiry::Optional } else { Expiry::Required };
        claims.check_times(now, self.leeway, expiry)?;
        Ok((header, claims, idp))
    }

    async fn verify(&self, jwt: &Compact<'_>, inquiry: &Inquiry<'_>) -> Found {
        let (header, claims, idp) = self.checked(jwt, inquiry.now)?;
        match idp.verify_signature(jwt, &header).await {
            Ok(proof) => Ok(claims.into_facts(idp.id().clone(), Source::Signature(proof), inquiry.now)),
            // With no key at all the identity provider's word is the only proof there can be.
            Err(SignatureError::NoKeys { retry_after }) if self.asking.can_ask(idp) => {
                let told = self.asked(idp, inquiry, claims.expires_at()).await;
                // Then it is for the keys to tell, once they are there.
                let untold = matches!(told, Err(CheckError::Refused(Refusal::Unsupported)));
                if untold { Err(CheckError::Unavailable { retry_after }) } else { told }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The identity provider that `iss` names; the default one for a token without `iss`.
    fn idp_of(&self, claims: &Claims) -> Result<&Arc<Idp>, Refusal> {
        match &claims.iss {
            Some(issuer) => self.idps.by_issuer(issuer).ok_or(Refusal::Issuer),
            None => Ok(self.idps.default_idp()),
        }
    }

    async fn asked(&self, idp: &Idp, inquiry: &Inquiry<'_>, expires_at: Option<Millis>) -> Found {
        let lane = if self.memory.knows(&inquiry.key) {
            Lane::Known
        } else {
            Lane::Unknown { caller: inquiry.caller }
        };
        let facts = told(self.asking, idp, inquiry, lane, expires_at).await?;
        // The identity provider's clock may differ from ours, but not by more than any other's.
        let ended = facts.expires_at.is_some_and(|end| end.plus(self.leeway) <= inquiry.now);
        if ended { Err(Refusal::Expired.into()) } else { Ok(facts) }
    }
}

/// A token that has the shape of a JWT: it is judged as one. `None` for any other.
fn jwt(token: &str) -> Result<Option<Compact<'_>>, Refusal> {
    match Compact::split(token) {
        Ok(jwt) => Ok(Some(jwt)),
        // Three parts, some empty: a JWT without signature (RFC 7519 section 6), and nothing to ask anybody about.
        Err(_) if token.split('.').count() == 3 && token.split('.').all(is_base64url) => Err(Refusal::Header),
        Err(_) => Ok(None),
    }
}

fn is_asked_about(token: &str, opaque_tokens: OpaqueTokens) -> bool {
    match opaque_tokens {
        OpaqueTokens::Any => !token.is_empty() && token.len() <= MAX_OPAQUE,
        OpaqueTokens::Hex64 => token.len() == 64 && token.bytes().all(|byte| byte.is_ascii_hexdigit()),
        OpaqueTokens::Refuse => false,
    }
}

impl From<NoRecords> for CheckError {
    fn from(error: NoRecords) -> Self {
        Self::Unavailable { retry_after: error.retry_after }
    }
}
