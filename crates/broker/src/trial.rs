//! A receiver that something is tried on: no registration, no delivery, no store needed.
//!
//! What the simulator and the conformance suite share: how the receiver is to be told ([`RelyingParty`]), whose keys
//! sign ([`TrialKeys`]), and one exchange with it.

use crate::access_tokens::{AccessTokens, NoToken};
use crate::clients::{papers, reach};
use crate::format::Outgoing;
use crate::redact::{KEPT, kept};
use crate::signer::{CannotSign, Held, Sign};
use crate::store::rows::{About, Delivery};
use crate::token::Issuers;
use crate::{ClientId, Config, EventType, InvalidConfig, RelyingParty, Secrets, Signer, SigningAlgorithm};
use crate::{Format, Status, TokenType};
use account::{AccountId, IdpId, Subject};
use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use jose::{Algorithm, JwkSet, SigningKey, SigningKeyError};
use outbound::{Answer, Client, Manners, OutboundError, Url};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::Clock;
use uuid::Uuid;

/// Whose keys sign what is only tried. Cheap to clone.
#[derive(Clone)]
pub enum TrialKeys {
    /// The house's own: what it signs is as good as what is delivered.
    House(Signer),
    /// One made for trials, which a receiver must be told to trust.
    Fresh(FreshTrialKey),
}

/// A key that is no transmitter's. Cheap to clone.
#[derive(Clone)]
pub struct FreshTrialKey {
    held: Arc<Held>,
    algorithm: SigningAlgorithm,
    published: Bytes,
}

impl TrialKeys {
    /// A fresh key of that algorithm. RSA takes a moment to find.
    pub fn fresh(algorithm: SigningAlgorithm) -> Result<Self, SigningKeyError> {
        SigningKey::generate(algorithm.into()).map(|key| Self::of(algorithm, key))
    }

    /// A key of one's own, from a private JWK's JSON (RFC 7517): a receiver that knows it need not be told anew each time.
    pub fn from_private_jwk(json: &[u8]) -> Result<Self, SigningKeyError> {
        let key = SigningKey::from_private_jwk(json)?;
        let algorithm = SigningAlgorithm::ALL.into_iter().find(|it| Algorithm::from(*it) == key.algorithm());
        algorithm.map(|algorithm| Self::of(algorithm, key)).ok_or(SigningKeyError::Private)
    }

    fn of(algorithm: SigningAlgorithm, key: SigningKey) -> Self {
        let set: JwkSet = [key.jwk().clone()].into_iter().collect();
        let published = serde_json::to_vec(&set).expect("public keys always serialise").into();
        Self::Fresh(FreshTrialKey { held: Arc::new(Held::new(Arc::new(key))), algorithm, published })
    }

    /// The only algorithm it signs with; `None` for the house's ring, which has every one.
    pub fn algorithm(&self) -> Option<SigningAlgorithm> {
        match self {
            Self::House(_) => None,
            Self::Fresh(key) => Some(key.algorithm),
        }
    }

    /// Publishes them at `/.well-known/jwks.json`, for a receiver that fetches its keys.
    pub fn routes(&self) -> Router {
        let keys = self.clone();
        let published = move || {
            let set = keys.published();
            async move { ([(CONTENT_TYPE, "application/jwk-set+json"), (CACHE_CONTROL, "no-store")], set) }
        };
        Router::new().route("/.well-known/jwks.json", get(published))
    }

    /// The public halves, as receivers must have them: a JWK set's JSON (RFC 7517 section 5).
    pub fn published(&self) -> Bytes {
        match self {
            Self::House(signer) => signer.published(),
            Self::Fresh(key) => key.published.clone(),
        }
    }
}

impl Sign for TrialKeys {
    fn sign(
        &self,
        algorithm: SigningAlgorithm,
        token_type: TokenType,
        claims: &[u8],
    ) -> Result<String, CannotSign> {
        match self {
            Self::House(signer) => signer.sign(algorithm, token_type, claims),
            Self::Fresh(key) if key.algorithm == algorithm => key.held.sign(token_type, claims),
            Self::Fresh(_) => Err(CannotSign::NoKey(algorithm)),
        }
    }
}

/// Why nothing can be tried.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTrial {
    /// The receiver cannot be so.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// There is nowhere to send anything.
    #[error("a receiver needs a webhook, and a format by which it is sent to: not `poll`")]
    NothingToSendTo,
    /// The issuer is missing.
    #[error("an issuer is needed: it stands in every token")]
    NoIssuer,
    /// The HTTP client cannot be built.
    #[error(transparent)]
    Client(#[from] outbound::CannotBuild),
}

