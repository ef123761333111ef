//! Users in buckets: a node that is added takes its share, and nobody else moves.

use super::*;
use crate::rules::{BUCKETS, bucket_of};
use std::collections::{BTreeMap, BTreeSet};
use testkit::Progress;

/// How many come at once.
const BATCH: usize = 250;

/// How many of what, and how far off its share a node may be, in hundredths of a per cent of all users.
#[derive(Clone, Copy)]
struct Size {
    users: usize,
    nodes: i64,
    off: usize,
}

const SMALL: Size = Size { users: 10_000, nodes: 10, off: 100 };
/// A share of a hundredth is forty buckets, more or less one, and ten thousand users, more or less what chance makes.
const LARGE: Size = Size { users: 1_000_000, nodes: 100, off: 10 };

fn bucketed() -> Placement {
    Placement { policy: Policy::Bucketed, ..placement() }
}

async fn spread(test: &TestStore) -> Vec<(usize, i64)> {
    let now = test.clock.now();
    let spread = SpreadBuckets { service: sync(), dry_run: false, first_only: false, now };
    test.store.run(spread).await.expect("the store answers")
}

async fn add(test: &TestStore, n: i64, capacity: i64) {
    let node = NodeUrl::parse(&format!("https://sync-{n}")).expect("a node");
    let add = AddNode { service: sync(), node, capacity, available: capacity, rest: NodeChange::default() };
    assert!(matches!(test.store.run(add).await.expect("the store answers"), Added::New(_)));
}

/// Everybody comes; where each lives, with the row.
async fn come(test: &TestStore, users: usize) -> Vec<(i64, String)> {
    let mut homes = Vec::with_capacity(users);
    let mut progress = Progress::new(format!("{:?}: users come", test.engine()), users as u64);
    for first in (0..users).step_by(BATCH) {
        let batch =
            (first..users.min(first + BATCH)).map(|n| asked(&testkit::data::uid(n as u64), 100, 50, 1));
        for served in settle(test, &bucketed(), batch.collect()).await {
            let served = served.expect("there is room");
            homes.push((served.uid, served.node));
        }
        progress.at(homes.len() as u64);
    }
    homes
}

/// The share of each node, in hundredths of a per cent.
fn shares(homes: &[(i64, String)]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for (_, node) in homes {
        *counts.entry(node.as_str()).or_default() += 10_000;
    }
    for count in counts.values_mut() {
        *count /= homes.len();
    }
    counts
}

async fn a_node_is_added(test: &TestStore, Size { users, nodes, off }: Size) {
    let capacity = i64::try_from(users).expect("fits");
    let due = |nodes: i64| 10_000 / usize::try_from(nodes).expect("few");
    for n in 1..=nodes {
        add(test, n, capacity).await;
    }
    assert_eq!(spread(test).await.len(), BUCKETS);
    let before = come(test, users).await;
    for share in shares(&before).values() {
        assert!(share.abs_diff(due(nodes)) <= off, "{share} is not about {}", due(nodes));
    }
    test.clock.advance(Duration::from_secs(1));
    add(test, nodes + 1, capacity).await;
    let moves = spread(test).await;
    assert!(moves.iter().all(|(_, node)| *node == nodes + 1), "all that moves goes to the new one");

    test.clock.advance(Duration::from_secs(1));
    let after = come(test, users).await;
    let new = format!("https://sync-{}", nodes + 1);
    let share = shares(&after)[new.as_str()];
    assert!(share.abs_diff(due(nodes + 1)) <= off, "{share} is not about {}", due(nodes + 1));
    let taken: BTreeSet<_> = moves.iter().map(|(bucket, _)| *bucket).collect();
    for (n, (before, after)) in before.iter().zip(&after).enumerate() {
        assert!(before == after || after.1 == new, "user {n} was moved from {before:?} to {after:?}");
        let email = format!("{}@{DOMAIN}", testkit::data::uid(n as u64));
        assert_eq!(after.1 == new, taken.contains(&bucket_of(&email)), "with its bucket, and only so");
    }
    let some = users.min(1_000);
    assert_eq!(come(test, some).await, after[..some], "and everybody stays");
    counters_are_true(test).await;
}

