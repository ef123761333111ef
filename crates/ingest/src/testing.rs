//! A ledger that fails on demand, for this crate's own tests.

use crate::pump::Sink;
use ledger::{Applied, DeadLetter, LedgerError, Received};
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use store::StoreError;

#[derive(Clone, Default)]
pub(crate) struct FakeSink(Arc<Mutex<Books>>);

#[derive(Default)]
struct Books {
    refused: HashSet<String>,
    failures: VecDeque<LedgerError>,
    seen: HashSet<String>,
    batch_sizes: Vec<usize>,
    applied: Vec<Received>,
    letters: Vec<DeadLetter>,
}

/// What a store that cannot be reached says.
pub(crate) fn outage() -> LedgerError {
    StoreError::Unavailable { reason: "it is down".into() }.into()
}

impl FakeSink {
    /// One that refuses whole batches for the sake of these subjects.
    pub(crate) fn refusing(subjects: &[&str]) -> Self {
        let sink = Self::default();
        sink.books().refused = subjects.iter().map(ToString::to_string).collect();
        sink
    }

    /// The next calls fail with these.
    pub(crate) fn fail_next(&self, failures: impl IntoIterator<Item = LedgerError>) {
        self.books().failures.extend(failures);
    }

    pub(crate) fn batch_sizes(&self) -> Vec<usize> {
        self.books().batch_sizes.clone()
    }

    pub(crate) fn applied(&self) -> Vec<Received> {
        self.books().applied.clone()
    }

    pub(crate) fn subjects(&self) -> Vec<String> {
        self.applied().iter().map(|received| received.event.account.subject.to_string()).collect()
    }

    pub(crate) fn letters(&self) -> Vec<DeadLetter> {
        self.books().letters.clone()
    }

    pub(crate) fn buried(&self) -> Vec<(String, &'static str)> {
        self.letters().into_iter().map(|letter| (letter.message_id, letter.reason)).collect()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().expect("no test panics while it is held")
    }
}

impl Sink for FakeSink {
    async fn apply_batch(&self, batch: Vec<Received>) -> Result<Vec<Applied>, LedgerError> {
        let mut books = self.books();
        if let Some(failure) = books.failures.pop_front() {
            return Err(failure);
        }
        if batch.iter().any(|received| books.refused.contains(received.event.account.subject.as_str())) {
            return Err(StoreError::Refused { reason: "not this one".into() }.into());
        }
        books.batch_sizes.push(batch.len());
        let applied = |received: Received| {
            if !books.seen.insert(format!("{:?} {}", received.source, received.message_id)) {
                return Applied::Known;
            }
            books.applied.push(received);
            Applied::News { version: i64::try_from(books.applied.len()).expect("few") }
        };
        Ok(batch.into_iter().map(applied).collect())
    }

    async fn bury(&self, letters: Vec<DeadLetter>) -> Result<(), LedgerError> {
        let mut books = self.books();
        if let Some(failure) = books.failures.pop_front() {
            return Err(failure);
        }
        books.letters.extend(letters);
        Ok(())
    }
}
