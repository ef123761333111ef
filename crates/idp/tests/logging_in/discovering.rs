use crate::*;
use standins::How;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn while_it_does_not_say_where_to_ask_nothing_is_used_up() {
    let world = World::new().await;
    world.logins().fail(Endpoint::Discovery, Some(Fault::before(How::RetryAfter(503, 3))));
    let token = world.log_in().refresh_token;
    let told = failure(world.refresh(&token).await);
    assert_eq!((told.class, told.retry_after), (FailureClass::KnownFailed, Some(Duration::from_secs(3))));
    assert_eq!(failure(world.refresh(&token).await).class, FailureClass::KnownFailed);
    assert_eq!(world.logins().requests(Endpoint::Discovery), 1, "not asked again at once");
    assert_eq!(world.logins().presentations(&token), 0);
    assert!(!world.login().state(world.now()).is_discovered);
}

#[tokio::test]
async fn what_it_said_last_counts_while_it_says_nothing() {
    let world = World::new().await;
    let token = world.log_in().refresh_token;
    let granted = world.refresh(&token).await.expect("granted");
    world.logins().fail(Endpoint::Discovery, Some(Fault::before(How::Reset)));
    assert!(world.refresh(replaced(&granted)).await.is_ok());
    assert!(world.login().state(world.now()).is_discovered);
}

#[tokio::test]
async fn all_who_wait_share_one_question() {
    let world = World::new().await;
    let tokens: Vec<_> = (0..20).map(|_| world.log_in().refresh_token).collect();
    let told = futures::future::join_all(tokens.iter().map(|token| world.refresh(token))).await;
    assert!(told.iter().all(Result::is_ok));
    assert_eq!(world.logins().requests(Endpoint::Discovery), 1);
}

#[tokio::test]
async fn endpoints_that_are_configured_are_not_asked_for() {
    let world = World::new().await;
    let url = world.there.url();
    let mut config = config(&url, |login| login.token_url = Some(format!("{url}/oauth2/token")));
    config.jwks_url = Some(format!("{url}/oauth2/jwks"));
    let idp = Idp::new(&config).expect("a good configuration");
    let login = idp.login().expect("configured");
    let (refresh_token, original) = (Secret::new(world.log_in().refresh_token), original());
    let priority = Priority::Waited;
    let ask = Refresh { refresh_token: &refresh_token, original: &original, dpop: None, priority };
    let granted = login.refresh(&ask, world.now()).await.expect("granted");
    assert!(is_verified(&granted));
    assert_eq!(world.logins().requests(Endpoint::Discovery), 0);
}

#[tokio::test]
async fn one_that_claims_to_be_another_is_not_believed() {
    let world = World::new().await;
    let url = world.there.url();
    let idp = known_as("https://other.example", |login| {
        login.discovery_url = Some(format!("{url}/.well-known/openid-configuration"));
    });
    let (refresh_token, original) = (Secret::new(world.log_in().refresh_token), original());
    let priority = Priority::Waited;
    let ask = Refresh { refresh_token: &refresh_token, original: &original, dpop: None, priority };
    let told = failure(idp.login().expect("configured").refresh(&ask, world.now()).await);
    assert!(told.text.contains("its issuer is another"), "{told}");
    assert_eq!(world.logins().presentations(refresh_token.reveal()), 0);
}

#[tokio::test]
async fn in_the_background_endpoints_and_keys_are_fetched_before_anybody_asks() {
    let world = World::new().await;
    let stop = CancellationToken::new();
    let idp = Arc::new(world.idp);
    let fetched = async {
        while idp.keys().keys().is_empty() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    tokio::join!(Arc::clone(&idp).keep_fresh(stop.clone()), fetched);
    assert!(idp.login().expect("configured").state(Millis::ZERO).is_discovered);
    assert_eq!(world.there.logins().requests(Endpoint::Discovery), 1);
}
