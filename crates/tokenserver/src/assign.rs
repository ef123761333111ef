//! Changes of rows, gathered: what many requests ask for at the same time is settled in one transaction.

use crate::Refusal;
use crate::store::{Asked, Placement, Served, Settle};
use ledger::Tombstones;
use parking_lot::Mutex;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use store::{Store, StoreError};
use tokio::sync::oneshot;
use work::Lifecycle;

/// The most requests settled in one transaction.
const LARGEST_BATCH: usize = 64;

/// What became of a request that asked for a change.
#[derive(Clone, Debug)]
pub(crate) enum Settled {
    /// It is served from this row.
    Served(Served),
    /// It is refused after all.
    Refused(Refusal),
    /// Another request of the same user was settled meanwhile: look again.
    LookAgain,
}

type Outcome = Result<Settled, StoreError>;

/// Gathers requests while a transaction is under way, and settles them together in the next.
///
/// The work is done by a short task that lives while somebody waits; so a client that goes away takes nothing with
/// it, and a stop waits for what was begun.
pub(crate) struct Assigner {
    store: Store,
    placement: Arc<Placement>,
    tombstones: Tombstones,
    lifecycle: Lifecycle,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    running: bool,
}

struct Waiting {
    asked: Asked,
    answer: oneshot::Sender<Outcome>,
}

impl Assigner {
    /// An assigner of users to the nodes in that store.
    pub(crate) fn new(
        store: Store,
        placement: Placement,
        tombstones: Tombstones,
        lifecycle: Lifecycle,
    ) -> Arc<Self> {
        let placement = Arc::new(placement);
        Arc::new(Self { store, placement, tombstones, lifecycle, queue: Mutex::default() })
    }

    /// How users are placed.
    pub(crate) fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Settles one request, together with those that ask at the same time.
    pub(crate) async fn settle(self: &Arc<Self>, asked: Asked) -> Outcome {
        let (answer, settled) = oneshot::channel();
        if self.join(Waiting { asked, answer }) {
            let running = Running { assigner: Arc::clone(self), broke_off: true };
            self.lifecycle.spawn_short(running.run());
        }
        settled
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable { reason: "the process is stopping".to_owned() }))
    }

    /// Whether nobody is at work yet.
    fn join(&self, waiting: Waiting) -> bool {
        let mut queue = self.queue.lock();
        queue.waiting.push_back(waiting);
        !std::mem::replace(&mut queue.running, true)
    }

    /// The next requests, without those nobody waits for any more; none when the work is done.
    fn next_batch(&self) -> Vec<Waiting> {
        let mut queue = self.queue.lock();
        queue.waiting.retain(|waiting| !waiting.answer.is_closed());
        let size = queue.waiting.len().min(LARGEST_BATCH);
        queue.running = size > 0;
        queue.waiting.drain(..size).collect()
    }

    async fn settle_batch(&self, batch: Vec<Waiting>) {
        let (firsts, others) = one_each(batch);
        let (asked, answers): (Vec<_>, Vec<_>) =
            firsts.into_iter().map(|waiting| (waiting.asked, waiting.answer)).unzip();
        for (answer, outcome) in answers.into_iter().zip(self.settle_together(asked).await) {
            // Nobody may be waiting any more; what was settled stands.
            let _ = answer.send(outcome);
        }
        for waiting in others {
            let _ = waiting.answer.send(Ok(Settled::LookAgain));
        }
    }

    /// In one transaction; when that fails for a reason of its own, each alone, so that one fails alone.
    async fn settle_together(&self, asked: Vec<Asked>) -> Vec<Outcome> {
        let count = asked.len();
        match self.run(asked.clone()).await {
            Ok(served) => served.into_iter().map(|served| Ok(settled(served))).collect(),
            Err(error) if error.is_outage() || count == 1 => vec![Err(error); count],
            Err(_) => {
                let mut outcomes = Vec::with_capacity(count);
                for alone in asked {
                    let served = self.run(vec![alone]).await;
                    outcomes.push(served.map(|mut served| settled(served.swap_remove(0))));
                }
                outcomes
            }
        }
    }

    async fn run(&self, asked: Vec<Asked>) -> Result<Vec<Result<Served, Refusal>>, StoreError> {
        let (placement, tombstones) = (Arc::clone(&self.placement), self.tombstones.clone());
        self.store.run(Settle { asked, placement, tombstones, now: self.store.clock().now() }).await
    }
}

fn settled(served: Result<Served, Refusal>) -> Settled {
    served.map_or_else(Settled::Refused, Settled::Served)
}

/// The first request of each account, and all others.
fn one_each(batch: Vec<Waiting>) -> (Vec<Waiting>, Vec<Waiting>) {
    let mut seen = HashSet::with_capacity(batch.len());
    batch.into_iter().partition(|waiting| seen.insert(waiting.asked.account.clone()))
}

/// Somebody is at work. When the work breaks off (a panic, a hard stop), those who wait are told, and the next who
/// asks begins it again.
struct Running {
    assigner: Arc<Assigner>,
    broke_off: bool,
}

impl Running {
    async fn run(mut self) {
        loop {
            let batch = self.assigner.next_batch();
            if batch.is_empty() {
                self.broke_off = false;
                return;
            }
            self.assigner.settle_batch(batch).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.broke_off {
            *self.assigner.queue.lock() = Queue::default();
        }
    }
}
