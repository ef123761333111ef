//! Kill -9 of processes that take events in and deliver them, again and again: nothing is lost, what comes twice is the
//! same token, and each account's order holds.

use super::receiver::Receiver;
use super::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use store::Engine;
use store::testing::{START, postgres};
use testkit::{Rerun, wait_until};

const PATIENCE: Duration = Duration::from_mins(2);

/// What a process is told: where the store is, which of its lives this is, and how much there is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Told {
    url: String,
    root: String,
    life: u32,
    accounts: i64,
    events: i64,
}

/// A process's life: takes every event in, again, and delivers until it is killed or nothing is left.
async fn live(told: &Told) {
    // Each life is later than the leases of the one before: what that had claimed is free.
    let now = START.plus(Duration::from_mins(2) * told.life);
    let clock = Clock::manual(now);
    let store = Store::open(&store::Settings::at(&told.url), clock.clone()).expect("the store can be opened");
    let house = House::on(store, clock.clone(), &RootKey::parse(&told.root).expect("a key"));
    house.broker.0.signer.refresh().await.expect("the store answers");
    let life = Lifecycle::new();
    let (inner, stop) = (Arc::clone(house.inner()), life.stopping());
    life.spawn_short(async move { crate::worker::run(inner, stop).await });
    // A hundred times as quick as the world's, so that the other process's leases end while this one lives.
    let stop = life.stopping();
    life.spawn_short(async move {
        while stop.run_until_cancelled(tokio::time::sleep(Duration::from_millis(100))).await.is_some() {
            clock.advance(Duration::from_secs(10));
        }
    });
    for event in 1..=told.events {
        let batch = (0..told.accounts).map(|number| received(number, event));
        for chunk in batch.collect::<Vec<_>>().chunks(50) {
            house.ledger.apply_batch(chunk.to_vec()).await.expect("the ledger answers");
        }
    }
    wait_until("everything is settled", PATIENCE, async || {
        let backlog = house.store.scan(crate::store::list::ReadBacklog).await;
        backlog.is_ok_and(|backlog| backlog.is_empty())
    })
    .await;
    life.stop();
    life.ended(Duration::from_mins(1)).await.expect("no task died");
    Rerun::say("done");
}

fn received(number: i64, event: i64) -> Received {
    let event = AccountEvent {
        account: account(&format!("u{number}")),
        at: Some(Millis::new(event)),
        change: Change::PasswordChange,
    };
    Received { source: SourceId::new("test"), message_id: format!("{event:?}"), event }
}

/// A sequence of numbers that look random, and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        1 + usize::try_from(self.0 >> 33).expect("31 bits") % most
    }
}

struct Run {
    /// The test that the processes run once more: one that is not ignored.
    test: &'static str,
    engine: Engine,
    processes: usize,
    kills: u32,
    accounts: i64,
    events: i64,
}

async fn killed_again_and_again(run: Run) {
    if let Some(told) = Rerun::told() {
        return live(&serde_json::from_str(&told).expect("what we said")).await;
    }
    let receiver = Receiver::start().await;
    let (mut told, _files) = prepared(&run, &receiver).await;
    let mut dice = Dice(7);
    let total = usize::try_from(run.accounts * run.events).expect("small");
    for life in 0..run.kills {
        told.life = life;
        let mut processes = started(&run, &told);
        for _ in 0..run.processes {
            let goal = receiver.count()
                + dice.roll(2 * total / usize::try_from(run.kills).expect("small") / run.processes);
            // A process may have told everything before its time comes.
            wait_until("some more is told, or all", PATIENCE, async || {
                receiver.count() >= goal || receiver.tokens() >= total
            })
            .await;
            drop(processes.pop().map(Rerun::kill));
        }
    }
    told.life = run.kills;
    let mut last = started(&Run { processes: 1, ..run }, &told).remove(0);
    let said = tokio::task::spawn_blocking(move || last.said()).await.expect("it listens");
    assert_eq!(said.as_deref(), Some("done"));
    judge(&receiver, told.accounts, told.events);
}

async fn prepared(run: &Run, receiver: &Receiver) -> (Told, Option<tempfile::TempDir>) {
    let folder = tempfile::tempdir().expect("a folder");
    let (settings, files) = match run.engine {
        Engine::Sqlite => (
            store::Settings::at(format!("sqlite:{}", folder.path().join("crash.db").display())),
            Some(folder),
        ),
        Engine::Postgres => (postgres(&[]).await.settings, None),
    };
    let root = RootKey::generate();
    let store = Store::open(&settings, Clock::manual(START)).expect("the store can be opened");
    store.migrate(TABLES).await.expect("the tables can be made");
    let house = House::on(store, Clock::manual(START), &root);
    house.broker.0.signer.ensure().await.expect("the store answers");
    house.ledger.register_capabilities().await.expect("the store answers");
    house.add("aaaa", receiver, |config, _| config.resource_server = true).await;
    let (accounts, events) = (run.accounts, run.events);
    (Told { url: settings.url, root: root.reveal(), life: 0, accounts, events }, files)
}

fn started(run: &Run, told: &Told) -> Vec<Rerun> {
    let word = serde_json::to_string(told).expect("it can be said");
    (0..run.processes).map(|_| Rerun::of(&format!("tests::crash::{}", run.test), &word)).collect()
}

fn judge(receiver: &Receiver, accounts: i64, events: i64) {
    let mut heard: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut tokens: BTreeMap<String, serde_json::Value> = BTreeMap::new();
    for got in receiver.got() {
        let claims = got.claims();
        if let Some(before) = tokens.insert(got.jti(), claims.clone()) {
            assert_eq!(before, claims, "what comes twice is the same");
            continue;
        }
        let at = claims["events"][crate::EventType::PasswordChange.uri()]["changeTime"].as_i64();
        heard.entry(got.subject()).or_default().push(at.expect("a time"));
    }
    assert_eq!(heard.len(), usize::try_from(accounts).expect("small"));
    for (subject, times) in heard {
        assert_eq!(times, (1..=events).collect::<Vec<_>>(), "{subject}: all of it, once, in order");
    }
}

impl Receiver {
    fn count(&self) -> usize {
        self.got().len()
    }

    fn tokens(&self) -> usize {
        self.got().iter().map(super::receiver::Got::jti).collect::<BTreeSet<_>>().len()
    }
}

const SHORT: (u32, i64, i64) = (3, 30, 10);
const LONG: (u32, i64, i64) = (20, 500, 20);

fn run(
    test: &'static str,
    engine: Engine,
    processes: usize,
    (kills, accounts, events): (u32, i64, i64),
) -> Run {
    Run { test, engine, processes, kills, accounts, events }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_loses_nothing_on_sqlite() {
    killed_again_and_again(run("a_killed_worker_loses_nothing_on_sqlite", Engine::Sqlite, 1, SHORT)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_killed_workers_lose_nothing_on_postgresql() {
    killed_again_and_again(run("two_killed_workers_lose_nothing_on_postgresql", Engine::Postgres, 2, SHORT))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: `./test --soak`"]
async fn a_worker_killed_twenty_times_loses_nothing_on_sqlite() {
    killed_again_and_again(run("a_killed_worker_loses_nothing_on_sqlite", Engine::Sqlite, 1, LONG)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: `./test --soak`"]
async fn two_workers_killed_twenty_times_lose_nothing_on_postgresql() {
    killed_again_and_again(run("two_killed_workers_lose_nothing_on_postgresql", Engine::Postgres, 2, LONG))
        .await;
}
