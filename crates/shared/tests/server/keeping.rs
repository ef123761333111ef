//! What a tier has to do, done by real servers.

use super::*;
use testkit::Authority;
use verify::{Kept, Kind};

const TERM: Duration = Duration::from_mins(1);

fn facts(sealed: &[u8]) -> verify::Value<'_> {
    verify::Value { kind: Kind::Facts, sealed, life: TERM }
}

fn no(sealed: &[u8]) -> verify::Value<'_> {
    verify::Value { kind: Kind::No, sealed, life: TERM }
}

/// Everything that [`SharedTier`] promises, under one name.
async fn does_what_it_promises(tier: &Tier, name: &str) {
    let nothing = Kept::default();
    assert_eq!(tier.look(name).await, Ok(nothing.clone()));
    assert_eq!(tier.claim(name, "a", TERM).await, Ok((None, nothing.clone())));
    assert_eq!(tier.claim(name, "b", TERM).await, Ok((Some(b"a".to_vec()), nothing.clone())));
    tier.hold(name, "b", Duration::from_millis(1)).await.expect("there");
    tier.leave(name, "b", b"", TERM).await.expect("there");
    assert_eq!(
        tier.claim(name, "b", TERM).await,
        Ok((Some(b"a".to_vec()), nothing.clone())),
        "not b's to end"
    );
    tier.leave(name, "a", b"sorry", TERM).await.expect("there");
    assert_eq!(tier.claim(name, "b", TERM).await, Ok((Some(b"sorry".to_vec()), nothing.clone())));
    tier.leave(name, "sorry", b"", TERM).await.expect("there");
    assert_eq!(tier.claim(name, "b", TERM).await, Ok((None, nothing)));
    let bytes: Vec<u8> = (0..=255).collect();
    tier.keep(name, facts(&bytes), "b").await.expect("there");
    let kept = Kept { facts: Some(bytes), no: None };
    assert_eq!(tier.look(name).await, Ok(kept.clone()));
    assert_eq!(tier.claim(name, "c", TERM).await, Ok((None, kept)), "b has left, and what it kept is seen");
    tier.keep(name, no(b"no"), "another").await.expect("there");
    let denied = Kept { facts: None, no: Some(b"no".to_vec()) };
    assert_eq!(tier.claim(name, "d", TERM).await, Ok((Some(b"c".to_vec()), denied.clone())), "c goes on");
    tier.hold(name, "c", Duration::from_millis(1)).await.expect("there");
    wait_until("c's term ends", PATIENCE, async || {
        tier.claim(name, "d", TERM).await == Ok((None, denied.clone()))
    })
    .await;
    let passing = verify::Value { life: Duration::from_millis(1), ..no(b"no") };
    tier.keep(name, passing, "d").await.expect("there");
    wait_until("its life ends", PATIENCE, async || tier.look(name).await == Ok(Kept::default())).await;
}

#[tokio::test]
async fn a_plain_server_keeps_what_it_is_given() {
    let redis = Redis::start();
    let connected = Connected::to(settings(&redis.url(), &json!({}))).await;
    does_what_it_promises(&connected.tier, "name").await;
    assert!(shared::probe(&settings(&redis.url(), &json!({}))).await.is_ok());
}

#[tokio::test]
async fn a_cluster_keeps_each_name_where_it_belongs() {
    let nodes = Redis::cluster();
    let change = json!({ "cluster": true, "other_urls": [nodes[1].url()] });
    let connected = Connected::to(settings(&nodes[0].url(), &change)).await;
    for name in 0..20 {
        does_what_it_promises(&connected.tier, &format!("name{name}")).await;
        let value = facts(b"facts");
        connected.tier.keep(&format!("name{name}"), value, "x").await.expect("there");
    }
    let counts: Vec<String> = nodes.iter().map(|node| node.cli(&["dbsize"])).collect();
    assert!(counts.iter().all(|count| count.trim() != "0"), "each has some: {counts:?}");
    assert!(shared::probe(&settings(&nodes[2].url(), &json!({ "cluster": true }))).await.is_ok());
}

#[tokio::test]
async fn a_server_is_talked_to_by_tls_when_it_is_who_it_should_be_and_knows_us() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
    let redis = Redis::by_tls(&authority.papers("localhost"), "hush");
    let file = |name: &str, authority: &Authority| {
        let path = folder.path().join(name);
        std::fs::write(&path, authority.certificate()).expect("written");
        path
    };
    let ours = file("ours.pem", &authority);
    let others = file("others.pem", &Authority::new());
    let asks = |authorities, password: &str| {
        settings(&redis.url(), &json!({ "certificate_authorities": authorities, "password": password }))
    };
    let connected = Connected::to(asks(&ours, "hush")).await;
    does_what_it_promises(&connected.tier, "name").await;
    assert!(shared::probe(&asks(&ours, "hush")).await.is_ok());
    for wrong in [asks(&ours, "hash"), asks(&others, "hush")] {
        let trouble = shared::probe(&wrong).await.expect_err("it does not work");
        assert!(!trouble.contains("hush") && !trouble.contains("hash"), "{trouble}");
        let connecting = Connected::begin(wrong);
        connecting.is_in_trouble().await;
        assert!(connecting.tier.look("name").await.is_err());
    }
}

#[tokio::test]
async fn one_who_may_not_do_what_is_needed_is_found_out_by_the_probe() {
    let redis = Redis::start();
    redis.cli(&["acl", "setuser", "reader", "on", ">pass", "~highwater:*", "+@read", "+client", "+ping"]);
    redis.cli(&[
        "acl",
        "setuser",
        "one",
        "on",
        ">pass",
        "~highwater:*",
        "+@read",
        "+@write",
        "+@scripting",
        "+client",
        "+ping",
    ]);
    let asks = |user: &str| settings(&redis.url(), &json!({ "user": user, "password": "pass" }));
    assert!(shared::probe(&asks("one")).await.is_ok());
    let trouble = shared::probe(&asks("reader")).await.expect_err("it may not write");
    assert!(trouble.to_lowercase().contains("perm"), "{trouble}");
}

#[tokio::test]
async fn of_what_is_too_long_no_more_comes_than_shows_that_it_is() {
    let redis = Redis::start();
    let connected = Connected::to(settings(&redis.url(), &json!({}))).await;
    redis.cli(&["setrange", "highwater:f:{name}", "3000000", "x"]);
    let kept = connected.tier.look("name").await.expect("there");
    assert_eq!(kept.facts.map(|facts| facts.len()), Some(verify::MAX_KEPT + 1));
}
