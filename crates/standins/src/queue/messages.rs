use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// The queue's own visibility time-out.
const VISIBILITY: Duration = Duration::from_secs(30);

/// What is in the queue.
#[derive(Debug, Default)]
pub(super) struct Messages {
    inner: Mutex<Inner>,
    more: Notify,
    empty: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    last_id: u64,
    waiting: VecDeque<Message>,
    /// By receipt: the message, and when it is seen again.
    received: HashMap<String, (Message, Instant)>,
}

#[derive(Debug)]
struct Message {
    id: u64,
    body: String,
    receives: u32,
}

/// A message in a consumer's hands.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) id: String,
    pub(super) receipt: String,
    pub(super) body: String,
    pub(super) receives: u32,
}

impl Messages {
    pub(super) fn put(&self, bodies: impl IntoIterator<Item = String>) {
        let mut inner = self.lock();
        for body in bodies {
            inner.last_id += 1;
            let id = inner.last_id;
            inner.waiting.push_back(Message { id, body, receives: 0 });
        }
        self.more.notify_waiters();
    }

    pub(super) fn left(&self) -> usize {
        let inner = self.lock();
        inner.waiting.len() + inner.received.len()
    }

    pub(super) async fn drained(&self) {
        loop {
            let empty = self.empty.notified();
            if self.left() == 0 {
                return;
            }
            empty.await;
        }
    }

    /// At most `most` messages; waits up to `wait` for the first.
    pub(super) async fn receive(
        &self,
        most: usize,
        visibility: Option<Duration>,
        wait: Duration,
    ) -> Vec<Received> {
        let end = Instant::now() + wait;
        loop {
            let more = self.more.notified();
            let (received, next) = self.lock().take(most, visibility.unwrap_or(VISIBILITY));
            if !received.is_empty() || Instant::now() >= end {
                return received;
            }
            // Woken by a new message, or when one that is away may be seen again.
            let _ = timeout_at(next.map_or(end, |next| next.min(end)), more).await;
        }
    }

    /// Whether there was such a receipt.
    pub(super) fn delete(&self, receipt: &str) -> bool {
        let was_there = self.lock().received.remove(receipt).is_some();
        if self.left() == 0 {
            self.empty.notify_waiters();
        }
        was_there
    }

    /// Whether there was such a receipt.
    pub(super) fn change_visibility(&self, receipt: &str, visibility: Duration) -> bool {
        let mut inner = self.lock();
        let Some((_, until)) = inner.received.get_mut(receipt) else { return false };
        *until = Instant::now() + visibility;
        self.more.notify_waiters();
        true
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Messages, and when there may be more of those that are away.
    fn take(&mut self, most: usize, visibility: Duration) -> (Vec<Received>, Option<Instant>) {
        let now = Instant::now();
        if self.waiting.is_empty() {
            self.return_overdue(now);
        }
        let count = most.min(self.waiting.len());
        let taken: Vec<Message> = self.waiting.drain(..count).collect();
        let received = taken.into_iter().map(|message| self.hand_out(message, now + visibility)).collect();
        (received, self.received.values().map(|(_, until)| *until).min())
    }

    fn hand_out(&mut self, mut message: Message, until: Instant) -> Received {
        message.receives += 1;
        let received = Received {
            id: format!("00000000-0000-4000-8000-{:012x}", message.id),
            receipt: format!("{}-{}", message.id, message.receives),
            body: message.body.clone(),
            receives: message.receives,
        };
        self.received.insert(received.receipt.clone(), (message, until));
        received
    }

    fn return_overdue(&mut self, now: Instant) {
        let overdue = self.received.extract_if(|_, (_, until)| *until <= now);
        let mut overdue: Vec<Message> = overdue.map(|(_, (message, _))| message).collect();
        overdue.sort_by_key(|message| message.id);
        self.waiting.extend(overdue);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn bodies(messages: &Messages, wait: u64) -> Vec<String> {
        let received = messages.receive(10, None, Duration::from_secs(wait)).await;
        received.into_iter().map(|message| message.body).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_deleted_is_seen_again_after_its_time() {
        let messages = Messages::default();
        messages.put(["a".to_owned(), "b".to_owned()]);
        let received = messages.receive(10, None, Duration::ZERO).await;
        assert!(messages.delete(&received[0].receipt));
        assert!(!messages.delete(&received[0].receipt));
        assert!(bodies(&messages, 29).await.is_empty());
        assert_eq!(bodies(&messages, 2).await, ["b"]);
        assert_eq!(messages.left(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn visibility_is_shortened_and_prolonged() {
        let messages = Messages::default();
        messages.put(["a".to_owned()]);
        let received = messages.receive(1, Some(Duration::from_secs(5)), Duration::ZERO).await;
        assert!(messages.change_visibility(&received[0].receipt, Duration::from_mins(1)));
        assert!(bodies(&messages, 59).await.is_empty());
        assert!(messages.change_visibility(&received[0].receipt, Duration::ZERO));
        let again = messages.receive(1, None, Duration::ZERO).await;
        assert_eq!(again.first().map(|message| message.receives), Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_consumer_is_woken_by_a_message() {
        let messages = Messages::default();
        let (received, ()) = tokio::join!(bodies(&messages, 20), async { messages.put(["a".to_owned()]) });
        assert_eq!(received, ["a"]);
        let (receipt, drained) = ("1-1", messages.drained());
        tokio::join!(drained, async { assert!(messages.delete(receipt)) });
    }
}