/// A receiver under trial.
pub struct Trial {
    pub(crate) rp: RelyingParty,
    pub(crate) issuers: Issuers,
    pub(crate) keys: TrialKeys,
    pub(crate) clock: Clock,
    url: Url,
    client: Client,
    access_tokens: AccessTokens,
}

impl Trial {
    /// A trial of the receiver at `config.webhook`, told as `config` and `secrets` say; private addresses are reached
    /// only with `config.allow_private`. `issuer` is the `iss` of what is sent.
    pub fn new(
        client_id: ClientId,
        config: Config,
        secrets: Secrets,
        issuer: &str,
        keys: TrialKeys,
        clock: Clock,
    ) -> Result<Self, InvalidTrial> {
        config.check(&secrets)?;
        let manners = Manners { deadline: config.deadline(), max_answer: KEPT, ..Manners::default() };
        let papers = papers(&config, &secrets)?;
        let client = Client::for_one_outsider(&manners, reach(&config), &papers)?;
        let url = config.webhook_url().filter(|_| config.format != Format::Poll);
        let url = url.ok_or(InvalidTrial::NothingToSendTo)?;
        if issuer.is_empty() {
            return Err(InvalidTrial::NoIssuer);
        }
        let issuers = Issuers { own: issuer.to_owned(), of_accounts: [].into() };
        let rp = RelyingParty { client_id, config, secrets, status: Status::Enabled, status_at: clock.now() };
        Ok(Self { rp, issuers, keys, clock, url, client, access_tokens: AccessTokens::default() })
    }

    /// The same, about accounts of that issuer; it is [`Trial::new`]'s unless said so.
    #[must_use]
    pub fn with_accounts_of(mut self, issuer: &str) -> Self {
        self.issuers.of_accounts = [(trial_idp(), issuer.to_owned())].into();
        self
    }

    /// The keys that sign.
    pub fn keys(&self) -> &TrialKeys {
        &self.keys
    }

    /// A delivery as the house would have made it just now.
    pub(crate) fn delivery(&self, about: About, event_type: EventType, payload: String) -> Delivery {
        let now = self.clock.now();
        Delivery {
            id: 0,
            client_id: self.rp.client_id.clone(),
            about,
            kind: String::new(),
            event_type,
            payload,
            jti: Uuid::new_v4().to_string(),
            txn: Uuid::new_v4().to_string(),
            iat: now.seconds(),
            event_at: now,
            created_at: now,
            failures: 0,
            fence: 0,
        }
    }

    /// Sends a request once and says what came.
    pub(crate) async fn send(&self, outgoing: Outgoing) -> Exchange {
        let request = self.client.post(&self.url, outgoing.body);
        let headers = outgoing.headers.iter();
        let request = headers.fold(request, |it, (name, value)| it.header(name.clone(), value.clone()));
        let began = Instant::now();
        let authorization = self.access_tokens.authorization(&self.rp, &self.client, self.clock.now()).await;
        let answer = match authorization {
            Ok(authorization) => {
                let authorized =
                    authorization.into_iter().fold(request, |it, value| it.header(AUTHORIZATION, value));
                authorized.glance().await
            }
            Err(NoToken::Outbound(error)) => Err(error),
            Err(NoToken::Odd) => Err(OutboundError::Unreadable {
                to: "the token endpoint".to_owned(),
                detail: NoToken::Odd.to_string(),
            }),
        };
        Exchange { answer, duration: began.elapsed() }
    }

    /// The beginning of an answer's body, as it may be shown.
    pub(crate) fn shown(&self, answer: &Answer) -> Option<String> {
        kept(answer.body(), &self.rp)
    }
}

/// What came of a request.
pub(crate) struct Exchange {
    pub(crate) answer: Result<Answer, OutboundError>,
    duration: Duration,
}

impl Exchange {
    /// How long it took, in milliseconds.
    pub(crate) fn milliseconds(&self) -> u64 {
        u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX)
    }
}

/// An account that no receiver has: 32 hexadecimal digits, as Mozilla accounts writes them.
pub fn unknown_subject() -> Subject {
    Subject::new(&Uuid::new_v4().simple().to_string()).expect("32 hexadecimal digits are a subject")
}

/// An account, as a delivery names it. The identity provider's name is told to nobody.
pub(crate) fn about(subject: &Subject) -> About {
    About::Account(AccountId::new(trial_idp(), subject.clone()))
}

fn trial_idp() -> IdpId {
    IdpId::new("trial").expect("a word is the name of an identity provider")
}
