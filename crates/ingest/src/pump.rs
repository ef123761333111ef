//! The way from a message to the ledger, the same for every source: decode, commit, and only then let it be
//! acknowledged.

use crate::decode::{Decoded, decode};
use crate::junk::{Junk, Reason};
use crate::meters::{Freshness, Meters};
use crate::remit::Remit;
use account::AccountEvent;
use ledger::{Applied, DeadLetter, Ledger, LedgerError, Received, SourceId};
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::ops::AddAssign;
use store::Clock;
use utoipa::ToSchema;

/// The most events that go to the ledger in one transaction.
pub(crate) const BATCH: usize = 256;

/// A message as a source hands it over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What the source calls it; the same when it comes again.
    pub id: String,
    /// Its body, as it came.
    pub body: Vec<u8>,
}

/// What messages came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IngestSummary {
    /// Account events among them: `news + known`.
    pub events: u64,
    /// Events that said something new.
    pub news: u64,
    /// Events that were seen before, or said what was known already.
    pub known: u64,
    /// Messages that became dead letters.
    pub junk: u64,
    /// Bytes read.
    pub bytes: u64,
}

impl AddAssign for IngestSummary {
    fn add_assign(&mut self, more: Self) {
        self.events += more.events;
        self.news += more.news;
        self.known += more.known;
        self.junk += more.junk;
        self.bytes += more.bytes;
    }
}

/// Where events and junk go. The [`Ledger`]; in tests also one that fails on demand.
pub trait Sink: Send + Sync + 'static {
    /// See [`Ledger::apply_batch`].
    fn apply_batch(
        &self,
        batch: Vec<Received>,
    ) -> impl Future<Output = Result<Vec<Applied>, LedgerError>> + Send;

    /// See [`Ledger::bury`].
    fn bury(&self, letters: Vec<DeadLetter>) -> impl Future<Output = Result<(), LedgerError>> + Send;
}

impl Sink for Ledger {
    async fn apply_batch(&self, batch: Vec<Received>) -> Result<Vec<Applied>, LedgerError> {
        Ledger::apply_batch(self, batch).await
    }

    async fn bury(&self, letters: Vec<DeadLetter>) -> Result<(), LedgerError> {
        Ledger::bury(self, letters).await
    }
}

/// One source's way into the ledger.
pub struct Pump<S = Ledger> {
    sink: S,
    clock: Clock,
    source: SourceId,
    remit: Remit,
    meters: Meters,
}

/// An event and the message that told of it.
type Told<'m> = (&'m Message, Decoded);

impl Pump {
    /// The way of that source into that ledger.
    pub fn new(ledger: Ledger, source: SourceId, remit: Remit, freshness: Freshness) -> Self {
        let clock = ledger.store().clock().clone();
        Self::into_sink(ledger, clock, source, remit, freshness)
    }
}

impl<S: Sink> Pump<S> {
    pub(crate) fn into_sink(
        sink: S,
        clock: Clock,
        source: SourceId,
        remit: Remit,
        freshness: Freshness,
    ) -> Self {
        let meters = Meters::new(source.as_str(), freshness);
        Self { sink, clock, source, remit, meters }
    }

    /// Whose way it is.
    pub fn source(&self) -> &SourceId {
        &self.source
    }

