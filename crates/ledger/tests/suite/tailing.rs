//! Readers of the feed while everything goes on: many writers, connections that are cut, readers that come, go and come
//! again, and a foreign transaction that stays open all the time.

use crate::told::{account, at, ledger, login, told};
use account::AccountId;
use ledger::{Cursor, FeedError, FeedEvent, Ledger, Received};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use store::testing::{TestStore, postgres, sqlite};
use store::{Engine, Store};
use testkit::wait_until;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};
use tokio_util::sync::CancellationToken;

const WRITERS: usize = 8;
const ACCOUNTS: usize = 5;
const PATIENCE: Duration = Duration::from_mins(2);

/// A reader that was there from a cursor on: it checks each event as it comes.
struct Witness {
    cursor: Cursor,
    versions: HashMap<AccountId, i64>,
    seen: HashSet<i64>,
}

impl Witness {
    fn from(cursor: Cursor) -> Self {
        Self { cursor, versions: HashMap::new(), seen: HashSet::new() }
    }

    fn take(&mut self, event: &FeedEvent) {
        assert_eq!(event.position, self.cursor.position + 1, "positions rise by one");
        self.cursor.position = event.position;
        if let Some(last) = self.versions.insert(event.account.clone(), event.version) {
            assert_eq!(event.version, last + 1, "{:?} in its order", event.account);
        }
        assert!(self.seen.insert(event.at.get()), "the event of {} came twice", event.at);
    }

    /// Follows the feed to a position, dropping its tail now and then and going on from the cursor.
    async fn follow_to(mut self, ledger: Ledger, last: i64) -> Self {
        while self.cursor.position < last {
            let mut tail = ledger.feed().tail(self.cursor.clone());
            for _ in 0..4 {
                match tail.next().await {
                    Ok(page) => page.events.iter().for_each(|event| self.take(event)),
                    Err(FeedError::Store(error)) => assert!(error.is_outage(), "{error}"),
                    Err(error) => panic!("{error}"),
                }
                assert_eq!(tail.cursor(), &self.cursor);
            }
        }
        self
    }
}

/// One node: its own store on PostgreSQL; on SQLite there is one process only.
fn node(test: &TestStore) -> Ledger {
    let mut node = ledger(test, vec![]);
    if test.engine() == Engine::Postgres {
        let store = Store::open(&test.settings, test.clock.clone()).expect("opened");
        node = Ledger::new(store, node.tombstones().clone(), vec![]);
    }
    node
}

/// Writes its share of the events, in small batches, each until it is acknowledged.
async fn write(node: Ledger, writer: usize, each: usize, written: Arc<AtomicUsize>) {
    let numbers: Vec<usize> = (0..each).map(|n| writer * each + n).collect();
    for batch in numbers.chunks(1 + writer % 4) {
        let batch: Vec<Received> = batch
            .iter()
            .map(|n| told(n, &account(n % ACCOUNTS), at(i64::try_from(*n).expect("few")), login()))
            .collect();
        while let Err(error) = node.apply_batch(batch.clone()).await {
            assert!(error.is_outage(), "{error}");
            tokio::task::yield_now().await;
        }
        written.fetch_add(batch.len(), Ordering::SeqCst);
    }
}

/// What a run is made of.
struct Run {
    _test: TestStore,
    nodes: [Ledger; 2],
    each: usize,
    written: Arc<AtomicUsize>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Run {
    /// Two nodes at work: both take events in, both give positions.
    fn begin(test: TestStore, each: usize) -> Self {
        let nodes = [node(&test), node(&test)];
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        for node in &nodes {
            tasks.spawn(node.store().clone().background(stop.clone()));
            if let Some(sequencer) = node.sequencer_worker() {
                tasks.spawn((sequencer.run)(stop.clone()));
            }
        }
        let written = Arc::<AtomicUsize>::default();
        for writer in 0..WRITERS {
            let node = nodes[writer % 2].clone();
            tasks.spawn(write(node, writer, each, Arc::clone(&written)));
        }
        Self { _test: test, nodes, each, written, tasks, stop }
    }

    fn total(&self) -> usize {
        WRITERS * self.each
    }

    /// Waits until so many percent of the events are written.
    async fn percent(&self, percent: usize) {
        let goal = self.total() * percent / 100;
        wait_until("they write", PATIENCE, async || self.written.load(Ordering::SeqCst) >= goal).await;
    }

    /// A reader that begins where the feed begins, or where it ends, at this moment.
    fn witness(&self, cursor: Cursor, last: usize) -> impl Future<Output = Witness> + Send + 'static {
        Witness::from(cursor).follow_to(self.nodes[0].clone(), i64::try_from(last).expect("few"))
    }

