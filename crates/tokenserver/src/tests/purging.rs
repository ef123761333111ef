//! The purge, against service nodes that check what it signs.

use super::admin::{ask, node, problem};
use super::events::happens;
use super::*;
use account::Change;
use standins::StandInNode;
use std::sync::Arc;

const SECRET: &str = "secret0";

/// The house on each engine, its one node a stand-in that goes by the house's clock.
async fn houses() -> Vec<(House, StandInNode)> {
    let mut houses = Vec::new();
    for test in store::testing::engines(TABLES).await {
        let clock = test.clock.clone();
        let there = StandInNode::start(SECRET, Arc::new(move || clock.now())).await.expect("it starts");
        let mut house = House::without_nodes(test.store.clone(), &settings(), None);
        house.ledger.register_capabilities().await.expect("the store answers");
        house.test = Some(test);
        house.add_node(&there.url(), 1000).await;
        houses.push((house, there));
    }
    houses
}

/// Signs a user in twice with different keys: the first row is replaced. It has data on the node, and so has the other.
async fn replaced(house: &House, there: &StandInNode, subject: &str) -> i64 {
    let old = house.exchange(subject, 100, "50-qqo").await.uid();
    let new = house.exchange(subject, 200, "150-uw").await.uid();
    there.put(old);
    there.put(new);
    old
}

async fn purge(house: &House, options: Value) -> Value {
    let mut so_far = Value::Null;
    for _ in 0..20 {
        let answer =
            ask(house, Method::POST, "/purge", &json!({ "options": options, "progress": so_far })).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        so_far = answer.json();
        if so_far["done"] == true {
            return so_far;
        }
    }
    panic!("it never ended: {so_far}");
}

async fn rows(house: &House, subject: &str) -> usize {
    let path = format!("/users/{subject}%40{DOMAIN}");
    house.json_of(&path).await["rows"].as_array().map_or(0, Vec::len)
}

fn later(house: &House) {
    house.test.as_ref().expect("kept").clock.advance(Duration::from_hours(25));
}

#[tokio::test]
async fn old_data_is_deleted_by_a_signature_of_its_own_row_and_then_the_row() {
    for (house, there) in houses().await {
        let old = replaced(&house, &there, "user").await;
        assert_eq!(purge(&house, json!({})).await["fetched"], 0, "a day has not passed");
        later(&house);
        let planned = purge(&house, json!({ "dry_run": true })).await;
        assert_eq!((&planned["deleted"], there.deleted(), rows(&house, "user").await), (&json!(1), 0, 2));
        let done = purge(&house, json!({})).await;
        assert_eq!((&done["deleted"], &done["failed"]), (&json!(1), &json!(0)), "{done}");
        assert!(!there.has(old) && there.has(old + 1), "and nothing else");
        assert_eq!((there.deleted(), there.refused(), rows(&house, "user").await), (1, 0, 1));
        let load = house.json_of("/nodes").await[0]["current_load"].clone();
        assert_eq!(load, 1, "a replaced row was counted off before");
        assert_eq!(purge(&house, json!({})).await["fetched"], 0);
    }
}

#[tokio::test]
async fn data_that_is_gone_already_is_no_failure() {
    for (house, _there) in houses().await {
        house.exchange("user", 100, "50-qqo").await.uid();
        house.exchange("user", 200, "150-uw").await.uid();
        later(&house);
        let done = purge(&house, json!({})).await;
        assert_eq!((&done["deleted"], &done["gone"], rows(&house, "user").await), (&json!(1), &json!(1), 1));
    }
}

#[tokio::test]
async fn a_deleted_account_leaves_nothing_behind() {
    for (house, there) in houses().await {
        let uid = house.exchange("user", 100, KEY_ID).await.uid();
        there.put(uid);
        happens(&house, Change::Delete { reason: None }, None).await;
        later(&house);
        assert_eq!(purge(&house, json!({})).await["deleted"], 1);
        assert_eq!((there.has(uid), rows(&house, "user").await), (false, 0));
    }
}

#[tokio::test]
async fn a_row_that_fails_fails_alone_and_is_purged_by_the_next_run() {
    for (house, there) in houses().await {
        let clock = house.test.as_ref().expect("kept").clock.clone();
        let other =
            StandInNode::start("another secret", Arc::new(move || clock.now())).await.expect("it starts");
        replaced(&house, &there, "good").await;
        house.add_node(&other.url(), 1000).await;
        ask(&house, Method::POST, &format!("/users/good%40{DOMAIN}/move"), &json!({ "node": "2" })).await;
        ask(&house, Method::POST, &format!("/users/good%40{DOMAIN}/move"), &json!({ "node": "1" })).await;
        later(&house);
        let run = purge(&house, json!({})).await;
        assert_eq!((&run["deleted"], &run["failed"]), (&json!(2), &json!(1)), "{run}");
        let failure = &run["failures"][0];
        assert_eq!((&failure["reason"], &failure["node"]), (&json!("http_4xx"), &json!(other.url())));
        assert_eq!(
            (there.deleted(), other.refused(), rows(&house, "good").await),
            (2, 1, 2),
            "it was asked once"
        );
    }
}

