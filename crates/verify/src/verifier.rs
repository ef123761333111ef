use crate::claims::{Claims, Expiry};
use crate::flights::{Flights, Outcome};
use crate::memory::{Memory, TokenKey};
use crate::{CheckError, Derived, Facts, Refusal, Scopes, Settings, Source};
use account::Millis;
use idp::{Idp, Idps, OpaqueTokens, SignatureError, Told};
use jose::{Compact, is_base64url};
use metrics::Counter;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// The longest token that is no JWT and yet worth a question, in bytes.
const MAX_OPAQUE: usize = 2048;

/// Checks bearer tokens of the identity providers it knows.
pub struct Verifier {
    idps: Idps,
    memory: Memory,
    flights: Arc<Flights>,
    leeway: Duration,
    remember_signed: Duration,
    remember_told: Duration,
    max_token: usize,
    counters: Counters,
}

impl Verifier {
    /// For tokens of these identity providers. Takes its metrics' handles from the recorder installed by now.
    pub fn new(idps: Idps, settings: &Settings) -> Self {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        Self {
            idps,
            memory: Memory::new(settings.memory_bytes),
            flights: Arc::default(),
            leeway: seconds(settings.leeway_seconds),
            remember_signed: seconds(settings.remember_signed_seconds),
            remember_told: seconds(settings.remember_told_seconds),
            max_token: settings.max_token_bytes,
            counters: Counters::new(),
        }
    }

    /// What a token says, if it is good now.
    ///
    /// Remembered facts cost one HMAC and one look-up. Otherwise a JWT is verified with the key it names; any other
    /// token is asked about. The facts are the token's alone: scopes, the account's state and its mark are for the
    /// caller to judge.
    pub async fn facts(&self, token: &str, now: Millis) -> Result<Arc<Facts>, CheckError> {
        if token.len() > self.max_token {
            return self.counters.counted(Err(Refusal::TooLong.into()));
        }
        let key = self.memory.key(token);
        if let Some(facts) = self.recall(&key, now) {
            self.counters.remembered.increment(1);
            return Ok(facts);
        }
        // Boxed, so that the future of the common case stays small.
        let outcome = Box::pin(self.learn(token, key, now)).await;
        if let Ok(facts) = &outcome {
            self.remember(key, facts, now);
        }
        self.counters.counted(outcome)
    }

    /// What the identity provider says of a token now, whatever is remembered of it and whoever else is asking. For
    /// grants whose birth is too coarsely known to be compared with a mark ([`account::Standing::Straddles`]). An
    /// identity provider that cannot be asked is a refusal.
    pub async fn ask(&self, token: &str, now: Millis) -> Result<Arc<Facts>, CheckError> {
        if token.len() > self.max_token {
            return self.counters.counted(Err(Refusal::TooLong.into()));
        }
        let claims = Compact::split(token).and_then(|jwt| jwt.payload()).map(|json| Claims::read(&json));
        let outcome = match claims {
            Ok(Ok(claims)) => match self.idp_of(&claims) {
                Ok(idp) => asked(idp, token, now, claims.expires_at()).await,
                Err(refusal) => Err(refusal.into()),
            },
            _ => asked(self.idps.default_idp(), token, now, None).await,
        };
        if let Ok(facts) = &outcome {
            self.remember(self.memory.key(token), facts, now);
        }
        self.counters.counted(outcome)
    }

    /// A fact proved by a key counts for as long as the identity provider has that key.
    fn recall(&self, key: &TokenKey, now: Millis) -> Option<Arc<Facts>> {
        let facts = self.memory.recall(key, now)?;
        match facts.source {
            Source::Signature(proof) if !self.idps.by_id(&facts.idp)?.keys().holds(&proof) => {
                self.memory.forget(key);
                None
            }
            _ => Some(facts),
        }
    }

    fn remember(&self, key: TokenKey, facts: &Arc<Facts>, now: Millis) {
        let at_most = match facts.source {
            Source::Signature(_) => self.remember_signed,
            Source::Word => self.remember_told,
        };
        let until = facts.learned_at.plus(at_most).min(facts.expires_at.unwrap_or(Millis::MAX));
        if now < until {
            self.memory.remember(key, Arc::clone(facts), until);
        }
    }

