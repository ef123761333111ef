//! How something new is found out about a token, and remembered.

mod asking;
mod finding;

pub use asking::Asking;

use crate::claims::{Claims, Expiry};
use crate::flights::{Learned, Outcome};
use crate::lives::{Changed, Lives, Stamp};
use crate::memory::{Inactive, Memory, Remembered, TokenKey};
use crate::shared::{Failures, Together, Via, Wanted};
use crate::span::Span;
use crate::words::Words;
use crate::{CheckError, Facts, NoRecords, Options, Place, Record, Records, Refusal, Settings, Source};
use account::{AccountId, Millis};
use finding::{Came, Found, Unfound};
use idp::{Idp, Idps, OpaqueTokens};
use jose::{Compact, Header, is_base64url};
use std::sync::Arc;
use std::time::Duration;

/// The longest token that is no JWT and yet worth a question, in bytes.
const MAX_OPAQUE: usize = 2048;
/// How far before its `exp` an opaque token is asked about each time: the identity provider's clock may be ahead.
pub(crate) const SKEW: Duration = Duration::from_secs(5);
/// How often something is learned anew because the account changed meanwhile.
const ATTEMPTS: usize = 3;

/// Who learns what tokens say.
pub(crate) struct Learner {
    pub(crate) idps: Idps,
    pub(crate) memory: Memory,
    pub(crate) lives: Arc<Lives>,
    records: Option<Arc<dyn Records>>,
    asking: Asking,
    together: Option<Together>,
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
    /// What the answer has to be, where others may know it.
    pub(crate) wanted: Wanted,
    /// Across the tries of one flight.
    pub(crate) failures: &'a Failures,
    pub(crate) now: Millis,
}