#[tokio::test]
async fn a_node_that_does_nothing_but_fail_is_spared() {
    for (house, there) in houses().await {
        for n in 0..12 {
            replaced(&house, &there, &format!("u{n}")).await;
        }
        later(&house);
        there.fail_with(503);
        let run = purge(&house, json!({})).await;
        assert_eq!(
            (&run["deleted"], &run["failed"], &run["spared"]),
            (&json!(0), &json!(8), &json!(4)),
            "{run}"
        );
        assert_eq!(run["failures"][0]["reason"], "http_5xx");
        there.fail_with(0);
        assert_eq!(purge(&house, json!({ "max": 5 })).await["deleted"], 5);
        assert_eq!(purge(&house, json!({})).await["deleted"], 7);
        assert_eq!(there.deleted(), 12, "nothing was lost, and nothing done twice");
    }
}

#[tokio::test]
async fn only_the_rows_that_are_asked_for_are_purged() {
    for (house, there) in houses().await {
        let uids = [
            replaced(&house, &there, "a").await,
            replaced(&house, &there, "b").await,
            replaced(&house, &there, "c").await,
        ];
        later(&house);
        let run = purge(&house, json!({ "above_uid": uids[0], "below_uid": uids[2] })).await;
        assert_eq!(run["deleted"], 1);
        assert_eq!(uids.map(|uid| there.has(uid)), [true, false, true]);
    }
}

#[tokio::test]
async fn rows_of_a_node_that_is_down_wait_unless_they_are_forced() {
    for (house, there) in houses().await {
        let old = replaced(&house, &there, "user").await;
        later(&house);
        ask(&house, Method::PATCH, &node("1", ""), &json!({ "downed": true })).await;
        let run = purge(&house, json!({})).await;
        assert_eq!((&run["waiting"], &run["deleted"], there.has(old)), (&json!(1), &json!(0), true));
        let run = purge(&house, json!({ "force": true })).await;
        assert_eq!((&run["forced"], &run["deleted"], there.has(old)), (&json!(1), &json!(1), false));
    }
}

#[tokio::test]
async fn data_that_was_carried_over_to_another_node_is_spared_there() {
    for (house, there) in houses().await {
        let clock = house.test.as_ref().expect("kept").clock.clone();
        let new = StandInNode::start(SECRET, Arc::new(move || clock.now())).await.expect("it starts");
        // The same key, another node: what was carried over is the live data.
        let twin = house.exchange("user", 100, KEY_ID).await.uid();
        house.add_node(&new.url(), 1000).await;
        ask(&house, Method::POST, &format!("/users/user%40{DOMAIN}/move"), &json!({ "node": "2" })).await;
        new.put(twin);
        later(&house);
        ask(&house, Method::PATCH, &node("1", ""), &json!({ "downed": true })).await;
        let run = purge(&house, json!({ "force": true, "override_node": new.url() })).await;
        assert_eq!((&run["shared"], &run["deleted"]), (&json!(1), &json!(0)), "{run}");
        assert_eq!((new.has(twin), there.deleted(), rows(&house, "user").await), (true, 0, 1));
    }
}

#[tokio::test]
async fn rows_whose_node_is_gone_go_alone() {
    for (house, there) in houses().await {
        let old = replaced(&house, &there, "user").await;
        later(&house);
        ask(&house, Method::DELETE, &format!("{}?force=true", node("1", "")), &Value::Null).await;
        let run = purge(&house, json!({})).await;
        assert_eq!((&run["nodeless"], &run["deleted"], there.has(old)), (&json!(1), &json!(0), true));
    }
}

#[tokio::test]
async fn what_cannot_be_purged_is_told_plainly() {
    let house = House::new(settings()).await;
    let refused =
        async |options| problem(&house, Method::POST, "/purge", json!({ "options": options })).await;
    assert!(refused(json!({ "override_node": "https://x" })).await.contains("it needs force"));
    assert!(refused(json!({ "force": true, "override_node": "x" })).await.contains("begins with no scheme"));
    assert!(refused(json!({ "above_uid": 5, "below_uid": 6 })).await.contains("no row above"));
    assert!(refused(json!({ "grace_seconds": -1 })).await.contains("grace_seconds"));
}
