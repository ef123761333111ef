//! Whoever is asked too much is spared; whoever is ill is spared; and what one asks too much is not what others lack.

use crate::{Lane, World, active, retry_after, trouble};
use idp::{Inactive, Introspected, Trouble};
use standins::{Canned, Health};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn for_as_long_as_it_wants_to_be_left_alone_nobody_asks() {
    let world = World::new().await;
    let token = world.token();
    world.there.answer_introspection(Some(Canned::status(429).retry_after("900")));
    assert!(retry_after(&world.ask(&token).await) >= Duration::from_mins(15));
    world.there.answer_introspection(None);
    for second in 0..900 {
        let told = world.ask_for("b", &token).await;
        assert_eq!((second, trouble(&told)), (second, Trouble::Spared));
        assert!(retry_after(&told) >= Duration::from_secs(900 - second));
        world.wait(SECOND);
    }
    assert_eq!(world.there.introspect_requests(), 1);
    world.wait(2 * SECOND);
    active(world.ask(&token).await);
    active(world.ask(&token).await);
    assert_eq!(world.idp.introspection_state(world.now()).expect("it can be asked").breaker, "closed");
}

#[tokio::test]
async fn every_answer_that_names_a_time_is_obeyed() {
    let throttled = r#"{"code":429,"errno":114,"retryAfter":60}"#.to_owned();
    let banned = r#"{"code":400,"errno":125,"retryAfter":60}"#.to_owned();
    for canned in [
        Canned::status(503).retry_after("60"),
        Canned::status(403).retry_after("60"),
        Canned { body: throttled, ..Canned::status(429) },
        Canned { body: banned, ..Canned::status(400) },
    ] {
        let world = World::new().await;
        world.there.answer_introspection(Some(canned.clone()));
        world.ask("token").await;
        world.wait(59 * SECOND);
        assert_eq!(trouble(&world.ask("token").await), Trouble::Spared, "{canned:?}");
        assert_eq!(world.there.introspect_requests(), 1);
    }
}

#[tokio::test]
async fn a_no_without_a_time_is_obeyed_all_the_same() {
    let world = World::new().await;
    world.there.answer_introspection(Some(Canned::status(429)));
    assert!(retry_after(&world.ask("token").await) >= Duration::from_secs(10));
    assert_eq!(trouble(&world.ask("token").await), Trouble::Spared);
}

#[tokio::test]
async fn after_one_blip_it_is_well_again_at_once() {
    for canned in [Canned::status(502), Canned::ok("<html>"), Canned::ok("[]")] {
        let world = World::new().await;
        world.there.answer_introspection(Some(canned));
        let told = world.ask(&world.token()).await;
        assert!(retry_after(&told) <= 2 * SECOND, "{told:?}");
        world.there.answer_introspection(None);
        active(world.ask(&world.token()).await);
    }
}

#[tokio::test]
async fn in_an_outage_it_is_spared_and_within_two_seconds_of_a_short_one_it_is_well_again() {
    let world = World::new().await;
    let token = world.token();
    world.there.set_health(Health::Down);
    let mut reached = 0;
    for _ in 0..20 {
        reached += u32::from(trouble(&world.ask(&token).await) == Trouble::Status);
    }
    assert_eq!(reached, 5);
    world.there.set_health(Health::Up);
    world.wait(2 * SECOND);
    active(world.ask(&token).await);
    active(world.ask(&token).await);
}

#[tokio::test]
async fn a_long_outage_costs_few_questions() {
    let world = World::new().await;
    world.there.answer_introspection(Some(Canned::status(503)));
    for _ in 0..600 {
        world.ask("token").await;
        world.wait(SECOND);
    }
    let asked = world.there.introspect_requests();
    assert!((5 + 600 / 31..=5 + 5 + 600 / 15).contains(&asked), "{asked}");
}

