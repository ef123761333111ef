use crate::*;
use idp::{Against, Mismatch, Unusable};
use standins::{How, Odd, Rotation};

#[tokio::test]
async fn a_login_is_refreshed_ten_times_and_each_refresh_token_is_presented_once() {
    let world = World::new().await;
    let mut token = world.log_in().refresh_token;
    for _ in 0..10 {
        let granted = world.refresh(&token).await.expect("granted");
        assert!(is_verified(&granted));
        assert_eq!(granted.tokens.expires_in, Some(Duration::from_hours(1)));
        token = replaced(&granted).to_owned();
    }
    let logins = world.logins();
    assert_eq!((logins.most_presented(), logins.reuses_detected()), (1, 0));
    assert!(logins.is_live(&token));
    assert_eq!(logins.requests(Endpoint::Token), 10);
    assert_eq!(logins.requests(Endpoint::Discovery), 1);
    assert_eq!(logins.requests(Endpoint::Jwks), 1);
}

#[tokio::test]
async fn the_grants_own_word_is_heard_however_it_rotates() {
    for rotation in [Rotation::Never, Rotation::Every(2), Rotation::Grace(Duration::from_secs(30))] {
        let world = World::new().await;
        world.logins().rotate(rotation);
        let mut token = world.log_in().refresh_token;
        for _ in 0..4 {
            token = replaced(&world.refresh(&token).await.expect("granted")).to_owned();
        }
        assert_eq!(world.logins().reuses_detected(), 0, "{rotation:?}");
    }
}

#[tokio::test]
async fn what_an_answer_leaves_out_is_not_missed() {
    let world = World::new().await;
    world.logins().rotate(Rotation::Never);
    world.logins().answer_oddly([Odd::NoRefreshToken, Odd::NoIdToken, Odd::NoExpiresIn]);
    let granted = world.refresh(&world.log_in().refresh_token).await.expect("granted");
    assert_eq!((granted.tokens.refresh_token, granted.tokens.expires_in), (None, None));
    assert_eq!(granted.id_token, IdToken::Absent);
}

#[tokio::test]
async fn a_lifetime_may_be_a_text() {
    let world = World::new().await;
    world.logins().answer_oddly([Odd::ExpiresInAsText]);
    let granted = world.refresh(&world.log_in().refresh_token).await.expect("granted");
    assert_eq!(granted.tokens.expires_in, Some(Duration::from_hours(1)));
}

#[tokio::test]
async fn tokens_of_somebody_else_are_told_from_those_whose_proof_is_bad() {
    let world = World::new().await;
    for (odd, expected) in [
        (Odd::OtherSubject, IdToken::Mismatch(Mismatch::Subject)),
        (Odd::OtherIssuer, IdToken::Mismatch(Mismatch::Issuer)),
        (Odd::OtherAudience, IdToken::Mismatch(Mismatch::Audience)),
        (Odd::BadSignature, IdToken::Unusable(Unusable::Signature)),
    ] {
        world.logins().answer_oddly([odd]);
        let granted = world.refresh(&world.log_in().refresh_token).await.expect("the tokens are there");
        assert_eq!(granted.id_token, expected, "{odd:?}");
    }
    assert_eq!(world.login().state(world.now()).last_error.expect("it was noted").class, "mismatch");
}

#[tokio::test]
async fn when_the_keys_cannot_be_had_the_tokens_are_kept_and_the_proof_is_looked_at_later() {
    let world = World::new().await;
    world.logins().fail(Endpoint::Jwks, Some(Fault::before(How::Status(503))));
    let granted = world.refresh(&world.log_in().refresh_token).await.expect("granted");
    assert!(matches!(granted.id_token, IdToken::NotNow { .. }), "{:?}", granted.id_token);
    assert!(world.logins().is_live(replaced(&granted)));
    world.logins().fail(Endpoint::Jwks, None);
    // Another process, or this one a few seconds later: the keys are not fetched more often than configured.
    let later = known_as(&world.there.url(), |_| ());
    let login = later.login().expect("configured");
    let (original, tokens) = (original(), &granted.tokens);
    let id_token = tokens.id_token.as_ref().expect("it came");
    let against = Against::Original(&original);
    let told = login.verify_id_token(id_token, &tokens.access_token, against, world.now()).await;
    let IdToken::Verified(claims) = told else { panic!("{told:?}") };
    assert_eq!((&*claims.subject, claims.auth_time), ("ada", Some(Millis::from_seconds(AT))));
}

#[tokio::test]
async fn a_key_that_is_new_there_is_fetched() {
    let world = World::new().await;
    world.there.rotate_keys();
    world.there.withdraw_old_keys();
    let granted = world.refresh(&world.log_in().refresh_token).await.expect("granted");
    assert!(is_verified(&granted));
}

#[tokio::test]
async fn a_clock_that_differs_too_much_spoils_the_id_token_and_nothing_else() {
    let world = World::new().await;
    let token = world.log_in().refresh_token;
    let (refresh_token, original) = (Secret::new(token), original());
    let priority = Priority::Waited;
    let ask = Refresh { refresh_token: &refresh_token, original: &original, dpop: None, priority };
    let behind = world.now().minus(Duration::from_mins(10));
    let granted = world.login().refresh(&ask, behind).await.expect("granted");
    assert_eq!(granted.id_token, IdToken::Unusable(Unusable::Time));
}