    async fn start(&self) -> Cursor {
        patiently(async || self.nodes[1].feed().start().await.ok()).await
    }

    async fn head(&self) -> Cursor {
        patiently(async || self.nodes[1].feed().head().await.ok()).await
    }

    async fn end(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("no task panicked");
        }
    }
}

async fn patiently<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let mut answer = None;
    wait_until("the store answers", PATIENCE, async || {
        answer = ask().await;
        answer.is_some()
    })
    .await;
    answer.expect("it answered")
}

/// A stranger's connection to the same database.
async fn stranger(test: &TestStore, tasks: &mut JoinSet<()>) -> Client {
    let (client, connection) = tokio_postgres::connect(&test.settings.url, NoTls).await.expect("connected");
    tasks.spawn(async move { drop(connection.await) });
    client
}

/// Readers begin at the start, in the middle and at the end; whoever was there from the start has seen everything.
async fn judge(witnesses: JoinSet<Witness>, total: usize) {
    let mut from_the_start = 0;
    for witness in tokio::time::timeout(PATIENCE, witnesses.join_all()).await.expect("they reach the end") {
        assert_eq!(witness.cursor.position, i64::try_from(total).expect("few"));
        from_the_start += usize::from(witness.seen.len() == total);
    }
    assert!(from_the_start >= 2);
}

async fn readers_come_and_go(run: Run, last: usize, mut also: impl AsyncFnMut(usize)) {
    let mut witnesses = JoinSet::new();
    witnesses.spawn(run.witness(run.start().await, last));
    for percent in (10..=100).step_by(10) {
        run.percent(percent).await;
        also(percent).await;
        match percent {
            30 | 90 => witnesses.spawn(run.witness(run.head().await, last)),
            60 | 100 => witnesses.spawn(run.witness(run.start().await, last)),
            _ => continue,
        };
    }
    judge(witnesses, last).await;
    run.end().await;
}

async fn on_sqlite(each: usize) {
    let run = Run::begin(sqlite(&[ledger::MIGRATIONS]).await, each);
    let total = run.total();
    readers_come_and_go(run, total, async |_| ()).await;
}

async fn on_postgres(each: usize) {
    let test = postgres(&[ledger::MIGRATIONS]).await;
    let mut strangers = JoinSet::new();
    // Open before the first event, and with an event of its own that nobody sees: it must hold nobody up.
    let foreign = stranger(&test, &mut strangers).await;
    let insert = "begin; insert into events (idp, subject, version, kind, at, received_at, source, change, mark, state)
        values ('main', 'foreign', 1, 'login', -1, 0, 'foreign', '{\"kind\":\"login\"}', 0, 0)";
    foreign.batch_execute(insert).await.expect("open");
    let knife = stranger(&test, &mut strangers).await;

    let run = Run::begin(test, each);
    let total = run.total();
    let mut foreign = Some(foreign);
    readers_come_and_go(run, total + 1, async |percent| {
        let cut = "select pg_terminate_backend(pid) from (select pid from pg_stat_activity
            where datname = current_database() and application_name = 'highwater' order by random() limit 4) as few";
        assert!(knife.simple_query(cut).await.expect("cut").len() > 1, "somebody was connected");
        if percent == 100 {
            let foreign = foreign.take().expect("once");
            let placed = "select count(*) from events where position is not null";
            let all_placed = async || {
                let count: i64 = foreign.query_one(placed, &[]).await.expect("read").get(0);
                count == i64::try_from(total).expect("few")
            };
            wait_until("everything but its own event is placed", PATIENCE, all_placed).await;
            foreign.batch_execute("commit").await.expect("committed");
        }
    })
    .await;
    drop(knife);
    strangers.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_see_every_event_once_and_in_order_on_sqlite() {
    on_sqlite(50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_see_every_event_once_and_in_order_on_postgresql() {
    on_postgres(50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "soak"]
async fn readers_see_every_one_of_very_many_events_once_and_in_order() {
    on_sqlite(10_000).await;
    on_postgres(5_000).await;
}
