//! Buckets, by the operators' routes and by those who come.

use super::admin::{ask, problem};
use super::*;
use crate::Policy;
use work::Tick;

const USERS: usize = 40;

/// A service whose users are in buckets, with one node, spread.
async fn houses() -> Vec<House> {
    let mut houses = Vec::new();
    for test in store::testing::engines(TABLES).await {
        let house = House::over(test, Settings { allocation: Policy::Bucketed, ..settings() }).await;
        assert_eq!(house.server.follow().await, Tick::Idle);
        houses.push(house);
    }
    houses
}

async fn homes(house: &House) -> Vec<String> {
    let mut homes = Vec::new();
    for n in 0..USERS {
        let answer = house.exchange(&format!("u{n}"), 100, KEY_ID).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        homes.push(answer.json()["api_endpoint"].as_str().expect("a text").to_owned());
    }
    homes
}

fn on_b(homes: &[String]) -> usize {
    homes.iter().filter(|home| home.starts_with("https://b.example")).count()
}

async fn spread(house: &House, dry_run: bool) -> Value {
    let moved = ask(house, Method::POST, "/buckets/spread", &json!({ "dry_run": dry_run })).await;
    assert_eq!(moved.status, StatusCode::OK, "{}", moved.body);
    moved.json()
}

#[tokio::test]
async fn a_serving_process_spreads_them_once_and_an_operator_from_then_on() {
    for house in houses().await {
        let shares = house.json_of("/buckets").await;
        assert_eq!(
            (&shares[0]["count"], &shares[0]["buckets"], &shares[0]["weight"]),
            (&json!(4096), &json!("0-4095"), &json!(1000))
        );
        let before = homes(&house).await;
        house.test.as_ref().expect("kept").clock.advance(Duration::from_secs(1));
        house.add_node("https://b.example", 1000).await;
        house.server.follow().await;
        assert_eq!(house.json_of("/buckets").await[0]["count"], 0, "nothing moves by itself");
        let planned = spread(&house, true).await;
        assert_eq!((&planned["moved"], &planned["to"][0]["node_id"]), (&json!(2048), &json!(2)));
        house.server.follow().await;
        assert_eq!(homes(&house).await, before, "a dry run moves nothing");
        assert_eq!(spread(&house, false).await["moved"], 2048);
        house.server.follow().await;
        let after = homes(&house).await;
        assert!((5..=35).contains(&on_b(&after)), "about half of them: {}", on_b(&after));
        let stayed = before.iter().zip(&after).filter(|(before, after)| before == after).count();
        assert_eq!(stayed + on_b(&after), USERS, "all others are where they were");
        assert_eq!(homes(&house).await, after);
        assert_eq!(spread(&house, false).await["moved"], 0, "once is enough");
    }
}

#[tokio::test]
async fn a_users_bucket_is_moved_by_its_number_and_whoever_has_not_heard_moves_nobody() {
    for house in houses().await {
        let before = homes(&house).await;
        house.test.as_ref().expect("kept").clock.advance(Duration::from_secs(1));
        house.add_node("https://b.example", 1000).await;
        let path = format!("/users/u0%40{DOMAIN}/bucket");
        let belongs = house.json_of(&path).await;
        assert_eq!(belongs["url"], "https://node.example");
        let order = json!({ "buckets": belongs["bucket"].to_string(), "node": "https://b.example" });
        let moved = ask(&house, Method::POST, "/buckets/move", &order).await.json();
        assert_eq!(moved["moved"], 1, "{moved}");
        assert_eq!(ask(&house, Method::POST, "/buckets/move", &order).await.json()["moved"], 0);
        assert_eq!(homes(&house).await, before, "this process has not heard of it yet");
        house.server.follow().await;
        let after = homes(&house).await;
        assert!(after[0].starts_with("https://b.example") && on_b(&after) == 1);
        assert_eq!(house.json_of(&path).await["url"], "https://b.example");
    }
}

#[tokio::test]
async fn what_cannot_be_done_with_buckets_is_told_plainly() {
    let [house, _] = <[House; 2]>::try_from(houses().await).ok().expect("two engines");
    let send = async |buckets: &str, node: &str| {
        let order = json!({ "buckets": buckets, "node": node });
        problem(&house, Method::POST, "/buckets/move", order).await
    };
    assert!(send("0-4096", "1").await.starts_with("400 \"0-4096\" names no buckets"));
    assert!(send("0", "https://nowhere").await.starts_with("404 there is no node https://nowhere"));
    ask(&house, Method::POST, "/nodes/1/cordon", &Value::Null).await;
    assert_eq!(send("0", "1").await, "409 https://node.example takes nobody just now");
    let weigh = async |weight: i64| {
        problem(&house, Method::PUT, "/nodes/1/weight", json!({ "weight": weight })).await
    };
    assert_eq!(weigh(-1).await, "400 the weight is -1; it must be from 0 to 2147483647");
    let weighed = ask(&house, Method::PUT, "/nodes/1/weight", &json!({ "weight": 7 })).await.json();
    assert_eq!((&weighed["weight"], &weighed["count"]), (&json!(7), &json!(4096)));
    let by_load = House::new(settings()).await;
    let refused = problem(&by_load, Method::GET, "/buckets", Value::Null).await;
    assert!(refused.starts_with("409 the users of sync-1.5 go to the least loaded node"), "{refused}");
}
