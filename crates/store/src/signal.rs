use aws_lc_rs::rand;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// Signals between those who use a store: "there is something new on this topic". They carry nothing, may be
/// merged or lost, and only save a wait: whoever listens polls too.
#[derive(Clone)]
pub struct Signals(Arc<Inner>);

struct Inner {
    /// Whose they are, as other processes and this one hear it.
    sender: String,
    topics: Mutex<HashMap<&'static str, watch::Sender<u64>>>,
    /// Topics to pass on to other processes, gathered by one task.
    outgoing: Mutex<Vec<&'static str>>,
    has_outgoing: Notify,
}

/// What stands before a sender's name. No topic begins with it.
const FROM: &str = "from:";

impl Default for Signals {
    fn default() -> Self {
        let mut name = [0; 8];
        rand::fill(&mut name).expect("the system has randomness");
        Self(Arc::new(Inner {
            sender: format!("{FROM}{:016x}", u64::from_ne_bytes(name)),
            topics: Mutex::default(),
            outgoing: Mutex::default(),
            has_outgoing: Notify::new(),
        }))
    }
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
    fn send_here(&self, topic: &str) {
        if let Some(sender) = self.0.topics.lock().get(topic) {
            sender.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// What was passed on by a process. By this one: then everybody here was told at once. (Versions before this one passed
    /// topics on without a sender.)
    pub(crate) fn hear(&self, passed_on: &str) {
        let mut words = passed_on.split(' ').peekable();
        if words.next_if(|word| word.starts_with(FROM)) != Some(&*self.0.sender) {
            words.for_each(|topic| self.send_here(topic));
        }
    }

    /// Tells those who listen to anything: something may have been missed.
    pub(crate) fn send_all_here(&self) {
        for sender in self.0.topics.lock().values() {
            sender.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Waits until there is something to pass on, and takes it: the sender and the topics, between spaces.
    pub(crate) async fn outgoing(&self) -> String {
        loop {
            let taken = std::mem::take(&mut *self.0.outgoing.lock());
            if !taken.is_empty() {
                return format!("{} {}", self.0.sender, taken.join(" "));
            }
            self.0.has_outgoing.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(signals: &Signals, heard: &str) -> [bool; 2] {
        let mut topics = ["one", "two"].map(|topic| signals.listen(topic));
        signals.hear(heard);
        topics.each_mut().map(|topic| topic.has_changed().expect("it is there"))
    }

    #[tokio::test]
    async fn what_a_process_passed_on_itself_it_does_not_hear_again() {
        let (here, there) = (Signals::default(), Signals::default());
        here.send("one");
        let passed_on = here.outgoing().await;
        assert_eq!(looks(&here, &passed_on), [false, false]);
        assert_eq!(looks(&there, &passed_on), [true, false]);
        assert_eq!(looks(&there, "one two"), [true, true], "of an earlier version");
    }
}
