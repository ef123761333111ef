use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// Signals between those who use a store: "there is something new on this topic". They carry nothing, may be
/// merged or lost, and only save a wait: whoever listens polls too.
#[derive(Clone, Default)]
pub struct Signals(Arc<Inner>);

#[derive(Default)]
struct Inner {
    topics: Mutex<HashMap<&'static str, watch::Sender<u64>>>,
    /// Topics to pass on to other processes, gathered by one task.
    outgoing: Mutex<Vec<&'static str>>,
    has_outgoing: Notify,
}

impl Signals {
    /// Tells everybody who listens to the topic, here and (on PostgreSQL) in other processes. Call it after the
    /// commit.
    pub fn send(&self, topic: &'static str) {
        self.send_here(topic);
        let mut outgoing = self.0.outgoing.lock();
        if !outgoing.contains(&topic) {
            outgoing.push(topic);
            self.0.has_outgoing.notify_one();
        }
    }

    /// A receiver that changes whenever the topic is signalled.
    pub fn listen(&self, topic: &'static str) -> watch::Receiver<u64> {
        self.0.topics.lock().entry(topic).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// Tells those who listen in this process.
    pub(crate) fn send_here(&self, topic: &str) {
        if let Some(sender) = self.0.topics.lock().get(topic) {
            sender.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Tells those who listen to anything: something may have been missed.
    pub(crate) fn send_all_here(&self) {
        for sender in self.0.topics.lock().values() {
            sender.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Waits until there is something to pass on, and takes it.
    pub(crate) async fn outgoing(&self) -> Vec<&'static str> {
        loop {
            let taken = std::mem::take(&mut *self.0.outgoing.lock());
            if !taken.is_empty() {
                return taken;
            }
            self.0.has_outgoing.notified().await;
        }
    }
}
