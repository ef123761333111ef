//! Events from an Amazon SQS queue.
//!
//! Several receivers poll the queue side by side. Each takes one batch to its end before it asks for the next: the
//! events are committed, together with what others have in hand, then the messages are deleted. While a batch is in hand its messages are kept hidden from
//! others, however long it takes; while the store is down it stays in hand (so that the queue does not count a failed
//! attempt and move good events to its own dead-letter queue) and the source says that it is backing off.

mod committer;
mod connection;
mod receiver;
mod settings;

pub use connection::SqsError;
pub use settings::{InvalidSettings, SqsSettings};

use crate::health::Health;
use crate::pump::{Pump, Sink};
use committer::committer;
use connection::Queue;
use futures::future::{join, join_all};
use ledger::Ledger;
use receiver::Receiver;
use tokio_util::sync::CancellationToken;

/// A queue that is read.
pub struct SqsSource<S = Ledger> {
    settings: SqsSettings,
    pump: Pump<S>,
    health: Health,
}

impl<S: Sink> SqsSource<S> {
    /// Reads the queue of `settings` into `pump`. Nothing is asked of the network yet.
    pub fn new(settings: SqsSettings, pump: Pump<S>) -> Result<Self, InvalidSettings> {
        settings.check()?;
        Ok(Self { settings, pump, health: Health::default() })
    }

    /// How it is doing; to be kept before it is run.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Reads until the soft stop; then what is in hand is committed and deleted, and nothing more is begun. An
    /// outage, even one at the start, is waited out.
    pub async fn run(self, stop: CancellationToken) {
        let queue = Queue::new(self.settings.clone());
        let (submit, committer) = committer();
        let source = self.pump.source();
        let receivers = (0..usize::from(self.settings.receivers.get())).map(|slot| {
            let receiver = Receiver::new(slot, &queue, submit.clone(), source, &self.health, &stop);
            async move { receiver.receive_until_stopped().await }
        });
        let receivers = join_all(receivers);
        drop(submit); // the committer ends with the last receiver
        join(receivers, committer.run(&self.pump)).await;
    }
}
