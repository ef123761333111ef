//! Tokens whose signatures take long, made beside the runtime's threads.
//!
//! An RSA signature takes longer than all else of a delivery together. On the runtime's own threads everybody else, the
//! store's connections and whoever asks this process for something, would wait for every one that is due; so they are
//! made on threads beside them, one at a time for each core. Where several wait, several are made in a row before the
//! runtime is woken for them: to go from thread to thread and back for each costs a good part of what sending it does.

use super::Outcome;
use super::send::{Made, attempt_with, made};
use crate::capability::Inner;
use crate::handover::Held;
use crate::{RelyingParty, SigningAlgorithm};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

/// A row ends after this long: the first of it does not wait for many.
const LONGEST_ROW: Duration = Duration::from_millis(1);

/// Whether what is sent to it takes long to sign.
pub(super) fn takes_long(rp: &RelyingParty) -> bool {
    rp.config.algorithm == SigningAlgorithm::Rs256 && rp.config.format.is_token()
}

/// Deliveries that wait for their signature.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// How many signers there may be.
    most: usize,
}

#[derive(Default)]
struct Waiting {
    held: VecDeque<Held>,
    signers: usize,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self { waiting: Mutex::default(), most: std::thread::available_parallelism().map_or(1, NonZero::get) }
    }

    /// Joins the queue; whether another signer is wanted, which must then [`run`].
    pub(super) fn join(&self, held: Held) -> bool {
        let mut waiting = self.waiting.lock();
        waiting.held.push_back(held);
        let wanted = waiting.signers < self.most;
        waiting.signers += usize::from(wanted);
        wanted
    }

    /// Whether a signer may go home: nobody waits.
    fn is_done(&self) -> bool {
        let mut waiting = self.waiting.lock();
        let done = waiting.held.is_empty();
        waiting.signers -= usize::from(done);
        done
    }

    fn next(&self) -> Option<Held> {
        self.waiting.lock().held.pop_front()
    }
}

/// Signs and sends for as long as somebody waits, and ends when what it has sent is answered.
pub(super) async fn run(inner: Arc<Inner>, queue: Arc<Queue>, outcomes: UnboundedSender<Outcome>) {
    let mut under_way = JoinSet::new();
    while !queue.is_done() {
        let (signing, waiting) = (Arc::clone(&inner), Arc::clone(&queue));
        let row = tokio::task::spawn_blocking(move || row(&signing, &waiting)).await;
        // It fails only when the runtime goes down: what was claimed is found again.
        for (held, made) in row.unwrap_or_default() {
            let (inner, outcomes) = (Arc::clone(&inner), outcomes.clone());
            under_way.spawn(async move {
                // The settler outlives every sender.
                drop(outcomes.send(attempt_with(&inner, held, made).await));
            });
        }
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}

/// Makes what waits, one after the other, until a row is full.
fn row(inner: &Inner, queue: &Queue) -> Vec<(Held, Made)> {
    let began = Instant::now();
    let mut row = Vec::new();
    while let Some(held) = queue.next() {
        let made = catch_unwind(AssertUnwindSafe(|| made(inner, &held)));
        row.push((held, made.unwrap_or_else(|_| Err("signing it panicked".to_owned()))));
        if began.elapsed() >= LONGEST_ROW {
            break;
        }
    }
    row
}
