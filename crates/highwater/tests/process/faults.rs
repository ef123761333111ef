//! Trouble around a running node: outages are 503 with `Retry-After` and never a verdict; what is known goes on.

use crate::world::{PATIENCE, World, exchange};
use standins::Health;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use testkit::{Postgres, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn while_the_identity_provider_is_down_known_keys_serve_and_questions_wait() {
    let world = World::new(&[]).await;
    let subject = "a".repeat(32);
    world.idp.sign_up(&subject);
    assert_eq!(world.exchange(&world.sign_in(&subject)).0, 200, "its keys are known now");
    world.idp.set_health(Health::Down);
    assert_eq!(world.exchange(&world.sign_in(&subject)).0, 200, "a new token, by a known key");
    let opaque = world.idp.sign_in_opaque(&subject).expect("an account");
    let answer = world.ask(&opaque);
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    world.idp.set_health(Health::Up);
    assert_eq!(world.exchange(&opaque).0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_rotated_under_load_refuse_nobody() {
    let world = World::new(&[("IDP__0__UNKNOWN_KEY_REFETCH_SECONDS", "0.01")]).await;
    let subject = "a".repeat(32);
    world.idp.sign_up(&subject);
    assert_eq!(world.exchange(&world.sign_in(&subject)).0, 200);
    let (address, stop) = (world.node.at("public"), AtomicBool::new(false));
    let idp = &world.idp;
    let tally = std::thread::scope(|threads| {
        let asking = || {
            let mut tally = BTreeMap::<u16, u32>::new();
            while !stop.load(Ordering::Relaxed) {
                let sign_in = idp.sign_in(&subject).expect("an account");
                *tally.entry(exchange(address, &sign_in).status).or_default() += 1;
            }
            tally
        };
        let load = [threads.spawn(asking), threads.spawn(asking)];
        for _ in 0..5 {
            idp.rotate_keys();
            let fresh = idp.sign_in(&subject).expect("an account");
            assert_eq!(exchange(address, &fresh).status, 200, "a token by the new key");
        }
        stop.store(true, Ordering::Relaxed);
        load.map(|thread| thread.join().expect("it asked"))
    });
    let asked: u32 = tally.iter().flat_map(BTreeMap::values).sum();
    assert!(asked > 0, "there was load");
    assert!(tally.iter().all(|tally| tally.keys().all(|status| *status == 200)), "{tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_goes_away_in_between_is_503_and_then_all_is_as_before() {
    let mut postgres = Postgres::start();
    let url = postgres.fresh_database().await;
    let world = World::new(&[("STORE__URL", &url)]).await;
    let subject = "a".repeat(32);
    world.idp.sign_up(&subject);
    let device = world.sign_in(&subject);
    let before = world.ask(&device);
    assert_eq!(before.status, 200, "{before:?}");

    postgres.crash();
    let during = world.ask(&device);
    assert_eq!(during.status, 503, "{during:?}");
    assert!(during.header("retry-after").is_some(), "{during:?}");

    postgres.start_again();
    wait_until("served again", PATIENCE, async || world.ask(&device).status == 200).await;
    assert_eq!(world.ask(&device).json()["uid"], before.json()["uid"], "the same user");
}
