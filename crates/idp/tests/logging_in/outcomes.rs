use crate::*;
use FailureClass::{Ambiguous, KnownFailed, Misconfigured, Terminal, Throttled};
use standins::How;

#[tokio::test]
async fn each_thing_that_goes_wrong_has_its_class_and_is_tried_once() {
    let world = World::with(|login| login.timeout = Duration::from_millis(400)).await;
    let (before, after) = (Fault::before, Fault::after);
    for (fault, expected) in [
        (before(How::Error(400, "invalid_grant")), Terminal),
        (before(How::Error(400, "invalid_client")), Misconfigured),
        (before(How::Error(401, "invalid_client")), Misconfigured),
        (before(How::Error(400, "unauthorized_client")), Misconfigured),
        (before(How::Error(400, "unsupported_grant_type")), Misconfigured),
        (before(How::Error(400, "invalid_request")), Misconfigured),
        (before(How::Error(400, "invalid_scope")), Misconfigured),
        (before(How::Error(400, "something_new")), KnownFailed),
        (before(How::Html(403)), KnownFailed),
        (before(How::Status(408)), Ambiguous),
        (before(How::RetryAfter(429, 7)), Throttled),
        (before(How::RetryAt(429, 7)), Throttled),
        (before(How::Status(429)), Throttled),
        (before(How::RetryAfter(503, 7)), Throttled),
        (before(How::Status(503)), KnownFailed),
        (before(How::Status(500)), Ambiguous),
        (after(How::Status(500)), Ambiguous),
        (before(How::Status(502)), Ambiguous),
        (before(How::Status(504)), Ambiguous),
        (before(How::Hang), Ambiguous),
        (after(How::Hang), Ambiguous),
        (after(How::Drip(Duration::from_millis(50))), Ambiguous),
        (before(How::Reset), Ambiguous),
        (after(How::Reset), Ambiguous),
        (after(How::Truncate), Ambiguous),
        (after(How::Html(200)), Ambiguous),
        (before(How::Html(200)), Ambiguous),
    ] {
        let token = world.log_in().refresh_token;
        // Long enough for whatever the last one asked for.
        world.wait(Duration::from_hours(1));
        let told = failure(world.refresh_while(fault.clone(), &token).await);
        assert_eq!(told.class, expected, "{fault:?}: {told}");
        assert_eq!(world.logins().presentations(&token), 1, "{fault:?}");
        let is_used_up = fault.when == standins::When::After;
        assert_eq!(world.logins().is_live(&token), !is_used_up, "{fault:?}");
    }
    assert_eq!(world.logins().most_presented(), 1);
}

#[tokio::test]
async fn nobody_there_used_nothing_up() {
    let world = World::new().await;
    let token = world.log_in().refresh_token;
    world.refresh(&token).await.expect("the endpoints are known now");
    let there = world.there;
    drop(there);
    let (refresh_token, original) = (Secret::new(token), original());
    let priority = Priority::Background;
    let ask = Refresh { refresh_token: &refresh_token, original: &original, dpop: None, priority };
    let now = Millis::from_seconds(AT);
    let told = failure(world.idp.login().expect("configured").refresh(&ask, now).await);
    assert!(matches!(told.class, KnownFailed | Ambiguous), "a kept connection may have been closed: {told}");
    let told = failure(world.idp.login().expect("configured").refresh(&ask, now).await);
    assert_eq!(told.class, KnownFailed, "{told}");
}

#[tokio::test]
async fn a_refresh_token_that_came_back_ends_the_grant() {
    let world = World::new().await;
    let first = world.log_in().refresh_token;
    let granted = world.refresh(&first).await.expect("granted");
    let told = failure(world.refresh(&first).await);
    assert_eq!((told.class, told.error.as_deref()), (Terminal, Some("invalid_grant")));
    assert_eq!(world.logins().reuses_detected(), 1);
    assert_eq!(class(world.refresh(replaced(&granted)).await), Terminal);
}

#[tokio::test]
async fn a_pause_that_is_asked_for_is_told_in_seconds_and_by_date() {
    let world = World::new().await;
    for how in [How::RetryAfter(429, 7), How::RetryAt(429, 7), How::RetryAfter(503, 7)] {
        world.wait(Duration::from_hours(1));
        let told =
            failure(world.refresh_while(Fault::before(how.clone()), &world.log_in().refresh_token).await);
        assert_eq!(told.retry_after, Some(Duration::from_secs(7)), "{how:?}");
    }
    world.wait(Duration::from_hours(1));
    let told =
        failure(world.refresh_while(Fault::before(How::Status(429)), &world.log_in().refresh_token).await);
    assert_eq!(told.retry_after, Some(Duration::from_secs(10)), "without a time it is ten seconds");
}

#[tokio::test]
async fn what_went_wrong_is_kept_with_its_time_and_tells_no_secret() {
    let world = World::new().await;
    assert_eq!(world.login().state(world.now()).last_error, None);
    let token = world.log_in().refresh_token;
    let told = failure(world.refresh_while(Fault::before(How::Error(401, "invalid_client")), &token).await);
    let last = world.login().state(world.now()).last_error.expect("it was noted");
    assert_eq!((last.class, last.is_over), ("misconfigured", false));
    assert!(last.at >= world.now());
    assert!(last.text.contains("401 Unauthorized: invalid_client"), "{}", last.text);
    assert!(!format!("{told:?} {last:?}").contains(&token));
    world.refresh(&token).await.expect("granted");
    assert!(world.login().state(world.now()).last_error.expect("it is kept").is_over);
}
