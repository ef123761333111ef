//! Asking an identity provider to look into a token: the thin shell around reading and manners.

mod exchange;
mod meters;

use crate::client_auth::{ClientAuth, Credentials};
use crate::introspection::{Question, read};
use crate::issuers::Issuers;
use crate::upstream::{Budget, BudgetLeft, Gate, Heard, Held, Leave, Places};
use crate::{ConfigError, IdpConfig, Inactive, Introspected, Lane, Trouble};
use account::Millis;
use exchange::{Exchange, Failure};
use meters::Meters;
use outbound::{Client, Manners};
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
        let credentials = Credentials::for_introspection(config);
        let papers = credentials.papers()?;
        let client = if papers.are_none() {
            client.clone()
        } else {
            Client::for_one_operator_address(&config.manners(Manners::default().max_answer)?, &papers)?
        };
        let protocol = config.introspection.protocol;
        let auth = ClientAuth::new(&credentials)?;
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
        let leave = Leave::take(&self.gate, lane, now, begun);
        self.state(now);
        let leave = match leave {
            Ok(leave) => leave,
            Err(held) => return held.into(),
        };
        let sent = Instant::now();
        let answer = self.exchange.answer(token, leave.now(), begun, self.deadline).await;
        let told = answer.and_then(|answer| self.understand(&answer, token));
        self.note(told.as_ref().err());
        let now = leave.heard(Failure::heard_in(told.as_ref().err()));
        let retry_after = self.state(now).spared_for;
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

impl From<Held> for Introspected {
    fn from(held: Held) -> Self {
        let (trouble, retry_after) = match held {
            Held::Spared(wait) => (Trouble::Spared, wait),
            Held::Budget(wait) => (Trouble::Budget, wait),
        };
        Self::Unavailable { trouble, retry_after }
    }
}
