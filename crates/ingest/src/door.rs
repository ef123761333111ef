//! The door for security event tokens: the signature is checked, the claims are judged, the events committed.

use crate::meters::Freshness;
use crate::pump::{IngestSummary, Message, Pump};
use crate::remit::{Authority, Remit};
use crate::set::{Accepted, Envelope, Refusal, Rules, SetEvent, Told};
use aws_lc_rs::digest::{SHA256, digest};
use idp::{Idps, SignatureError};
use ledger::{Ledger, LedgerError, SourceId};
use std::time::Duration;
use store::Clock;

/// The source of whatever comes as a token, by whichever route: so that a token counts once.
pub(crate) const SOURCE: &str = "set";

/// When to come again, while the store is down.
const STORE_RETRY_AFTER: Duration = Duration::from_secs(10);

/// Why a token was not taken in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TurnedAway {
    /// It never will be.
    Refused(Refusal),
    /// Not now: the store is down, or the issuer's keys cannot be fetched. Never the token's fault.
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
}

/// Takes tokens in.
pub(crate) struct Door {
    idps: Idps,
    rules: Rules,
    pump: Pump,
    clock: Clock,
}

impl Door {
    pub(crate) fn new(ledger: &Ledger, idps: Idps) -> Self {
        let rules = Rules::of(&idps);
        // What a token may speak for is its transmitter's remit; this one is only the pump's own.
        let remit = Remit::new(Authority::from(&**idps.default_idp()), vec![]);
        let pump = Pump::new(ledger.clone(), SourceId::new(SOURCE), remit, Freshness::Live);
        Self { idps, rules, pump, clock: ledger.store().clock().clone() }
    }

    /// Whether anybody may send tokens at all.
    pub(crate) fn has_transmitters(&self) -> bool {
        !self.rules.transmitters.is_empty()
    }

    /// The events of a token that is authentic and meant for us. Nothing is done about them yet.
    pub(crate) async fn open(&self, token: &str) -> Result<Opened, TurnedAway> {
        let envelope = Envelope::open(token)?;
        let issuer = self.rules.transmitter(&envelope)?.remit.home();
        let idp = self.idps.by_id(&issuer.id).ok_or(Refusal::Issuer)?;
        let (compact, header) = envelope.signed();
        idp.verify_signature(compact, header).await?;
        let accepted = self.rules.accept(&envelope, self.clock.now())?;
        let name = accepted.token_id().unwrap_or_else(|| hex::encode(digest(&SHA256, token.as_bytes())));
        Ok(Opened::new(&format!("{} {name}", issuer.id), &accepted))
    }

    /// Commits them; when this returns they may be acknowledged.
    pub(crate) async fn commit(&self, opened: Opened) -> Result<IngestSummary, TurnedAway> {
        Ok(commit(&self.pump, opened).await?)
    }

    /// Tries the kept claims of a token once more, under the name they were kept by.
    pub(crate) async fn retry(&self, name: &str, claims: &str) -> Result<IngestSummary, RetryError> {
        let opened = Opened::new(name, &self.rules.reread(claims)?);
        Ok(commit(&self.pump, opened).await?)
    }
}

/// Why kept claims could not be tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RetryError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

async fn commit(pump: &Pump, opened: Opened) -> Result<IngestSummary, LedgerError> {
    let told = opened.events.into_iter().filter_map(|(message, event)| match event.told {
        Told::Account(decoded) => Some((message, Ok(*decoded))),
        Told::Junk(junk) => Some((message, Err(junk))),
        Told::Stream => None,
    });
    let (messages, read): (Vec<_>, Vec<_>) = told.unzip();
    pump.settle(messages.iter().zip(read)).await
}

/// An authentic token's events, each with the message that tells of it.
pub(crate) struct Opened {
    events: Vec<(Message, SetEvent)>,
}

impl Opened {
    /// Each event is a message of its own, named after the token; the first has the token's very name. What is kept of
    /// one that cannot be used are the claims: never the token, which others may still take for good.
    fn new(name: &str, accepted: &Accepted<'_>) -> Self {
        let named = |(number, mut event): (usize, SetEvent)| {
            let id = if number == 0 { name.to_owned() } else { format!("{name} {number}") };
            (Message { id, body: std::mem::take(&mut event.claims).into_bytes() }, event)
        };
        Self { events: accepted.events().into_iter().enumerate().map(named).collect() }
    }

    /// The URIs of its events.
    pub(crate) fn uris(&self) -> impl Iterator<Item = &str> {
        self.events.iter().map(|(_, event)| event.uri.as_str())
    }
}

impl From<Refusal> for TurnedAway {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<SignatureError> for TurnedAway {
    fn from(error: SignatureError) -> Self {
        match error {
            SignatureError::BadSignature => Self::Refused(Refusal::Signature),
            SignatureError::UnknownKey => Self::Refused(Refusal::Key),
            SignatureError::NoKeys { retry_after } | SignatureError::Unavailable { retry_after } => {
                Self::Unavailable { retry_after }
            }
        }
    }
}

impl From<LedgerError> for TurnedAway {
    fn from(error: LedgerError) -> Self {
        tracing::warn!(%error, "a security event token could not be committed; its sender is asked to come again");
        Self::Unavailable { retry_after: STORE_RETRY_AFTER }
    }
}
