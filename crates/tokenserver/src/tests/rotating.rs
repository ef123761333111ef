//! A service's secret that is rotated while clients come.

use super::admin::{ask, problem};
use super::*;
use outbound::{Client, Manners, Url, header};
use standins::{StandInNode, TicketKeys, TokenAnswer};
use std::sync::atomic::{AtomicUsize, Ordering};
use work::Tick;

const OLD: &str = "secret0";
const NEW: &str = "secret1";

fn listed() -> Settings {
    Settings { secrets: vec![Secret::new(NEW)], ..settings() }
}

/// What the node says to a client with this token.
async fn visit(client: &Client, token: &TokenAnswer, clock: &Clock) -> u16 {
    let url: Url = format!("{}/storage/tabs", token.api_endpoint).parse().expect("a URL");
    let signed = token.sign("GET", &url, clock.now());
    let request = client.get(&url).header(header::AUTHORIZATION, signed.parse().expect("a header"));
    request.glance().await.expect("the node answers").status().as_u16()
}

fn client() -> Client {
    Client::for_operator_addresses(&Manners::default()).expect("a client")
}

fn is_of(token: &TokenAnswer, secret: &str) -> bool {
    TicketKeys::new(secret).open(&token.id).is_ok()
}

async fn states(house: &House) -> Vec<String> {
    let listed = house.json_of("/secrets").await;
    let state = |secret: &Value| secret["state"].as_str().expect("a state").to_owned();
    listed.as_array().expect("a list").iter().map(state).collect()
}

/// Clients come until `enough` of them have come since the last change; their tokens.
async fn come(house: &House, client: &Client, from: &AtomicUsize, enough: usize) -> Vec<TokenAnswer> {
    let clock = &house.test.as_ref().expect("kept").clock;
    let mut tokens = Vec::new();
    while tokens.len() < enough {
        let user = from.fetch_add(1, Ordering::Relaxed);
        let answer = house.exchange(&format!("u{}", user % 20), 100, KEY_ID).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let token: TokenAnswer = serde_json::from_str(&answer.body).expect("a token");
        assert_eq!(visit(client, &token, clock).await, 200, "no token is refused");
        tokens.push(token);
    }
    tokens
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_secret_is_rotated_under_load_and_the_old_one_dies_with_its_tokens() {
    for test in store::testing::engines(TABLES).await {
        let clock = test.clock.clone();
        let at = clock.clone();
        let there = StandInNode::start(OLD, Arc::new(move || at.now())).await.expect("it starts");
        there.know(&[OLD, NEW]);
        let mut house = House::without_nodes(test.store.clone(), &listed(), None);
        house.test = Some(test);
        house.add_node(&there.url(), 1000).await;
        assert_eq!(states(&house).await, ["signs", "next"]);

        let (client, from) = (client(), AtomicUsize::new(0));
        let load = || come(&house, &client, &from, 60);
        let rotate = async {
            let rotated = ask(&house, Method::POST, "/secrets/rotate", &Value::Null).await;
            assert_eq!(rotated.status, StatusCode::OK, "{}", rotated.body);
            assert_eq!(house.server.follow().await, Tick::Idle);
        };
        let before = come(&house, &client, &from, 5).await;
        let (a, b, c, ()) = tokio::join!(load(), load(), load(), rotate);
        let after = come(&house, &client, &from, 5).await;
        assert!(before.iter().all(|token| is_of(token, OLD)) && after.iter().all(|token| is_of(token, NEW)));
        let during = [a, b, c].concat();
        assert!(during.iter().all(|token| is_of(token, OLD) || is_of(token, NEW)));
        assert_eq!(
            (states(&house).await, there.refused()),
            (vec!["retiring".to_owned(), "signs".to_owned()], 0)
        );

        // The old one's tokens end with their life, and then nobody misses it.
        clock.advance(Duration::from_hours(1));
        assert_eq!(states(&house).await, ["retired", "signs"]);
        for token in &before {
            assert_eq!(visit(&client, token, &clock).await, 401);
        }
        there.know(&[NEW]);
        let refused = there.refused();
        let sweep = ask(&house, Method::POST, "/purge", &json!({})).await;
        assert_eq!((sweep.status, there.refused()), (StatusCode::OK, refused), "{}", sweep.body);
    }
}

#[tokio::test]
async fn there_is_nothing_to_rotate_to_behind_the_last_one() {
    let house = House::new(listed()).await;
    ask(&house, Method::POST, "/secrets/rotate", &Value::Null).await;
    let refused = problem(&house, Method::POST, "/secrets/rotate", Value::Null).await;
    assert!(refused.starts_with("409 sync-1.5 has no secret after the one that signs"), "{refused}");
    let shown = house.json_of("/secrets").await.to_string();
    assert!(!shown.contains(OLD) && !shown.contains(NEW), "{shown}");
}

#[tokio::test]
async fn a_list_with_another_beginning_goes_by_itself_again() {
    let test = store::testing::sqlite(TABLES).await;
    let house = House::without_nodes(test.store.clone(), &listed(), None);
    ask(&house, Method::POST, "/secrets/rotate", &Value::Null).await;
    let newest =
        Settings { master_secret: Secret::new("newest"), secrets: vec![Secret::new(NEW)], ..settings() };
    let house = House::without_nodes(test.store.clone(), &newest, None);
    assert_eq!(house.server.follow().await, Tick::Idle);
    assert_eq!(states(&house).await, ["signs", "next"]);
}
