//! A real SQS server over HTTP, a real ledger, and everything that goes wrong between them.

use crate::queue::{PATIENCE, Queue};
use account::{AccountId, IdpId, Mark, Millis, Subject};
use ingest::sources::sqs::{SqsSettings, SqsSource};
use ingest::{Authority, Freshness, Health, Message, Pump, Remit, SourceState};
use keys::RootKey;
use ledger::{Ledger, SourceId, Tombstones};
use std::time::Duration;
use store::testing::{START, engines, sqlite};
use store::{Clock, Settings, Store};
use testkit::{Postgres, data, wait_until};
use work::Lifecycle;

fn fxa() -> IdpId {
    IdpId::new("fxa").expect("valid")
}

fn remit() -> Remit {
    let domain = "api.accounts.firefox.com".to_owned();
    Remit::new(Authority { id: fxa(), issuers: vec!["https://accounts.firefox.com".into()], domain }, vec![])
}

fn ledger(store: &Store) -> Ledger {
    Ledger::new(store.clone(), Tombstones::new(&RootKey::generate(), Duration::ZERO), vec![])
}

fn pump(ledger: &Ledger) -> Pump {
    Pump::new(ledger.clone(), SourceId::new("sqs"), remit(), Freshness::Live)
}

/// A source that runs until it is stopped.
struct Running {
    life: Lifecycle,
    health: Health,
}

fn run(settings: SqsSettings, ledger: &Ledger) -> Running {
    let source = SqsSource::new(settings, pump(ledger)).expect("settings");
    let (life, health) = (Lifecycle::new(), source.health());
    life.spawn("sqs", source.run(life.stopping()));
    Running { life, health }
}

impl Running {
    async fn stop(self) {
        self.life.stop();
        self.life.ended(PATIENCE).await.expect("no task dies");
        assert_eq!(self.health.state(), SourceState::Stopped);
    }
}

async fn standing(ledger: &Ledger, uid: &str) -> Option<(i64, Mark)> {
    let account = AccountId::new(fxa(), Subject::new(uid).expect("valid"));
    let standing = ledger.standing(&account).await.expect("readable")?;
    Some((standing.version, standing.mark))
}

fn at(number: u64) -> i64 {
    START.get() - 1_000_000 + i64::try_from(number).expect("small")
}

fn changes(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|n| data::password_change(&data::uid(n), at(n))).collect()
}

/// Every one of them raised its mark, once.
async fn assert_applied_once(ledger: &Ledger, numbers: std::ops::Range<u64>) {
    for n in numbers {
        let expected = Some((1, Mark::at(Millis::new(at(n)))));
        assert_eq!(standing(ledger, &data::uid(n)).await, expected, "account {n}");
    }
}

#[tokio::test]
async fn what_is_on_the_queue_is_committed_and_then_deleted() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let (queue, ledger) = (Queue::fresh().await, ledger(&test.store));
        queue.send(changes(0..60)).await;
        queue.send(changes(60..70).iter().map(|body| data::wrapped(body))).await;
        queue
            .send(["hello".into(), "[1]".into(), r#"{"event":"delete","uid":"a@elsewhere.example"}"#.into()])
            .await;
        let source = run(queue.settings(), &ledger);
        wait_until("the queue is empty", PATIENCE, async || queue.is_empty().await).await;
        assert_eq!(source.health.state(), SourceState::Running);
        assert_applied_once(&ledger, 0..70).await;
        let mut reasons: Vec<_> = ledger
            .dead_letters(0, 10)
            .await
            .expect("readable")
            .into_iter()
            .map(|letter| letter.reason)
            .collect();
        reasons.sort_unstable();
        assert_eq!(reasons, ["foreign", "not_an_object", "not_json"]);
        source.stop().await;
    }
}

#[tokio::test]
async fn everything_redelivered_twice_is_applied_once() {
    let (test, queue) = (sqlite(&[ledger::MIGRATIONS]).await, Queue::fresh().await);
    let ledger = ledger(&test.store);
    queue.send(changes(0..30)).await;
    // Another node committed all of it and died before it could delete anything.
    let earlier = pump(&ledger);
    let mut committed = 0;
    while committed < 30 {
        let received = queue.client.receive_message().queue_url(&queue.url).max_number_of_messages(10);
        let received =
            received.visibility_timeout(1).send().await.expect("received").messages.expect("messages");
        let messages: Vec<_> = received
            .into_iter()
            .map(|message| Message {
                id: message.message_id.expect("an id"),
                body: message.body.expect("a body").into_bytes(),
            })
            .collect();
        committed += earlier.take(&messages).await.expect("no outage").news;
    }
    // And the topic delivered everything a second time, under new message ids.
    queue.send(changes(0..30)).await;
    let source = run(queue.settings(), &ledger);
    wait_until("the queue is empty", PATIENCE, async || queue.is_empty().await).await;
    assert_applied_once(&ledger, 0..30).await;
    source.stop().await;
}