    async fn learn(&self, token: &str, key: TokenKey, now: Millis) -> Outcome {
        if let Some(jwt) = jwt(token)? {
            return self.verify(token, &jwt, key, now).await;
        }
        let idp = self.idps.default_idp();
        if !is_asked_about(token, idp.opaque_tokens()) {
            return Err(Refusal::Shape.into());
        }
        self.question(idp, token, key, now, None).await
    }

    /// The cheap checks come first: none of them needs the signature, and all must hold.
    async fn verify(&self, token: &str, jwt: &Compact<'_>, key: TokenKey, now: Millis) -> Outcome {
        let header = jwt.header().map_err(Refusal::from)?;
        // RFC 9068 section 4: other JWTs of the same issuer, signed with the same keys, are no access tokens.
        if !header.is_type("at+jwt") {
            return Err(Refusal::Type.into());
        }
        let claims = Claims::read(&jwt.payload().map_err(|_| Refusal::Claims)?)?;
        let idp = self.idp_of(&claims)?;
        let expiry = if idp.allows_missing_expiry() { Expiry::Optional } else { Expiry::Required };
        claims.check_times(now, self.leeway, expiry)?;
        match idp.verify_signature(jwt, &header).await {
            Ok(proof) => Ok(Arc::new(claims.into_facts(idp.id().clone(), Source::Signature(proof), now))),
            // With no key at all the identity provider's word is the only proof there can be.
            Err(SignatureError::NoKeys { .. }) if idp.can_be_asked() => {
                self.question(idp, token, key, now, claims.expires_at()).await
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

    async fn question(
        &self,
        idp: &Arc<Idp>,
        token: &str,
        key: TokenKey,
        now: Millis,
        expires_at: Option<Millis>,
    ) -> Outcome {
        let begin = || {
            let (idp, token) = (Arc::clone(idp), Zeroizing::new(token.to_owned()));
            async move { asked(&idp, &token, now, expires_at).await }
        };
        self.flights.join(key, begin).await
    }
}

async fn asked(idp: &Idp, token: &str, now: Millis, expires_at: Option<Millis>) -> Outcome {
    let told = idp.ask(token).await?;
    Ok(Arc::new(facts_of(told, idp, now, expires_at)))
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

fn facts_of(told: Told, idp: &Idp, learned_at: Millis, expires_at: Option<Millis>) -> Facts {
    Facts {
        idp: idp.id().clone(),
        subject: told.user,
        client_id: told.client_id.map(String::into_boxed_str),
        scopes: told.scope.iter().collect::<Scopes>(),
        generation: told.generation,
        profile_changed_at: told.profile_changed_at,
        auth_time: None,
        issued_at: None,
        expires_at,
        learned_at,
        source: Source::Word,
        derived: Derived::default(),
    }
}

struct Counters {
    remembered: Counter,
    signed: Counter,
    told: Counter,
    unavailable: Counter,
    refused: [Counter; Refusal::ALL.len()],
}

impl Counters {
    fn new() -> Self {
        metrics::describe_counter!("verify.checks", "Bearer tokens checked, by what came of it");
        metrics::describe_counter!("verify.refusals", "Bearer tokens refused, by reason");
        let outcome = |outcome: &'static str| metrics::counter!("verify.checks", "outcome" => outcome);
        Self {
            remembered: outcome("remembered"),
            signed: outcome("verified"),
            told: outcome("asked"),
            unavailable: outcome("unavailable"),
            refused: Refusal::ALL
                .map(|refusal| metrics::counter!("verify.refusals", "reason" => refusal.as_str())),
        }
    }

    fn counted(&self, outcome: Outcome) -> Outcome {
        let counter = match &outcome {
            Ok(facts) if facts.source == Source::Word => &self.told,
            Ok(_) => &self.signed,
            Err(CheckError::Unavailable { .. } | CheckError::TimedOut { .. }) => &self.unavailable,
            Err(CheckError::Refused(refusal)) => &self.refused[*refusal as usize],
        };
        counter.increment(1);
        outcome
    }
}
