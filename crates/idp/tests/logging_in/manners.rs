use crate::*;
use idp::HeldBack;
use standins::{How, Odd};

fn held(told: Result<Granted, NotGranted>) -> HeldBack {
    match told {
        Err(NotGranted::HeldBack(held)) => held,
        other => panic!("not held back: {other:?}"),
    }
}

#[tokio::test]
async fn whoever_asks_for_a_pause_has_it_and_then_one_finds_out() {
    let world = World::new().await;
    world.logins().answer_oddly([Odd::NoIdToken]);
    let tokens: Vec<_> = (0..50).map(|_| world.log_in().refresh_token).collect();
    let told = failure(world.refresh_while(Fault::before(How::RetryAfter(503, 30)), &tokens[0]).await);
    assert_eq!(told.class, FailureClass::Throttled);
    for token in &tokens {
        assert!(matches!(held(world.refresh(token).await), HeldBack::Spared { .. }));
    }
    assert_eq!(world.logins().requests(Endpoint::Token), 1);
    assert_eq!(world.login().state(world.now()).room, 0);
    world.wait(Duration::from_secs(29));
    assert!(matches!(held(world.refresh(&tokens[0]).await), HeldBack::Spared { .. }));
    world.wait(Duration::from_secs(2));
    assert_eq!(world.login().state(world.now()).room, 1, "one, to find out");
    let told = futures::future::join_all(tokens.iter().map(|token| world.refresh(token))).await;
    assert!(told.iter().any(Result::is_ok));
    assert_eq!(world.login().state(world.now()).breaker, "closed");
    assert_eq!(world.logins().reuses_detected(), 0);
}

#[tokio::test]
async fn one_that_fails_and_fails_is_spared_and_no_token_is_presented() {
    let world = World::new().await;
    world.logins().fail(Endpoint::Token, Some(Fault::before(How::Status(503))));
    let tokens: Vec<_> = (0..20).map(|_| world.log_in().refresh_token).collect();
    let mut told = Vec::new();
    for token in &tokens {
        told.push(world.refresh(token).await.is_err_and(|error| matches!(error, NotGranted::HeldBack(_))));
    }
    assert_eq!(told.iter().filter(|is_held| **is_held).count(), 15);
    assert_eq!(world.logins().requests(Endpoint::Token), 5);
    assert!(tokens.iter().all(|token| world.logins().is_live(token)));
}

#[tokio::test]
async fn grants_that_are_over_say_nothing_about_the_identity_provider() {
    let world = World::new().await;
    for _ in 0..20 {
        assert_eq!(class(world.refresh("never given out").await), FailureClass::Terminal);
    }
    assert_eq!(world.login().state(world.now()).breaker, "closed");
}

#[tokio::test]
async fn one_that_does_not_know_us_is_not_asked_on_and_on() {
    let world = World::with(|login| login.client_secret = Some(Secret::new("outdated"))).await;
    let token = world.log_in().refresh_token;
    for _ in 0..5 {
        assert_eq!(class(world.refresh(&token).await), FailureClass::Misconfigured);
    }
    assert!(matches!(held(world.refresh(&token).await), HeldBack::Spared { .. }));
    assert!(world.logins().is_live(&token));
}

#[tokio::test]
async fn no_more_are_sent_than_the_rate_allows() {
    let world = World::with(|login| login.requests_per_second = Some(8)).await;
    let tokens: Vec<_> = (0..12).map(|_| world.log_in().refresh_token).collect();
    let told = futures::future::join_all(tokens.iter().map(|token| world.refresh(token))).await;
    assert_eq!(told.iter().filter(|told| told.is_ok()).count(), 6, "a quarter is kept for those who wait");
    assert_eq!(world.logins().requests(Endpoint::Token), 6);
    assert_eq!(world.logins().most_presented(), 1);
}

#[tokio::test]
async fn a_request_that_is_given_up_makes_room() {
    let world = World::with(|login| login.max_in_flight = 4).await;
    world.refresh(&world.log_in().refresh_token).await.expect("granted");
    world.logins().fail(Endpoint::Token, Some(Fault::before(How::Hang)));
    let token = world.log_in().refresh_token;
    let given_up = tokio::time::timeout(Duration::from_millis(100), world.refresh(&token)).await;
    assert!(given_up.is_err());
    assert_eq!(world.login().state(world.now()).in_flight, 0);
}