#[tokio::test]
async fn a_node_that_is_added_takes_its_share_of_ten_thousand_users_of_sqlite_and_nobody_else_moves() {
    a_node_is_added(&store::testing::sqlite(TABLES).await, SMALL).await;
}

#[tokio::test]
async fn a_node_that_is_added_takes_its_share_of_ten_thousand_users_of_postgresql_and_nobody_else_moves() {
    a_node_is_added(&store::testing::postgres(TABLES).await, SMALL).await;
}

#[tokio::test]
#[ignore = "soak: a million users, `./test --soak`"]
async fn a_node_that_is_added_takes_its_share_of_a_million_users_of_sqlite_and_nobody_else_moves() {
    a_node_is_added(&store::testing::sqlite(TABLES).await, LARGE).await;
}

#[tokio::test]
#[ignore = "soak: a million users, `./test --soak`"]
async fn a_node_that_is_added_takes_its_share_of_a_million_users_of_postgresql_and_nobody_else_moves() {
    a_node_is_added(&store::testing::postgres(TABLES).await, LARGE).await;
}

#[tokio::test]
async fn a_bucket_is_moved_and_with_it_its_users_and_no_others() {
    for test in with_nodes(&[("https://a", 100, 100), ("https://b", 100, 100)]).await {
        spread(&test).await;
        let before = come(&test, 50).await;
        test.clock.advance(Duration::from_secs(1));
        let (user, from) = (format!("{}@{DOMAIN}", testkit::data::uid(0)), before[0].1.clone());
        let node_id = if from == "https://a" { 2 } else { 1 };
        let buckets = vec![bucket_of(&user)];
        let moved = MoveBuckets { service: sync(), buckets, node_id, now: test.clock.now() };
        assert_eq!(test.store.run(moved).await.expect("the store answers"), 1);
        let after = come(&test, 50).await;
        assert_ne!(after[0].1, from);
        assert_eq!(after[1..], before[1..], "no two of these fifty are in one bucket");
        counters_are_true(&test).await;
    }
}

#[tokio::test]
async fn who_was_put_elsewhere_since_stays_there() {
    for test in with_nodes(&[("https://a", 100, 100), ("https://b", 100, 100)]).await {
        spread(&test).await;
        let here = come(&test, 1).await.remove(0).1;
        let (id, there) = if here == "https://a" { (2, "https://b") } else { (1, "https://a") };
        let user = User { email: format!("{}@{DOMAIN}", testkit::data::uid(0)), account: None };
        let to = Target::Node(id, there.to_owned());
        let (placement, now) = (Arc::new(bucketed()), test.clock.now());
        let send = Move { users: vec![user], from: None, to, placement, now, drain: None };
        assert_eq!(test.store.run(send).await.expect("the store answers").moved.len(), 1);
        assert_eq!(come(&test, 1).await[0].1, there);
    }
}

#[tokio::test]
async fn while_a_buckets_node_takes_nobody_its_new_users_go_to_the_least_loaded() {
    for test in with_nodes(&[("https://a", 0, 2), ("https://b", 100, 100)]).await {
        for node_id in [1, 2] {
            let weigh = WeighNode { node_id, weight: Some(1) };
            test.store.run(weigh).await.expect("the store answers");
        }
        spread(&test).await;
        let homes = come(&test, 50).await;
        let on_a = homes.iter().filter(|(_, node)| node == "https://a").count();
        assert_eq!(on_a, 2, "its share is a half, and its capacity is two");
        assert_eq!(come(&test, 50).await, homes, "and where they went they stay");
        counters_are_true(&test).await;
    }
}

#[tokio::test]
async fn the_buckets_of_a_node_that_is_removed_are_forgotten_with_it() {
    static KEPT: Sql = Sql::both("select count(*), min(node_id) from buckets");
    for test in with_nodes(&[("https://a", 100, 100), ("https://b", 100, 100)]).await {
        spread(&test).await;
        let remove = RemoveNode { node_id: 1, with_data: false };
        assert_eq!(test.store.run(remove).await.expect("the store answers"), Removed::Done);
        assert_eq!(ask(&test, &KEPT, 2).await, [[2048, 2]], "whatever node gets its number later");
        assert_eq!(spread(&test).await.len(), 2048, "the rest goes to those there are");
    }
}
