mod http;
mod messages;

use crate::running::Running;
use messages::Messages;
use std::io;
use std::sync::Arc;

/// A queue that speaks Amazon SQS (its JSON protocol 1.0), as far as a consumer needs: receive with long polling,
/// delete, change visibility, by one or by ten.
///
/// A message that was received and not deleted is seen again when its visibility time-out has passed. It is made for
/// speed: what is measured through it is the consumer. It checks no signatures and gives no MD5 of a body.
#[derive(Debug)]
pub struct StandInQueue {
    running: Running,
    messages: Arc<Messages>,
}

impl StandInQueue {
    /// Starts it with one empty queue.
    pub async fn start() -> io::Result<Self> {
        let messages = Arc::new(Messages::default());
        let running = Running::start(http::router(Arc::clone(&messages))).await?;
        Ok(Self { running, messages })
    }

    /// Where the SDK is to send its requests.
    pub fn endpoint(&self) -> String {
        self.running.url()
    }

    /// The queue's URL.
    pub fn url(&self) -> String {
        format!("{}/000000000000/events", self.running.url())
    }

    /// Puts messages at its end.
    pub fn put(&self, bodies: impl IntoIterator<Item = String>) {
        self.messages.put(bodies);
    }

    /// How many messages were not deleted yet, those with a consumer included.
    pub fn left(&self) -> usize {
        self.messages.left()
    }

    /// Ends as soon as every message has been deleted.
    pub async fn drained(&self) {
        self.messages.drained().await;
    }
}
