//! Nodes that are drained: by whom, how fast, and what becomes of those who come meanwhile.

use super::admin::{ask, node, problem};
use super::*;
use crate::drain::{Drainer, Round};
use crate::store::Placement;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Users on the node that is to be drained, and another one that has room for all.
async fn with_users(house: &House, users: usize) {
    for n in 0..users {
        house.exchange(&format!("u{n}"), 100, KEY_ID).await.uid();
    }
    house.add_node("https://b.example", 1000).await;
}

fn placements() -> Vec<Arc<Placement>> {
    let served = settings().served().expect("they work");
    served.into_iter().map(|it| Arc::new(it.placement)).collect()
}

fn drainer(house: &House) -> Drainer {
    Drainer::new(house.store.clone(), idp(&house.key, None), placements())
}

async fn round(drainer: &Drainer, places: &mut BTreeMap<i64, i64>) -> Round {
    drainer.round(places).await.expect("the store answers")
}

async fn begin(house: &House, rate: i64) {
    let began = ask(house, Method::PUT, &node("1", "/drain"), &json!({ "rate": rate })).await;
    assert_eq!(began.status, StatusCode::OK, "{}", began.body);
}

async fn state(house: &House) -> (Value, i64, i64) {
    let drain = house.json_of(&node("1", "/drain")).await;
    let number = |member: &str| drain[member].as_i64().expect("a number");
    (drain["state"].clone(), number("moved"), number("left"))
}

#[tokio::test]
async fn a_node_empties_at_its_rate_while_its_users_come() {
    for house in House::on_each_engine().await {
        with_users(&house, 12).await;
        let clock = house.test.as_ref().expect("kept").clock.clone();
        begin(&house, 10).await;
        let (drainer, mut places) = (drainer(&house), BTreeMap::new());
        assert_eq!(round(&drainer, &mut places).await, Round::Moved(0), "nothing is due yet");
        clock.advance(Duration::from_millis(500));
        assert_eq!(round(&drainer, &mut places).await, Round::Moved(5));
        assert_eq!(round(&drainer, &mut places).await, Round::Moved(0), "not before its time");
        assert_eq!(state(&house).await, (json!("running"), 5, 7));
        // One who has been moved, one who has not, and one who is new: each has one live row.
        let uids =
            [house.exchange("u0", 100, KEY_ID).await.uid(), house.exchange("u9", 100, KEY_ID).await.uid()];
        assert_eq!(uids, [13, 10]);
        house.exchange("new", 100, KEY_ID).await.uid();
        clock.advance(Duration::from_hours(1));
        assert_eq!(round(&drainer, &mut places).await, Round::Moved(7), "a second's worth at most");
        for _ in 0..2 {
            clock.advance(Duration::from_secs(1));
            round(&drainer, &mut places).await;
        }
        assert_eq!(state(&house).await, (json!("done"), 12, 0));
        assert_eq!(round(&drainer, &mut places).await, Round::Nothing);
        let nodes = house.json_of("/nodes").await;
        let loads: Vec<_> =
            nodes.as_array().expect("nodes").iter().map(|it| it["current_load"].clone()).collect();
        assert_eq!(loads, [13, 0], "b has everybody, and nobody new came to the drained one");
    }
}

#[tokio::test]
async fn a_drain_goes_on_where_another_process_left_it() {
    let house = House::over(store::testing::postgres(TABLES).await, settings()).await;
    with_users(&house, 4).await;
    let clock = house.test.as_ref().expect("kept").clock.clone();
    begin(&house, 1).await;
    clock.advance(Duration::from_secs(1));
    let (first, second) = (drainer(&house), drainer(&house));
    assert_eq!(round(&first, &mut BTreeMap::new()).await, Round::Moved(1));
    clock.advance(Duration::from_secs(1));
    assert_eq!(round(&second, &mut BTreeMap::new()).await, Round::Elsewhere, "one at a time");
    // The first one is gone, without a word.
    clock.advance(Duration::from_secs(31));
    assert_eq!(round(&second, &mut BTreeMap::new()).await, Round::Moved(1));
    assert_eq!(round(&first, &mut BTreeMap::new()).await, Round::Elsewhere);
    assert_eq!(state(&house).await, (json!("running"), 2, 2));
}

