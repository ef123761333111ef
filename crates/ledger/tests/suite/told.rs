//! What the tests tell the ledger, and a ledger to tell it to.
#![expect(clippy::needless_pass_by_value, reason = "numbers and texts shall read alike where they are told")]

use account::{AccountEvent, AccountId, Change, IdpId, Login, Millis, Subject, Subscription};
use keys::RootKey;
use ledger::{Applied, Consequence, Feed, FeedEvent, Ledger, Received, SourceId, Tombstones};
use std::sync::Arc;
use std::time::Duration;
use store::testing::{START, TestStore};
use store::{Operation, Sql, StoreError, Tx};
use work::Tick;

/// An account of the one identity provider.
pub(crate) fn account(subject: impl ToString) -> AccountId {
    let subject = Subject::new(&subject.to_string()).expect("a valid subject");
    AccountId::new(IdpId::new("main").expect("a valid id"), subject)
}

/// So many milliseconds after the tests' clocks begin.
pub(crate) fn at(milliseconds: i64) -> Millis {
    Millis::new(START.get() + milliseconds)
}

/// What a source called `queue` tells.
pub(crate) fn told(message_id: impl ToString, account: &AccountId, at: Millis, change: Change) -> Received {
    told_by("queue", message_id, account, Some(at), change)
}

pub(crate) fn told_by(
    source: &str,
    message_id: impl ToString,
    account: &AccountId,
    at: Option<Millis>,
    change: Change,
) -> Received {
    let event = AccountEvent { account: account.clone(), at, change };
    Received { source: SourceId::new(source), message_id: message_id.to_string(), event }
}

/// A change that is always news.
pub(crate) fn login() -> Change {
    Change::Login(Login::default())
}

pub(crate) fn delete() -> Change {
    Change::Delete { reason: None }
}

pub(crate) fn subscribed(active: bool, capability: &str) -> Change {
    Change::SubscriptionChange(Subscription { active, capabilities: vec![capability.into()] })
}

/// A ledger in that store, under a root key of its own.
pub(crate) fn ledger(test: &TestStore, consequences: Vec<Arc<dyn Consequence>>) -> Ledger {
    let tombstones = Tombstones::new(&RootKey::generate(), Duration::ZERO);
    Ledger::new(test.store.clone(), tombstones, consequences)
}

pub(crate) async fn news(ledger: &Ledger, received: Received) -> i64 {
    match ledger.apply(received).await.expect("applied") {
        Applied::News { version } => version,
        Applied::Known => panic!("it was news"),
    }
}

pub(crate) async fn known(ledger: &Ledger, received: Received) {
    assert_eq!(ledger.apply(received).await.expect("applied"), Applied::Known);
}

/// A statement of the tests' own.
pub(crate) struct Execute(pub(crate) &'static Sql);

impl Operation for Execute {
    const NAME: &'static str = "test.execute";
    type Output = u64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        tx.execute(self.0, &[]).await
    }
}

/// Gives positions to all that has committed (nothing to do on SQLite).
pub(crate) async fn place_all(ledger: &Ledger) {
    loop {
        match ledger.clone().place().await {
            Tick::Idle => return,
            Tick::More => {}
            Tick::Failed => panic!("positions cannot be given"),
        }
    }
}

/// Every event of the feed, from its start.
pub(crate) async fn all_events(ledger: &Ledger) -> Vec<FeedEvent> {
    place_all(ledger).await;
    let feed: Feed = ledger.feed();
    let mut cursor = feed.start().await.expect("read");
    let mut events = Vec::new();
    loop {
        let page = feed.after(&cursor).await.expect("read");
        events.extend(page.events);
        if !page.more {
            return events;
        }
        cursor = page.next;
    }
}
