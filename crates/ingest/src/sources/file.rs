//! Events from a file or a pipe: NDJSON, one message a line.

use crate::backoff::Backoff;
use crate::decode::MAX_BODY;
use crate::pump::{BATCH, IngestSummary, Message, Pump, Sink};
use aws_lc_rs::digest::{Context, SHA256};
use futures::FutureExt;
use futures::future::{Either, select};
use ledger::LedgerError;
use std::io;
use std::path::Path;
use std::pin::pin;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// How often the ledger is asked again during an outage, waiting longer each time: half a minute in all.
const PATIENCE: u32 = 8;

/// The most bytes that are read together, whole lines aside.
const BATCH_BYTES: u64 = 4 * 1024 * 1024;

/// The most of an over-long line that is kept: enough to see that it is one.
const KEPT_OF_LONG: usize = MAX_BODY + 1;

/// Why reading a file ended before its end. What was counted is committed; run again, it is known.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It could not be read further.
    #[error("the file cannot be read at byte {at}: {error}")]
    Read {
        /// Where.
        at: u64,
        /// What the system said.
        error: io::Error,
    },
    /// The ledger could not take it.
    #[error("stopped before byte {at}: {error}; run it again, nothing is applied twice")]
    Ledger {
        /// The first byte that is not committed for certain.
        at: u64,
        /// What it said.
        error: LedgerError,
    },
}

/// What a file is called in the names of its messages: the digest of what is in it, so that the same file, wherever
/// it lies, is ingested once (and one that has grown is another; its events are recognised by what they say).
pub async fn digest(path: &Path) -> io::Result<String> {
    let mut file = tokio::fs::File::open(path).await?;
    let mut context = Context::new(&SHA256);
    let mut chunk = vec![0; 1024 * 1024];
    loop {
        match file.read(&mut chunk).await? {
            0 => return Ok(hex::encode(context.finish())),
            read => context.update(&chunk[..read]),
        }
    }
}

/// Reads to the end of `reader`, line by line and in order; `progress` hears of every batch that is committed.
/// A message is named `origin` and the offset of its line. Empty lines are passed over.
///
/// While one batch is being committed the next is read; never are two batches on their way at once, so the order
/// of an account's events is the file's.
pub async fn ingest_lines<S: Sink, R: AsyncBufRead + Unpin>(
    pump: &Pump<S>,
    origin: &str,
    reader: R,
    progress: impl FnMut(&IngestSummary),
) -> Result<IngestSummary, FileError> {
    ingest_lines_from(pump, origin, 0, reader, progress).await
}

/// The same for the rest of a file from byte `offset` on, where a line begins.
pub async fn ingest_lines_from<S: Sink, R: AsyncBufRead + Unpin>(
    pump: &Pump<S>,
    origin: &str,
    offset: u64,
    reader: R,
    mut progress: impl FnMut(&IngestSummary),
) -> Result<IngestSummary, FileError> {
    let mut lines = Lines { reader, origin, at: offset };
    let mut summary = IngestSummary::default();
    let mut batch = lines.batch().await?;
    while !batch.messages.is_empty() {
        let mut committed = |taken: Result<IngestSummary, FileError>| {
            summary += taken?;
            progress(&summary);
            Ok(())
        };
        batch = match select(pin!(take_patiently(pump, batch)), pin!(lines.batch())).await {
            Either::Left((taken, reading)) => {
                committed(taken)?;
                reading.await?
            }
            Either::Right((next, taking)) => {
                committed(taking.await)?;
                next?
            }
        };
    }
    summary.bytes += batch.bytes; // of blank lines at the end
    Ok(summary)
}

/// Lines that were read together.
#[derive(Default)]
struct Batch {
    at: u64,
    bytes: u64,
    messages: Vec<Message>,
}

impl Batch {
    fn has_room(&self, at: u64) -> bool {
        self.messages.len() < BATCH && at - self.at < BATCH_BYTES
    }
}

/// Keeps at it through an outage, for a while.
async fn take_patiently<S: Sink>(pump: &Pump<S>, batch: Batch) -> Result<IngestSummary, FileError> {
    let mut backoff = Backoff::default();
    let mut patience = PATIENCE;
    loop {
        match pump.take(&batch.messages).await {
            Ok(taken) => return Ok(IngestSummary { bytes: batch.bytes, ..taken }),
            Err(error) if patience == 0 => return Err(FileError::Ledger { at: batch.at, error }),
            Err(error) => {
                patience -= 1;
                let wait = backoff.next_wait();
                tracing::warn!(%error, ?wait, "the ledger cannot take events; waiting");
                tokio::time::sleep(wait).await;
            }
        }
    }
}

struct Lines<'o, R> {
    reader: R,
    origin: &'o str,
    at: u64,
}

impl<R: AsyncBufRead + Unpin> Lines<'_, R> {
    /// The next lines: as many as make a batch, or as are at hand; at least one, unless the end is reached.
    async fn batch(&mut self) -> Result<Batch, FileError> {
        let mut batch = Batch { at: self.at, ..Batch::default() };
        while batch.messages.is_empty() || (batch.has_room(self.at) && self.is_at_hand()) {
            let start = self.at;
            let Some(line) = self.line().await.map_err(|error| FileError::Read { at: start, error })? else {
                break;
            };
            if !line.trim_ascii().is_empty() {
                batch.messages.push(Message { id: format!("{}:{start}", self.origin), body: line });
            }
        }
        batch.bytes = self.at - batch.at;
        Ok(batch)
    }

    fn is_at_hand(&mut self) -> bool {
        matches!(self.reader.fill_buf().now_or_never(), Some(Ok(_)))
    }

    /// One line without its end, `None` at the end. Of one that is too long only the beginning is kept.
    async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let start = self.at;
        let mut line = Vec::new();
        loop {
            let available = self.reader.fill_buf().await?;
            if available.is_empty() {
                return Ok((self.at > start).then(|| without_byte_order_mark(line, start)));
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let piece = &available[..end.unwrap_or(available.len())];
            line.extend_from_slice(&piece[..piece.len().min(KEPT_OF_LONG - line.len())]);
            let used = end.map_or(available.len(), |end| end + 1);
            self.reader.consume(used);
            self.at += used as u64;
            if end.is_some() {
                return Ok(Some(without_byte_order_mark(line, start)));
            }
        }
    }
}

/// A mark at the start of a file says nothing in UTF-8, and some editors write it (RFC 8259 section 8.1 lets us pass
/// over it).
fn without_byte_order_mark(mut line: Vec<u8>, start: u64) -> Vec<u8> {
    if start == 0 && line.starts_with(b"\xef\xbb\xbf") {
        line.drain(..3);
    }
    line
}

#[cfg(test)]
mod tests;
