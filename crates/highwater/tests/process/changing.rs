//! What changes while tokens are being checked: the identity provider's keys, and accounts in the middle of a question.

use crate::checking::{ROUTE, caller, checked_at};
use crate::house::Node;
use crate::http;
use crate::world::{PATIENCE, World};
use standins::{Health, SecurityEvent};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use testkit::{postgres_server, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_rotated_under_load_make_no_good_token_bad() {
    let settings = [&ROUTE[..], &[("IDP__0__UNKNOWN_KEY_REFETCH_SECONDS", "0.01")]].concat();
    let world = World::new(&settings).await;
    let subject = "a".repeat(32);
    world.idp.sign_up(&subject);
    let caller = caller(&world, &["verify"]);
    let (idp, address, stop) = (&world.idp, world.node.at("service"), AtomicBool::new(false));
    let remembered = world.sign_in(&subject).access_token;
    let check = |token: &str| checked_at(address, &caller, token, "/api/masks").status;
    let tally = thread::scope(|threads| {
        let asking = || {
            let mut tally = BTreeMap::<u16, u32>::new();
            while !stop.load(Ordering::Relaxed) {
                let fresh = idp.sign_in(&subject).expect("an account").access_token;
                for token in [&fresh, &remembered] {
                    *tally.entry(check(token)).or_default() += 1;
                }
            }
            tally
        };
        let load = [threads.spawn(asking), threads.spawn(asking)];
        for _ in 0..5 {
            idp.rotate_keys();
            let fresh = idp.sign_in(&subject).expect("an account").access_token;
            assert_eq!(check(&fresh), 200, "a token by the new key");
        }
        stop.store(true, Ordering::Relaxed);
        load.map(|thread| thread.join().expect("it asked"))
    });
    let mut whole = BTreeMap::new();
    tally.iter().flatten().for_each(|(status, count)| *whole.entry(*status).or_insert(0) += count);
    assert!(whole.len() == 1 && whole.contains_key(&200), "{whole:?}");
}

/// Both nodes have asked about the token before the change, and are answered after it, with what was true before.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_in_the_middle_of_a_question_ends_the_old_token_on_every_node() {
    let url = postgres_server().fresh_database().await;
    let world = World::new(&[&ROUTE[..], &[("STORE__URL", &*url)]].concat()).await;
    let beside = world.house.beside();
    let second = beside.serve(&[]);
    for node in [&world.node, &second] {
        follows(node, "at 0").await;
    }
    let subject = "a".repeat(32);
    world.idp.sign_up(&subject);
    let old = world.idp.sign_in_opaque(&subject).expect("an account").access_token;
    let caller = caller(&world, &["verify"]);
    let addresses = [&world.node, &second].map(|node| node.at("service").to_owned());
    let check = |address: &str, token: &str| checked_at(address, &caller, token, "/api/masks").status;

    world.idp.set_health(Health::Late);
    let asked = addresses.clone().map(|address| {
        let (caller, old) = (caller.clone(), old.clone());
        thread::spawn(move || checked_at(&address, &caller, &old, "/api/masks").status)
    });
    wait_until("both have asked", PATIENCE, async || world.idp.introspect_requests() == 2).await;
    let at = world.change_password(&subject).await;
    world.told_by_token(&subject, &SecurityEvent::PasswordChange(at));
    for node in [&world.node, &second] {
        follows(node, "at 1").await;
    }
    world.idp.set_health(Health::Up);
    for answered in asked {
        assert_eq!(answered.join().expect("it was answered"), 401, "its answer is from before the change");
    }
    let fresh = world.idp.sign_in_opaque(&subject).expect("an account").access_token;
    for address in addresses.iter().chain(&addresses) {
        assert_eq!(check(address, &old), 401);
        assert_eq!(check(address, &fresh), 200);
    }
}

/// Waits until the node has heard of the events up to there.
async fn follows(node: &Node, place: &str) {
    let health = || http::get(node.at("admin"), "/health", &[]).expect("an answer").json();
    let place = format!("{place},");
    wait_until("it follows the events", PATIENCE, async || {
        health()["checks"]["bearer.feed"]["detail"].as_str().is_some_and(|it| it.starts_with(&place))
    })
    .await;
}