#[tokio::test]
async fn a_drain_is_changed_and_stopped_and_begun_anew() {
    for house in House::on_each_engine().await {
        with_users(&house, 4).await;
        let clock = house.test.as_ref().expect("kept").clock.clone();
        begin(&house, 1).await;
        clock.advance(Duration::from_secs(1));
        begin(&house, 2).await;
        let (drainer, mut places) = (drainer(&house), BTreeMap::new());
        assert_eq!(round(&drainer, &mut places).await, Round::Moved(0), "the new rate counts from now on");
        clock.advance(Duration::from_secs(1));
        assert_eq!(round(&drainer, &mut places).await, Round::Moved(2));
        let opened = problem(&house, Method::POST, &node("1", "/uncordon"), Value::Null).await;
        assert!(opened.contains("is being drained; stop that first"), "{opened}");
        let stopped = ask(&house, Method::DELETE, &node("1", "/drain"), &Value::Null).await.json();
        assert_eq!((&stopped["state"], &stopped["left"]), (&json!("stopped"), &json!(2)));
        let again = problem(&house, Method::DELETE, &node("1", "/drain"), Value::Null).await;
        assert!(again.contains("has ended already"), "{again}");
        assert_eq!(round(&drainer, &mut places).await, Round::Nothing);
        assert_eq!(
            ask(&house, Method::POST, &node("1", "/uncordon"), &Value::Null).await.status,
            StatusCode::OK
        );
        begin(&house, 9).await;
        assert_eq!(state(&house).await, (json!("running"), 0, 2));
        assert_eq!(house.json_of("/drains").await.as_array().map(Vec::len), Some(1));
    }
}

#[tokio::test]
async fn a_drain_that_has_nowhere_to_go_says_so_and_goes_on_when_it_has() {
    for house in House::on_each_engine().await {
        house.exchange("u", 100, KEY_ID).await.uid();
        let clock = house.test.as_ref().expect("kept").clock.clone();
        begin(&house, 5).await;
        let (drainer, mut places) = (drainer(&house), BTreeMap::new());
        clock.advance(Duration::from_secs(1));
        assert_eq!(round(&drainer, &mut places).await, Round::Moved(0));
        let drain = house.json_of(&node("1", "/drain")).await;
        assert_eq!(
            (&drain["state"], &drain["trouble"]),
            (&json!("running"), &json!("no other node has room"))
        );
        house.add_node("https://b.example", 10).await;
        for _ in 0..3 {
            clock.advance(Duration::from_secs(1));
            round(&drainer, &mut places).await;
        }
        assert_eq!(state(&house).await, (json!("running"), 1, 0));
        let drain = house.json_of(&node("1", "/drain")).await;
        assert_eq!(drain["trouble"], Value::Null);
    }
}

#[tokio::test]
async fn what_cannot_be_drained_is_told_plainly() {
    let house = House::new(Settings { spanner_node_id: Some(1), ..settings() }).await;
    house.add_node("https://b.example", 10).await;
    let drain =
        async |name, rate| problem(&house, Method::PUT, &node(name, "/drain"), json!({ "rate": rate })).await;
    assert_eq!(drain("2", 0).await, "400 the rate is 0; it must be from 1 to 10000 users a second");
    assert!(drain("https://x", 5).await.starts_with("404"));
    assert!(drain("1", 5).await.contains("everybody goes to https://node.example"));
    let never = problem(&house, Method::GET, &node("2", "/drain"), Value::Null).await;
    assert_eq!(never, "404 https://b.example is not being drained, and never was");
}
