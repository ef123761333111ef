//! Without the server the checks go on; with it again, it is used again.

use super::*;
use futures::future::join_all;
use std::sync::atomic::{AtomicBool, Ordering};

/// Checks a fresh token in two processes; how often the identity provider was asked for it.
async fn asked_for_one(idp: &StandInIdp, nodes: &[Verifier; 2]) -> u64 {
    let (token, before) = (token(idp, "u"), idp.introspect_requests());
    for node in nodes {
        check(node, &token).await.expect("good");
    }
    idp.introspect_requests() - before
}

/// Checks go on until something has happened, and to their end; every one of them must be good.
async fn under_load<T>(idp: &StandInIdp, nodes: &[Verifier; 2], happening: impl Future<Output = T>) -> T {
    let (has_happened, mut checked) = (AtomicBool::new(false), 0_u64);
    let happening = async {
        let done = happening.await;
        has_happened.store(true, Ordering::Relaxed);
        done
    };
    let load = async {
        while !has_happened.load(Ordering::Relaxed) {
            let token = token(idp, "u");
            let outcomes = join_all((0..20).map(|at| check(&nodes[at % 2], &token))).await;
            assert!(outcomes.iter().all(Result::is_ok), "after {checked}: {outcomes:?}");
            checked += 1;
        }
    };
    tokio::join!(happening, load).0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_in_mid_load_is_not_missed_and_used_when_it_is_back() {
    let (mut redis, idp) = (Redis::start(), idp().await);
    let asks = || settings(&redis.url(), &json!({}));
    let (a, b) = (Connected::to(asks()).await, Connected::to(asks()).await);
    let nodes = [a.verifier(&idp), b.verifier(&idp)];
    assert_eq!(asked_for_one(&idp, &nodes).await, 1);
    let killed = async {
        tokio::task::block_in_place(|| redis.kill());
        a.is_in_trouble().await;
        b.is_in_trouble().await;
    };
    under_load(&idp, &nodes, killed).await;
    assert_eq!(asked_for_one(&idp, &nodes).await, 2, "each for itself");
    let back = async {
        tokio::task::block_in_place(|| redis.start_again());
        a.is_well().await;
        b.is_well().await;
    };
    under_load(&idp, &nodes, back).await;
    assert_eq!(asked_for_one(&idp, &nodes).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_held_up_is_done_without() {
    let (mut redis, idp) = (Redis::start(), idp().await);
    let asks = || settings(&redis.url(), &json!({ "response_timeout_ms": 200, "connect_timeout_ms": 1_000 }));
    let (a, b) = (Connected::to(asks()).await, Connected::to(asks()).await);
    let nodes = [a.verifier(&idp), b.verifier(&idp)];
    let held_up = async {
        redis.hold_up();
        a.is_in_trouble().await;
        b.is_in_trouble().await;
    };
    under_load(&idp, &nodes, held_up).await;
    assert_eq!(asked_for_one(&idp, &nodes).await, 2, "each for itself");
    redis.go_on();
    a.is_well().await;
    b.is_well().await;
    wait_until("it is used again", PATIENCE, async || asked_for_one(&idp, &nodes).await == 1).await;
}

#[tokio::test]
async fn a_server_that_was_never_there_is_looked_for_in_the_background() {
    let (mut redis, idp) = (Redis::start(), idp().await);
    redis.kill();
    let a = Connected::begin(settings(&redis.url(), &json!({})));
    let b = Connected::begin(settings(&redis.url(), &json!({})));
    let nodes = [a.verifier(&idp), b.verifier(&idp)];
    assert_eq!(asked_for_one(&idp, &nodes).await, 2);
    a.is_in_trouble().await;
    redis.start_again();
    a.is_well().await;
    b.is_well().await;
    assert_eq!(asked_for_one(&idp, &nodes).await, 1);
}

#[tokio::test]
async fn a_server_that_takes_nothing_more_costs_no_answer() {
    let (redis, idp) = (Redis::start(), idp().await);
    let asks = || settings(&redis.url(), &json!({}));
    let (a, b) = (Connected::to(asks()).await, Connected::to(asks()).await);
    let nodes = [a.verifier(&idp), b.verifier(&idp)];
    redis.cli(&["config", "set", "maxmemory", "1"]);
    assert_eq!(asked_for_one(&idp, &nodes).await, 2);
    let trouble = a.is_in_trouble().await;
    assert!(trouble.contains("OOM") || trouble.contains("memory"), "{trouble}");
    redis.cli(&["config", "set", "maxmemory", "0"]);
    assert_eq!(asked_for_one(&idp, &nodes).await, 1);
    a.is_well().await;
}

#[tokio::test]
async fn what_was_spoiled_there_is_asked_anew() {
    let (redis, idp) = (Redis::start(), idp().await);
    let connected = Connected::to(settings(&redis.url(), &json!({}))).await;
    let token = token(&idp, "u");
    assert_eq!(how(&connected.verifier(&idp), &token).await, How::Learned);
    let key = redis.cli(&["keys", "highwater:f:*"]).trim().to_owned();
    for spoiled in ["", "garbage", &"long".repeat(10_000)] {
        redis.cli(&["set", &key, spoiled]);
        assert_eq!(how(&connected.verifier(&idp), &token).await, How::Learned);
        assert_eq!(how(&connected.verifier(&idp), &token).await, How::Remembered);
    }
    redis.cli(&["del", &key]);
    redis.cli(&["lpush", &key, "of another type"]);
    assert_eq!(how(&connected.verifier(&idp), &token).await, How::Learned);
}
