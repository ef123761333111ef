use crate::*;
use idp::{NotRevoked, Revocation, Revoked};
use standins::{How, Odd};

async fn revoke(world: &World, refresh_token: &str, access_token: &str) -> Result<Revoked, NotRevoked> {
    let (refresh_token, access_token) = (Secret::new(refresh_token), Secret::new(access_token));
    let what = Revocation { refresh_token: Some(&refresh_token), access_token: Some(&access_token) };
    world.login().revoke(&what, world.now()).await
}

#[tokio::test]
async fn a_refresh_token_that_was_taken_back_is_no_more_and_may_be_taken_back_again() {
    let world = World::new().await;
    let tokens = world.log_in();
    for _ in 0..2 {
        let done = revoke(&world, &tokens.refresh_token, &tokens.access_token).await;
        assert_eq!(done, Ok(Revoked::RefreshToken));
    }
    assert!(!world.logins().is_live(&tokens.refresh_token));
    assert_eq!(class(world.refresh(&tokens.refresh_token).await), FailureClass::Terminal);
    assert_eq!(world.logins().requests(Endpoint::Revocation), 2);
}

#[tokio::test]
async fn where_refresh_tokens_are_not_taken_back_the_access_token_is() {
    let world = World::new().await;
    world.logins().answer_oddly([Odd::KeepsRefreshTokens]);
    let tokens = world.log_in();
    let done = revoke(&world, &tokens.refresh_token, &tokens.access_token).await;
    assert_eq!(done, Ok(Revoked::AccessToken));
    assert!(world.logins().is_live(&tokens.refresh_token));
}

#[tokio::test]
async fn what_is_unknown_there_is_as_good_as_taken_back() {
    let world = World::new().await;
    assert_eq!(revoke(&world, "garbage", "garbage").await, Ok(Revoked::RefreshToken));
    world.logins().fail_times(Endpoint::Revocation, Fault::before(How::Error(400, "invalid_token")), 1);
    assert_eq!(revoke(&world, "garbage", "garbage").await, Ok(Revoked::RefreshToken));
}

#[tokio::test]
async fn trouble_is_for_later_and_a_refusal_for_the_operator() {
    let world = World::new().await;
    let tokens = world.log_in();
    for (how, retry_after) in [
        (How::RetryAfter(503, 7), Some(Duration::from_secs(7))),
        (How::Status(503), None),
        (How::Status(429), None),
        (How::Reset, None),
    ] {
        world.wait(Duration::from_mins(2));
        world.logins().fail_times(Endpoint::Revocation, Fault::before(how.clone()), 1);
        let told = revoke(&world, &tokens.refresh_token, &tokens.access_token).await.expect_err("not now");
        assert_eq!((told.as_str(), told.retry_after()), ("later", retry_after), "{how:?}");
    }
    world.wait(Duration::from_mins(2));
    world.logins().fail_times(Endpoint::Revocation, Fault::before(How::Error(401, "invalid_client")), 1);
    let told = revoke(&world, &tokens.refresh_token, &tokens.access_token).await;
    assert_eq!(told, Err(NotRevoked::Refused { error: "invalid_client".into() }));
    assert!(world.logins().is_live(&tokens.refresh_token));
}
