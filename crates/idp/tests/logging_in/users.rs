use crate::*;
use idp::{UserInfo, UserInfoAsk, UserInfoError};
use standins::{How, Odd};

async fn userinfo(world: &World, access_token: &str) -> Result<UserInfo, UserInfoError> {
    let access_token = Secret::new(access_token);
    let priority = Priority::Background;
    let ask = UserInfoAsk { access_token: &access_token, subject: "ada", dpop: None, priority };
    world.login().userinfo(&ask, world.now()).await
}

#[tokio::test]
async fn it_says_who_the_user_is_as_json_or_signed() {
    let world = World::new().await;
    let token = world.log_in().access_token;
    for odds in [vec![], vec![Odd::UserInfoAsJwt]] {
        world.logins().answer_oddly(odds);
        let told = userinfo(&world, &token).await.expect("told");
        assert_eq!((&told["sub"], &told["email"]), (&"ada".into(), &"ada@mail.example".into()));
    }
}

#[tokio::test]
async fn what_is_about_another_user_is_not_used() {
    let world = World::new().await;
    let token = world.log_in().access_token;
    for odds in [vec![Odd::UserInfoOfAnother], vec![Odd::UserInfoOfAnother, Odd::UserInfoAsJwt]] {
        world.logins().answer_oddly(odds);
        assert_eq!(userinfo(&world, &token).await, Err(UserInfoError::OtherSubject));
    }
    assert_eq!(world.login().state(world.now()).last_error.expect("noted").class, "mismatch");
}

#[tokio::test]
async fn a_token_that_is_refused_is_told_from_trouble() {
    let world = World::new().await;
    let token = world.log_in().access_token;
    assert_eq!(userinfo(&world, "garbage").await, Err(UserInfoError::TokenRefused));
    assert!(matches!(userinfo(&world, "gar\nbage").await, Err(UserInfoError::TokenRefused)));
    for (how, expected) in [
        (How::Status(401), "token_refused"),
        (How::Status(403), "forbidden"),
        (How::Status(500), "unavailable"),
        (How::RetryAfter(429, 7), "unavailable"),
        (How::Reset, "unavailable"),
        (How::Html(200), "unusable"),
        (How::Truncate, "unavailable"),
    ] {
        world.wait(Duration::from_mins(2));
        world.logins().fail_times(Endpoint::UserInfo, Fault::before(how.clone()), 1);
        let error = userinfo(&world, &token).await.expect_err("it went wrong");
        assert_eq!(error.as_str(), expected, "{how:?}: {error}");
    }
    world.wait(Duration::from_mins(2));
    userinfo(&world, &token).await.expect("told");
}

#[tokio::test]
async fn trouble_there_holds_no_refresh_back() {
    let world = World::new().await;
    let tokens = world.log_in();
    world.logins().fail(Endpoint::UserInfo, Some(Fault::before(How::RetryAfter(503, 60))));
    assert!(userinfo(&world, &tokens.access_token).await.is_err());
    let held = userinfo(&world, &tokens.access_token).await;
    assert!(matches!(held, Err(UserInfoError::HeldBack(_))), "{held:?}");
    assert_eq!(world.logins().requests(Endpoint::UserInfo), 1);
    world.refresh(&tokens.refresh_token).await.expect("granted");
}