#[tokio::test]
async fn one_tokens_odd_answers_hold_nobody_else_back() {
    let world = World::new().await;
    let good = world.token();
    for canned in [Canned::status(400), Canned::status(403), Canned::ok(r#"{"active":7}"#)] {
        world.there.answer_introspection(Some(canned));
        for _ in 0..10 {
            assert_ne!(trouble(&world.ask("odd").await), Trouble::Spared);
        }
        world.there.answer_introspection(None);
        active(world.ask(&good).await);
        world.wait(Duration::from_mins(1));
    }
}

#[tokio::test]
async fn a_probe_that_nobody_waits_for_any_more_keeps_nobody_else_from_asking() {
    let world = World::new().await;
    let token = world.token();
    world.there.answer_introspection(Some(Canned::status(429).retry_after("10")));
    world.ask(&token).await;
    world.there.answer_introspection(None);
    world.wait(12 * SECOND);
    world.there.set_health(Health::Silent);
    let impatient = tokio::time::timeout(Duration::from_millis(50), world.ask(&token)).await;
    assert!(impatient.is_err(), "gave up");
    world.there.set_health(Health::Up);
    active(world.ask(&token).await);
}

#[tokio::test]
async fn a_flood_of_garbage_leaves_known_tokens_and_other_callers_their_part() {
    let world = World::new().await;
    let good = world.token();
    let mut asked = 0;
    for i in 0..1_000 {
        let told = world.ask_for("flood", &format!("{i:064x}")).await;
        asked += u32::from(told == Introspected::Inactive(Inactive::Unknown));
    }
    assert!((16..=17).contains(&asked), "{asked} were asked");
    for _ in 0..20 {
        active(world.ask(&good).await);
    }
    for second in 0..10 {
        active(world.ask_for("modest", &good).await);
        world.wait(SECOND);
        for i in 0..100 {
            world.ask_for("flood", &format!("{:064x}", second * 1_000 + i)).await;
        }
    }
}

#[tokio::test]
async fn the_identity_providers_own_limit_is_never_reached() {
    let world = World::new().await;
    for _ in 0..600 {
        for _ in 0..20 {
            world.idp.introspect("00", Lane::Known, world.now()).await;
            world.ask_for("a", "00").await;
        }
        world.wait(Duration::from_millis(100));
    }
    let asked = world.there.introspect_requests();
    assert!((270..=282).contains(&asked), "{asked} in a minute");
}

#[tokio::test]
async fn without_a_limit_there_is_none() {
    let world = World::with(|config| {
        config.introspection.url = Some(format!("{}/v1/introspect", config.issuers[0]));
        config.introspection.protocol = idp::Protocol::Rfc7662;
    })
    .await;
    world.there.answer_introspection(Some(Canned::ok(r#"{"active":false}"#)));
    for _ in 0..200 {
        assert_eq!(world.ask_for("a", "token").await, Introspected::Inactive(Inactive::Unknown));
    }
    assert_eq!(world.idp.introspection_state(world.now()).expect("it can be asked").budget, None);
}

#[tokio::test]
async fn what_is_asked_what_is_left_and_who_is_spared_is_measured() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let world = World::new().await;
    active(world.ask(&world.token()).await);
    world.ask("garbage").await;
    world.there.answer_introspection(Some(Canned::status(429).retry_after("60")));
    world.ask_for("a", "garbage").await;
    world.ask_for("a", "garbage").await;
    let text = handle.render();
    for line in [
        r#"idp_introspections{idp="idp",outcome="active"} 1"#,
        r#"idp_introspections{idp="idp",outcome="inactive"} 1"#,
        r#"idp_introspections{idp="idp",outcome="status"} 1"#,
        r#"idp_introspections{idp="idp",outcome="spared"} 1"#,
        r#"idp_introspection_count{idp="idp",outcome="active"} 1"#,
        r#"idp_introspection_count{idp="idp",outcome="status"} 1"#,
        r#"idp_introspection_breaker{idp="idp"} 2"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    let left = |lane: &str| {
        let start = format!(r#"idp_introspection_budget{{idp="idp",lane="{lane}"}} "#);
        let line = text.lines().find_map(|line| line.strip_prefix(&start)).expect("it is shown");
        line.parse::<f64>().expect("a number")
    };
    // Three of forty are gone, and the refill of a moment may be back.
    assert!((26.9..29.0).contains(&left("known")) && (17.9..20.0).contains(&left("unknown")), "{text}");
}