#[tokio::test]
async fn a_flood_of_junk_stops_nothing() {
    let (test, queue) = (sqlite(&[ledger::MIGRATIONS]).await, Queue::fresh().await);
    let ledger = ledger(&test.store);
    for n in 0..8 {
        queue.send((0..19).map(|m| format!("{{\"junk\": {n}, \"number\": {m}}}"))).await;
        queue.send(changes(n..n + 1)).await;
    }
    let source = run(queue.settings(), &ledger);
    wait_until("the queue is empty", PATIENCE, async || queue.is_empty().await).await;
    assert_applied_once(&ledger, 0..8).await;
    assert_eq!(ledger.count_dead_letters().await.expect("readable"), 152);
    source.stop().await;
}

/// A ledger in a PostgreSQL server that can be stopped.
async fn stoppable() -> (Postgres, Ledger) {
    let server = Postgres::start();
    let at = Settings::at(server.fresh_database().await);
    let settings = Settings { read_timeout_ms: 5_000, ..at };
    let store = Store::open(&settings, Clock::manual(START)).expect("the store can be opened");
    store.migrate(&[ledger::MIGRATIONS]).await.expect("migrated");
    (server, ledger(&store))
}

fn is_backing_off(health: &Health) -> bool {
    matches!(health.state(), SourceState::BackingOff { .. })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_goes_down_in_mid_run_costs_nothing() {
    let (mut server, ledger) = stoppable().await;
    let queue = Queue::fresh().await;
    let source = run(queue.settings(), &ledger);
    queue.send(changes(0..50)).await;
    wait_until("some are committed", PATIENCE, async || standing(&ledger, &data::uid(0)).await.is_some())
        .await;
    server.crash();
    queue.send(changes(50..90)).await;
    wait_until("the source says so", PATIENCE, async || is_backing_off(&source.health)).await;
    let (waiting, in_flight) = queue.length().await;
    assert!(waiting + in_flight >= 40, "nothing that is not committed is deleted");
    server.start_again();
    wait_until("the queue is empty", PATIENCE, async || queue.is_empty().await).await;
    assert_applied_once(&ledger, 0..90).await;
    assert_eq!(source.health.state(), SourceState::Running);
    source.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_down_at_the_start_is_waited_for() {
    let (mut server, ledger) = stoppable().await;
    let queue = Queue::fresh().await;
    queue.send(changes(0..10)).await;
    server.stop();
    let source = run(queue.settings(), &ledger);
    wait_until("the source says so", PATIENCE, async || is_backing_off(&source.health)).await;
    server.start_again();
    wait_until("the queue is empty", PATIENCE, async || queue.is_empty().await).await;
    assert_applied_once(&ledger, 0..10).await;
    source.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_in_hand_stays_hidden_while_the_store_is_down_and_is_handed_back_at_a_stop() {
    let (mut server, ledger) = stoppable().await;
    let queue = Queue::fresh().await;
    queue.send(changes(0..3)).await;
    server.stop();
    let source = run(SqsSettings { visibility_timeout_seconds: 2, ..queue.settings() }, &ledger);
    wait_until("they are in hand", PATIENCE, async || queue.length().await == (0, 3)).await;
    // Waits longer than they would be hidden without being extended, and gets none.
    let others = queue.client.receive_message().queue_url(&queue.url).wait_time_seconds(4).send();
    assert_eq!(others.await.expect("an answer").messages, None);
    source.stop().await;
    assert_eq!(queue.length().await, (3, 0));
    server.start_again();
    let source = run(queue.settings(), &ledger);
    wait_until("the queue is empty", PATIENCE, async || queue.is_empty().await).await;
    assert_applied_once(&ledger, 0..3).await;
    source.stop().await;
}

#[tokio::test]
async fn a_queue_is_found_by_its_name() {
    let (test, queue) = (sqlite(&[ledger::MIGRATIONS]).await, Queue::fresh().await);
    let ledger = ledger(&test.store);
    queue.send(changes(0..3)).await;
    let name = queue.url.rsplit('/').next().map(str::to_owned);
    let source = run(SqsSettings { queue_url: None, queue_name: name, ..queue.settings() }, &ledger);
    wait_until("the queue is empty", PATIENCE, async || queue.is_empty().await).await;
    assert_applied_once(&ledger, 0..3).await;
    source.stop().await;
}

#[tokio::test]
async fn a_queue_that_cannot_be_reached_is_waited_for_and_a_stop_does_not_wait() {
    let test = sqlite(&[ledger::MIGRATIONS]).await;
    let settings = SqsSettings {
        endpoint_url: Some(format!("http://127.0.0.1:{}", testkit::free_port())),
        ..Queue::fresh().await.settings()
    };
    let source = run(settings, &ledger(&test.store));
    wait_until("the source says so", PATIENCE, async || is_backing_off(&source.health)).await;
    source.stop().await;
}