    /// Takes messages in, in their order. When this returns well, each is committed, as an event or as a dead
    /// letter, and may be acknowledged. On an error none may be: some may be committed nevertheless, and will be
    /// known when they come again.
    ///
    /// # Errors
    /// The ledger's outage; whatever else it says is about single events, and those become dead letters.
    pub async fn take<'m>(
        &self,
        messages: impl IntoIterator<Item = &'m Message>,
    ) -> Result<IngestSummary, LedgerError> {
        let read = |message: &'m Message| (message, decode(&message.body, &self.remit));
        self.settle(messages.into_iter().map(read)).await
    }

    /// The same for messages that have been read already.
    pub(crate) async fn settle<'m>(
        &self,
        messages: impl Iterator<Item = (&'m Message, Result<Decoded, Junk>)>,
    ) -> Result<IngestSummary, LedgerError> {
        let (mut events, mut junk) = (Vec::new(), Vec::new());
        let mut summary = IngestSummary::default();
        for (message, read) in messages {
            summary.bytes += message.body.len() as u64;
            match read {
                Ok(decoded) => events.push((message, decoded)),
                Err(reason) => junk.push((message, reason)),
            }
        }
        // Junk and events commit side by side, so that a flood of junk takes no more than its share of the time.
        let (applied, buried) = tokio::join!(self.apply(events), self.bury(junk));
        summary += applied?;
        summary += buried?;
        Ok(summary)
    }

    async fn apply(&self, mut events: Vec<Told<'_>>) -> Result<IngestSummary, LedgerError> {
        let mut summary = IngestSummary::default();
        while !events.is_empty() {
            let rest = events.split_off(events.len().min(BATCH));
            summary += self.apply_or_part(events).await?;
            events = rest;
        }
        Ok(summary)
    }

    /// Applies a batch. One that holds an event the store refuses is parted in two, and each half again, until the
    /// culprit is alone: it is buried, and the others go through in their order.
    async fn apply_or_part(&self, batch: Vec<Told<'_>>) -> Result<IngestSummary, LedgerError> {
        let mut summary = IngestSummary::default();
        let mut waiting = vec![batch];
        while let Some(mut part) = waiting.pop() {
            let received = part.iter().map(|told| self.received(told));
            match self.sink.apply_batch(received.collect()).await {
                Ok(applied) => summary += self.count(&part, &applied),
                Err(outage) if outage.is_outage() => return Err(outage),
                Err(refusal) if part.len() == 1 => summary += self.bury_refused(part, &refusal).await?,
                Err(_) => {
                    let second = part.split_off(part.len() / 2);
                    waiting.push(second);
                    waiting.push(part);
                }
            }
        }
        Ok(summary)
    }

    fn received(&self, (message, decoded): &Told<'_>) -> Received {
        Received { source: self.source.clone(), message_id: message.id.clone(), event: decoded.event.clone() }
    }

    fn count(&self, part: &[Told<'_>], applied: &[Applied]) -> IngestSummary {
        let mut summary = IngestSummary::default();
        let now = self.clock.now();
        for ((_, Decoded { event, notes }), applied) in part.iter().zip(applied) {
            self.meters.event(event, *applied, now);
            for note in notes {
                self.meters.note(*note);
            }
            summary.events += 1;
            match applied {
                Applied::News { .. } => summary.news += 1,
                Applied::Known => summary.known += 1,
            }
        }
        summary
    }

    async fn bury_refused(
        &self,
        refused: Vec<Told<'_>>,
        refusal: &LedgerError,
    ) -> Result<IngestSummary, LedgerError> {
        let junk = refused.into_iter().map(|(message, decoded)| {
            tracing::error!(source = self.source.as_str(), kind = kind(&decoded.event), %refusal, "the ledger refused an event");
            (message, Junk::new(Reason::Refused, refusal.to_string()))
        });
        self.bury(junk.collect()).await
    }

    async fn bury(&self, junk: Vec<(&Message, Junk)>) -> Result<IngestSummary, LedgerError> {
        if junk.is_empty() {
            return Ok(IngestSummary::default());
        }
        let reasons: Vec<Reason> = junk.iter().map(|(_, junk)| junk.reason).collect();
        let letters = junk.into_iter().map(|(message, junk)| DeadLetter {
            source: self.source.clone(),
            message_id: message.id.clone(),
            reason: junk.reason.code(),
            detail: junk.detail,
            body: message.body.clone(),
        });
        self.sink.bury(letters.collect()).await?;
        for reason in &reasons {
            self.meters.junk(*reason);
        }
        Ok(IngestSummary { junk: reasons.len() as u64, ..IngestSummary::default() })
    }
}

fn kind(event: &AccountEvent) -> &'static str {
    event.change.kind().as_str()
}

#[cfg(test)]
mod tests;
