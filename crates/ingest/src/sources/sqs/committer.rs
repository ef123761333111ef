//! What several receivers have in hand at the same time is committed together: ten messages are what the service hands
//! over at once, and a transaction for each ten costs a server more than the events in it.

use crate::pump::{BATCH, Message, Pump, Sink};
use ledger::LedgerError;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// A receiver's messages, and where it waits for the outcome.
struct Submitted {
    messages: Arc<[Message]>,
    outcome: oneshot::Sender<Result<(), LedgerError>>,
}

/// Where receivers hand their messages to the committer.
#[derive(Clone)]
pub(super) struct Submit(mpsc::UnboundedSender<Submitted>);

/// Commits what is submitted, one transaction after the other.
pub(super) struct Committer(mpsc::UnboundedReceiver<Submitted>);

/// The two ends. What waits between them is bounded by the receivers: each has one batch in hand.
pub(super) fn committer() -> (Submit, Committer) {
    let (submit, submitted) = mpsc::unbounded_channel();
    (Submit(submit), Committer(submitted))
}

impl Submit {
    /// Waits until the messages are committed, or cannot be now.
    pub(super) async fn commit(&self, messages: &Arc<[Message]>) -> Result<(), LedgerError> {
        let (outcome, committed) = oneshot::channel();
        let submitted = Submitted { messages: Arc::clone(messages), outcome };
        self.0.send(submitted).map_err(drop).expect("the committer lives as long as a receiver does");
        committed.await.expect("the committer answers everybody")
    }
}

impl Committer {
    /// Until there is no receiver any more.
    pub(super) async fn run<S: Sink>(mut self, pump: &Pump<S>) {
        while let Some(first) = self.0.recv().await {
            let group = self.group(first);
            let messages: Vec<&Message> = group.iter().flat_map(|submitted| &*submitted.messages).collect();
            let taken = pump.take(messages).await.map(drop);
            for submitted in group {
                // A receiver that was dropped meanwhile has no use for it.
                let _ = submitted.outcome.send(taken.clone());
            }
        }
    }

    /// With whatever else waits, as far as one transaction holds it.
    fn group(&mut self, first: Submitted) -> Vec<Submitted> {
        let mut count = first.messages.len();
        let mut group = vec![first];
        while count + group[0].messages.len() <= BATCH
            && let Ok(next) = self.0.try_recv()
        {
            count += next.messages.len();
            group.push(next);
        }
        group
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meters::Freshness;
    use crate::remit::Remit;
    use crate::remit::tests::firefox;
    use crate::testing::{FakeSink, outage};
    use account::Millis;
    use futures::future::join_all;
    use ledger::SourceId;
    use store::Clock;

    fn pump(sink: &FakeSink) -> Pump<FakeSink> {
        let (remit, clock) = (Remit::new(firefox(), vec![]), Clock::manual(Millis::new(1_789_000_000_000)));
        Pump::into_sink(sink.clone(), clock, SourceId::new("queue"), remit, Freshness::Live)
    }

    fn ten(receiver: usize) -> Arc<[Message]> {
        let message = |n| {
            let id = format!("{receiver}-{n}");
            Message { body: format!(r#"{{"event":"delete","uid":"u{id}"}}"#).into_bytes(), id }
        };
        (0..10).map(message).collect()
    }

    /// Receivers that submit at the same time, and what each is told.
    async fn submitted(sink: &FakeSink, receivers: usize) -> Vec<Result<(), LedgerError>> {
        let (submit, committer) = committer();
        let pump = pump(sink);
        let all = async move {
            let batches: Vec<_> = (0..receivers).map(ten).collect();
            join_all(batches.iter().map(|batch| submit.commit(batch))).await
        };
        tokio::join!(all, committer.run(&pump)).0
    }

    #[tokio::test]
    async fn batches_in_hand_at_the_same_time_are_committed_together() {
        let sink = FakeSink::default();
        let told = submitted(&sink, 30).await;
        assert!(told.iter().all(Result::is_ok));
        assert_eq!(sink.batch_sizes(), [250, 50]);
        assert_eq!(sink.subjects().len(), 300);
    }

    #[tokio::test]
    async fn an_outage_is_told_to_everybody_whose_messages_were_in_it() {
        let sink = FakeSink::default();
        sink.fail_next([outage()]);
        let told = submitted(&sink, 30).await;
        assert_eq!(told.iter().filter(|told| told.is_err()).count(), 25);
        assert_eq!(sink.batch_sizes(), [50]);
    }

    #[tokio::test]
    async fn an_event_the_ledger_refuses_harms_no_other_receivers() {
        let sink = FakeSink::refusing(&["u1-7"]);
        let told = submitted(&sink, 3).await;
        assert!(told.iter().all(Result::is_ok));
        assert_eq!(sink.subjects().len(), 29);
        assert_eq!(sink.buried(), [("1-7".into(), "refused")]);
    }
}
