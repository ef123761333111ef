//! One of the loops that read the queue.

use super::committer::Submit;
use super::connection::{Batch, Queue};
use crate::backoff::Backoff;
use crate::health::{Health, SourceState};
use ledger::SourceId;
use std::convert::Infallible;
use std::fmt::Display;
use tokio_util::sync::CancellationToken;

pub(super) struct Receiver<'s> {
    slot: usize,
    queue: &'s Queue,
    submit: Submit,
    source: &'s SourceId,
    health: &'s Health,
    stop: &'s CancellationToken,
}

/// The soft stop came before the work was done.
struct Stopped;

impl<'s> Receiver<'s> {
    pub(super) fn new(
        slot: usize,
        queue: &'s Queue,
        submit: Submit,
        source: &'s SourceId,
        health: &'s Health,
        stop: &'s CancellationToken,
    ) -> Self {
        health.report(slot, SourceState::Starting);
        Self { slot, queue, submit, source, health, stop }
    }

    /// Asks for messages and takes them in, until the soft stop.
    pub(super) async fn receive_until_stopped(&self) {
        let mut backoff = Backoff::default();
        while let Some(received) = self.stop.run_until_cancelled(self.queue.receive()).await {
            match received {
                Ok(batch) => {
                    backoff.reset();
                    self.health.report(self.slot, SourceState::Running);
                    self.carry(batch).await;
                }
                Err(error) => {
                    if let Err(Stopped) = self.wait(&mut backoff, &error).await {
                        break;
                    }
                }
            }
        }
        self.health.report(self.slot, SourceState::Stopped);
    }

    /// Takes a batch to its end: committed, then deleted. All the while it is kept hidden from others.
    async fn carry(&self, batch: Batch) {
        if batch.messages.is_empty() {
            return;
        }
        let committed = tokio::select! {
            committed = self.commit(&batch) => committed,
            never = self.keep_hidden(&batch) => match never {},
        };
        let (what, told) = match committed {
            Ok(()) => ("delete", self.queue.delete(&batch).await),
            // Somebody else may have them at once.
            Err(Stopped) => ("hand back", self.queue.hide(&batch, 0).await),
        };
        if let Err(error) = told {
            tracing::warn!(%error, "could not {what} messages; they will come again, and be known");
        }
    }

    /// Commits, however long it takes: the batch stays in hand through an outage.
    async fn commit(&self, batch: &Batch) -> Result<(), Stopped> {
        let mut backoff = Backoff::default();
        while let Err(error) = self.submit.commit(&batch.messages).await {
            self.wait(&mut backoff, &error).await?;
        }
        self.health.report(self.slot, SourceState::Running);
        Ok(())
    }

    async fn keep_hidden(&self, batch: &Batch) -> Infallible {
        let hidden_for = self.queue.hidden_for();
        let seconds = u16::try_from(hidden_for.as_secs()).unwrap_or(u16::MAX);
        loop {
            tokio::time::sleep(hidden_for / 2).await;
            metrics::counter!("ingest.visibility_extensions", "source" => self.source.as_str().to_owned())
                .increment(1);
            if let Err(error) = self.queue.hide(batch, seconds).await {
                tracing::warn!(%error, "could not keep messages hidden; they may come again, and be known");
            }
        }
    }

    /// Waits, longer each time; says so in the health, and in the log once it has begun.
    async fn wait(&self, backoff: &mut Backoff, error: &impl Display) -> Result<(), Stopped> {
        let reason = error.to_string();
        let wait = backoff.next_wait();
        tracing::warn!(source = self.source.as_str(), reason, ?wait, "backing off");
        self.health.report(self.slot, SourceState::BackingOff { reason });
        self.stop.run_until_cancelled(tokio::time::sleep(wait)).await.ok_or(Stopped)
    }
}