impl Learner {
    pub(crate) fn new(idps: Idps, settings: &Settings, options: Options) -> Self {
        let Options { records, asking, derived_bytes, shared } = options;
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let remember_told = seconds(settings.remember_told_seconds);
        let remember_inactive = seconds(settings.remember_inactive_seconds);
        Self {
            idps,
            memory: Memory::new(settings.memory_bytes, settings.inactive_bytes, derived_bytes),
            lives: Lives::new(),
            records,
            asking,
            together: shared.map(|shared| Together::new(&shared, remember_told, remember_inactive)),
            words: Words::default(),
            leeway: seconds(settings.leeway_seconds),
            remember_signed: seconds(settings.remember_signed_seconds),
            remember_told,
            refresh_told: seconds(settings.refresh_told_seconds),
            remember_inactive,
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
                let learned = self.joined(facts, stamp, Record::default(), Via::Asked).ok()?;
                self.remember(inquiry.key, &learned, inquiry.now);
                learned.life.goes_on().then_some(Ok(learned))
            }
            Err(error) => Some(Err(self.failed(error.into(), inquiry))),
        }
    }

    /// Finds out about a token and remembers it. What was asked before an event of the account is worth nothing after
    /// it, whoever asked: it is asked anew.
    pub(crate) async fn learn(&self, mut inquiry: Inquiry<'_>) -> Outcome {
        for _ in 0..ATTEMPTS {
            let found = self.found(&inquiry).await.map_err(|error| self.failed(error, &inquiry))?;
            if let Some(learned) = self.settled(found, &inquiry).await? {
                return Ok(learned);
            }
            inquiry.wanted = inquiry.wanted.news();
        }
        // Events without end: whoever asks again in a moment finds it quieter.
        Err(CheckError::Unavailable { retry_after: Duration::from_secs(1) })
    }

    /// Hangs what was found on a life of its account, and remembers it here and, if it was asked here, for others. `None`
    /// when an event of the account came between.
    async fn settled(&self, found: Found, inquiry: &Inquiry<'_>) -> Result<Option<Learned>, CheckError> {
        let Found { facts, came, via, stamp } = found;
        let (record, latest) = match self.recorded(&facts.account(), &came).await {
            Ok(recorded) => recorded,
            Err(error) => {
                came.let_go().await;
                return Err(error.into());
            }
        };
        let Some(stamp) = self.stamp_of(&came, stamp, latest.as_ref()) else { return Ok(None) };
        let Ok(learned) = self.joined(facts, stamp, record, via) else {
            came.let_go().await;
            return Ok(None);
        };
        self.remember(inquiry.key, &learned, inquiry.now);
        if let Came::Here(Some(claim)) = came {
            self.share(claim, &learned.facts, stamp, latest.as_ref(), inquiry.now).await;
        }
        Ok(Some(learned))
    }

    /// When what was found began to be found out, as far as the account is concerned. What was asked elsewhere counts if its
    /// asker had heard of the account's latest event, which the store knows, and if store, asker and this node speak of the
    /// same feed.
    fn stamp_of(&self, came: &Came, stamp: Stamp, latest: Option<&Place>) -> Option<Stamp> {
        let Came::Elsewhere(began) = came else { return Some(stamp) };
        let is_our_feed = self.lives.place(stamp).is_some_and(|here| here.epoch == began.epoch);
        if is_our_feed && latest.is_some_and(|latest| began.covers(latest)) {
            return Some(stamp.raised_to(began.position));
        }
        if let Some(together) = &self.together {
            together.was_overtaken();
        }
        None
    }

    /// What is on record of an account; of one whose facts are shared, where its latest event is, too.
    async fn recorded(&self, account: &AccountId, came: &Came) -> Result<(Record, Option<Place>), NoRecords> {
        match (&self.records, came) {
            (None, _) => Ok((Record::default(), None)),
            (Some(records), Came::Here(None)) => Ok((records.record(account).await?, None)),
            (Some(records), _) => records.placed_record(account).await,
        }
    }

    fn joined(&self, mut facts: Facts, stamp: Stamp, record: Record, via: Via) -> Result<Learned, Changed> {
        facts.words().for_each(|word| self.words.share(word));
        let life = self.lives.join(&facts.account(), stamp, record)?;
        Ok(Learned { facts: Arc::new(facts), life, via })
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
        let Learned { facts, life, .. } = learned;
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
    fn failed(&self, unfound: Unfound, inquiry: &Inquiry<'_>) -> CheckError {
        let (error, learned_at) = match unfound {
            Unfound::Here(error) => (error, inquiry.now),
            Unfound::No { learned_at } => (Refusal::IdentityProvider.into(), learned_at),
        };
        match error {
            CheckError::Refused(Refusal::IdentityProvider) if inquiry.is_its_word_final() => {
                let until = learned_at.plus(inquiry.key.spread().around(self.remember_inactive));
                self.memory.remember_inactive(inquiry.key, Inactive { learned_at, until });
            }
            CheckError::Refused(_) => self.memory.forget(&inquiry.key),
            CheckError::Unavailable { .. } | CheckError::TimedOut { .. } => {}
        }
        error
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

    /// The identity provider that `iss` names; the default one for a token without `iss`.
    fn idp_of(&self, claims: &Claims) -> Result<&Arc<Idp>, Refusal> {
        match &claims.iss {
            Some(issuer) => self.idps.by_issuer(issuer).ok_or(Refusal::Issuer),
            None => Ok(self.idps.default_idp()),
        }
    }

    /// What is wrong with the tier that processes share; `None` when nothing is, or there is none.
    pub(crate) fn trouble_with_others(&self) -> Option<String> {
        self.together.as_ref().and_then(Together::trouble)
    }

    pub(crate) fn shares(&self) -> bool {
        self.together.is_some()
    }
}

impl Inquiry<'_> {
    /// Whether the identity provider's no settles it: a JWT that it does not know may be good by its signature.
    fn is_its_word_final(&self) -> bool {
        self.question == Question::Facts || Compact::split(self.token).is_err()
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
