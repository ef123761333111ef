//! Asking an identity provider to look into a token: the thin shell around reading and manners.

mod exchange;
mod meters;

use crate::client_auth::{ClientAuth, papers};
use crate::introspection::{Question, read};
use crate::issuers::Issuers;
use crate::upstream::{Budget, BudgetLeft, Gate, Heard, Held, Places};
use crate::{ConfigError, IdpConfig, Inactive, Introspected, Lane, Trouble};
use account::Millis;
use exchange::{Exchange, Failure};
use meters::Meters;
use outbound::{Client, Manners, Spread};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// What trouble that says nothing of its length is taken to last: whoever comes back then may find it over.
const SOON: Duration = Duration::from_secs(1);

/// How things stand with asking an identity provider to look into tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IntrospectionState {
    /// Its breaker: `closed`, `open`, or `half_open` while one question finds out whether it is back.
    pub breaker: &'static str,
    /// How long it is left alone from now; zero when it may be asked.
    pub spared_for: Duration,
    /// What is left of the questions that it can be asked; `None` without a bound.
    pub budget: Option<BudgetLeft>,
}

/// The endpoint, with its manners.
#[derive(Debug)]
pub(crate) struct Introspector {
    idp: Box<str>,
    issuers: Issuers,
    exchange: Exchange,
    deadline: Duration,
    places: Places,
    gate: Mutex<Gate>,
    in_trouble: AtomicBool,
    has_been_odd: AtomicBool,
    meters: Meters,
}

impl Introspector {
    /// As configured; `None` where there is nobody to ask. Shares the connections of `client`, unless it needs papers.
    pub(crate) fn configured(config: &IdpConfig, client: &Client) -> Result<Option<Self>, ConfigError> {
        let Some(url) = config.introspection_endpoint()? else { return Ok(None) };
        let papers = papers(config)?;
        let client = if papers.are_none() {
            client.clone()
        } else {
            Client::for_one_operator_address(&config.manners(Manners::default().max_answer)?, &papers)?
        };
        let protocol = config.introspection.protocol;
        let auth = ClientAuth::new(config)?;
        // It was full at any time before the first question.
        let full = |per_minute| Budget::new(per_minute, config.introspection.burst, Millis::ZERO);
        Ok(Some(Self {
            idp: Box::from(config.id.as_str()),
            issuers: Issuers::new(&config.issuers),
            exchange: Exchange { client, url, protocol, auth },
            deadline: config.request_timeout,
            places: Places::new(config.max_in_flight),
            gate: Mutex::new(Gate::new(config.introspection.per_minute().map(full))),
            in_trouble: AtomicBool::new(false),
            has_been_odd: AtomicBool::new(false),
            meters: Meters::new(config.id.as_str()),
        }))
    }

    pub(crate) async fn introspect(&self, token: &str, lane: Lane<'_>, now: Millis) -> Introspected {
        let answer = self.ask(token, lane, now).await;
        self.meters.count(&answer);
        answer
    }

    pub(crate) fn state(&self, now: Millis) -> IntrospectionState {
        let mut gate = self.gate.lock();
        let (breaker, spared_for, budget) = (gate.breaker(), gate.spared_for(now), gate.left(now));
        let state = IntrospectionState { breaker, spared_for, budget };
        self.meters.show(&state);
        state
    }

    /// Waiting for a place takes at most half of the time, so that the answer has the other half.
    async fn ask(&self, token: &str, lane: Lane<'_>, now: Millis) -> Introspected {
        let begun = Instant::now();
        let spared_for = self.gate.lock().spared_for(now);
        if !spared_for.is_zero() {
            return Held::Spared(spared_for).into();
        }
        let Ok(_place) = timeout(self.deadline / 2, self.places.take(lane)).await else {
            return Introspected::Unavailable { trouble: Trouble::Busy, retry_after: SOON };
        };
        let leave = match Leave::take(self, lane, now, begun) {
            Ok(leave) => leave,
            Err(held) => return held.into(),
        };
        let sent = Instant::now();
        let answer = self.exchange.answer(token, leave.now(), begun, self.deadline).await;
        let told = answer.and_then(|answer| self.understand(&answer, token));
        self.note(told.as_ref().err());
        let retry_after = leave.heard(Failure::heard_in(told.as_ref().err()));
        let told = told.unwrap_or_else(|failure| match failure {
            Failure::Unsupported => Introspected::Inactive(Inactive::Unsupported),
            failure => {
                let retry_after = retry_after.max(failure.retry_after().unwrap_or(SOON));
                Introspected::Unavailable { trouble: failure.trouble(), retry_after }
            }
        });
        self.meters.time(&told, sent.elapsed());
        told
    }

    fn understand(&self, body: &[u8], token: &str) -> Result<Introspected, Failure> {
        let goes_by = |issuer: &str| self.issuers.hold(issuer);
        let question = Question { protocol: self.exchange.protocol, token, goes_by: &goes_by };
        Ok(match read(body, &question)? {
            Ok(facts) => Introspected::Active(facts),
            Err(inactive) => Introspected::Inactive(inactive),
        })
    }

    /// Logs when trouble begins and when it ends. What is odd about one token is logged the first time only: whoever has
    /// such a token could fill the log with it.
    fn note(&self, failure: Option<&Failure>) {
        if let Some(error) = failure
            && Failure::heard_in(failure) == Heard::Answer
        {
            if !self.has_been_odd.swap(true, Ordering::Relaxed) {
                tracing::warn!(idp = %self.idp, %error, "an odd answer of the identity provider; others are counted only");
            }
            return;
        }
        let was_in_trouble = self.in_trouble.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(error) if !was_in_trouble => {
                tracing::warn!(idp = %self.idp, %error, "the identity provider cannot look into tokens");
            }
            None if was_in_trouble => {
                tracing::info!(idp = %self.idp, "the identity provider can look into tokens again");
            }
            _ => {}
        }
    }
}

/// Leave for one question. What came of it must be said; a question that is dropped on its way says so by itself.
struct Leave<'a> {
    asker: &'a Introspector,
    asked_at: Millis,
    begun: Instant,
    is_out: bool,
}

impl<'a> Leave<'a> {
    fn take(asker: &'a Introspector, lane: Lane<'_>, asked_at: Millis, begun: Instant) -> Result<Self, Held> {
        let leave = Self { asker, asked_at, begun, is_out: false };
        let passed = asker.gate.lock().pass(lane, leave.now());
        asker.state(leave.now());
        passed.map(|()| Self { is_out: true, ..leave })
    }

    /// The caller's time, moved on by what has passed since.
    fn now(&self) -> Millis {
        self.asked_at.plus(self.begun.elapsed())
    }

    /// Says what came of it; for how long nobody need ask then.
    fn heard(mut self, heard: Heard) -> Duration {
        self.is_out = false;
        let now = self.now();
        self.asker.gate.lock().heard(heard, now, chance());
        self.asker.state(now).spared_for
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if self.is_out {
            self.asker.gate.lock().unheard(self.asked_at);
        }
    }
}

impl From<Held> for Introspected {
    fn from(held: Held) -> Self {
        let (trouble, retry_after) = match held {
            Held::Spared(wait) => (Trouble::Spared, wait),
            Held::Budget(wait) => (Trouble::Budget, wait),
        };
        Self::Unavailable { trouble, retry_after }
    }
}

fn chance() -> Spread {
    let mut random = [0];
    getrandom::fill(&mut random).expect("the system gives random bytes");
    Spread::of(random[0])
}
