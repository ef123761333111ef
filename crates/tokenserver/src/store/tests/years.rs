//! Many users on many nodes, for long: balance while they come, a node that is drained while they go on coming, a purge
//! that takes what it should and nothing else, and counters that are true at the end.

use super::*;
use crate::drain::{Drainer, Round};
use crate::purge::{Options, Purger};
use crate::{Hasher, Secret, Settings};
use idp::{IdpConfig, Idps};
use standins::StandInNode;
use std::collections::BTreeMap;
use testkit::Progress;

const NODES: u64 = 100;
const SECRET: &str = "secret0";
/// Seconds that the drain is given.
const SECONDS: u64 = 20;

/// The user of that number, with the key of that number.
fn request(user: u64, key: u8) -> Asked {
    asked(&testkit::data::uid(user), 100 + i64::from(key), 50 + i64::from(key), key)
}

/// Nodes with twice the room that is needed, a tenth of it open.
async fn nodes(test: &TestStore, users: u64) -> Vec<StandInNode> {
    let capacity = i64::try_from(users * 2 / NODES).expect("fits");
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        let clock = test.clock.clone();
        let there = StandInNode::start(SECRET, Arc::new(move || clock.now())).await.expect("it starts");
        let node = NodeUrl::parse(&there.url()).expect("a node");
        let add = AddNode {
            service: sync(),
            node,
            capacity,
            available: capacity / 10,
            rest: NodeChange::default(),
        };
        test.store.run(add).await.expect("the store answers");
        nodes.push(there);
    }
    nodes
}

async fn come(test: &TestStore, users: u64) {
    let mut progress = Progress::new(format!("{:?}: users come", test.engine()), users);
    for first in (0..users).step_by(64) {
        let batch = (first..users.min(first + 64)).map(|user| request(user, 1)).collect();
        let served = settle(test, &placement(), batch).await;
        assert!(served.iter().all(Result::is_ok), "{served:?}");
        progress.at(users.min(first + 64));
    }
}

async fn balanced(test: &TestStore, users: u64) {
    let fair = i64::try_from(users / NODES).expect("fits");
    for row in loads(test).await {
        assert!(
            (row[2] - fair).abs() * 100 <= fair * 5,
            "node {} has {} users, {fair} would be fair",
            row[0],
            row[2]
        );
    }
}

fn drainer(test: &TestStore) -> Drainer {
    let main = IdpConfig {
        server_url: Some("https://accounts.example".to_owned()),
        ..IdpConfig::new(IdpId::new("main").expect("valid"), "https://accounts.example", DOMAIN)
    };
    Drainer::new(test.store.clone(), Idps::new(&[main]).expect("valid"), vec![Arc::new(placement())])
}

/// Drains the first node; every second some users come with another key. How many have.
async fn drained(test: &TestStore, users: u64) -> u64 {
    let rate = i64::try_from(users / NODES / SECONDS).expect("fits").max(1);
    let begin = BeginDrain { name: NodeName::id(&sync(), 1), rate, now: test.clock.now() };
    let total = test.store.run(begin).await.expect("the store answers").expect("a node").total;
    let (drainer, mut places, mut moved, mut resets) = (drainer(test), BTreeMap::new(), 0, 0);
    for second in 1.. {
        test.clock.advance(Duration::from_secs(1));
        let mut now = 0;
        loop {
            match drainer.round(&mut places).await.expect("the store answers") {
                Round::Moved(0) => break,
                Round::Moved(some) => now += i64::try_from(some).expect("fits"),
                Round::Nothing => return resets,
                Round::Elsewhere => panic!("nobody else drains"),
            }
        }
        moved += now;
        assert!(now <= rate, "{now} in one second");
        assert!(moved == total || now == rate, "only {now} in second {second}, {moved} of {total}");
        for n in 0..3 {
            let user = (second * 977 + n * 31) % users;
            resets += u64::from(settle_one(test, request(user, 2)).await.is_ok());
        }
    }
    unreachable!("it ends when the node is drained")
}

/// Purges all there is; what it came to.
async fn purged(test: &TestStore) -> crate::purge::Progress {
    let settings = Settings { master_secret: Secret::new(SECRET), ..Settings::default() };
    let served = settings.served().expect("settings that work").remove(0);
    let hasher = Hasher::new(&settings.metrics_hash_secret);
    let purger = Purger::new(test.store.clone(), &served, hasher).expect("a client");
    let mut so_far = None;
    loop {
        let progress = purger.part(&Options::default(), so_far).await.expect("the store answers");
        if progress.done {
            return progress;
        }
        so_far = Some(progress);
    }
}

async fn years(test: &TestStore, users: u64) {
    static ROWS: Sql = Sql::both(
        "select count(*), sum(case when replaced_at is null then 1 else 0 end), count(distinct email) from users",
    );
    let there = nodes(test, users).await;
    come(test, users).await;
    balanced(test, users).await;
    drained(test, users).await;
    counters_are_true(test).await;
    let count = i64::try_from(users).expect("fits");
    let rows = ask(test, &ROWS, 3).await.remove(0);
    assert_eq!((rows[1], rows[2]), (count, count), "everybody has one live row");
    test.clock.advance(Duration::from_hours(25));
    let run = purged(test).await;
    let old = u64::try_from(rows[0] - count).expect("not negative");
    assert_eq!((run.deleted, run.failed, run.spared, run.waiting), (old, 0, 0, 0), "{:?}", run.failures);
    assert_eq!(there.iter().map(StandInNode::refused).sum::<u64>(), 0, "every signature was good");
    assert_eq!(ask(test, &ROWS, 3).await, [[count; 3]], "and nothing else is gone");
    counters_are_true(test).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_users_on_a_hundred_nodes_of_sqlite() {
    years(&store::testing::sqlite(TABLES).await, 10_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_users_on_a_hundred_nodes_of_postgresql() {
    years(&store::testing::postgres(TABLES).await, 10_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "soak: a million users, `./test --soak`"]
async fn a_million_users_on_a_hundred_nodes_of_sqlite() {
    years(&store::testing::sqlite(TABLES).await, 1_000_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "soak: a million users, `./test --soak`"]
async fn a_million_users_on_a_hundred_nodes_of_postgresql() {
    years(&store::testing::postgres(TABLES).await, 1_000_000).await;
}
