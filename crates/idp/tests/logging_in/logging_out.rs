use crate::*;
use idp::{LogoutToken, LogoutTokenError};
use serde_json::{Value, json};
use standins::How;

async fn heard(world: &World, token: &str) -> Result<LogoutToken, LogoutTokenError> {
    // In the process that serves, this is done in the background.
    world.login().authorization_endpoint().await.expect("discovered");
    world.login().verify_logout_token(token, world.now()).await
}

async fn heard_with(world: &World, typ: &str, change: Value) -> Result<LogoutToken, LogoutTokenError> {
    let mut claims = world.logins().logout_claims("web", Some("ada"), Some("s-1"));
    claims.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
    claims.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
    heard(world, &world.there.sign(typ, &claims)).await
}

#[tokio::test]
async fn a_logout_token_says_who_has_signed_out() {
    let world = World::new().await;
    for (subject, sid) in [(Some("ada"), Some("s-1")), (Some("ada"), None), (None, Some("s-1"))] {
        let told = heard(&world, &world.logins().logout_token("web", subject, sid)).await.expect("good");
        assert_eq!((told.subject.as_deref(), told.sid.as_deref()), (subject, sid));
        assert_eq!(told.forget_at, world.now().plus(Duration::from_mins(3)));
        assert!(!told.jti.is_empty());
    }
}

#[tokio::test]
async fn whatever_is_not_quite_one_is_refused() {
    const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
    let world = World::new().await;
    assert!(heard_with(&world, "JWT", json!({})).await.is_ok());
    assert!(
        heard_with(&world, "application/LOGOUT+jwt", json!({ "events": { EVENT: {}, "other": 1 } }))
            .await
            .is_ok()
    );
    for (typ, change, why) in [
        ("at+jwt", json!({}), "typ"),
        ("logout+jwt", json!({ "iss": "https://other.example" }), "iss"),
        ("logout+jwt", json!({ "iss": null }), "iss"),
        ("logout+jwt", json!({ "aud": "other" }), "aud"),
        ("logout+jwt", json!({ "aud": ["other"] }), "aud"),
        ("logout+jwt", json!({ "events": null }), "event"),
        ("logout+jwt", json!({ "events": { "other": {} } }), "event"),
        ("logout+jwt", json!({ "events": { EVENT: true } }), "event"),
        ("logout+jwt", json!({ "nonce": "n" }), "nonce"),
        ("logout+jwt", json!({ "iat": null }), "iat"),
        ("logout+jwt", json!({ "exp": null }), "exp"),
        ("logout+jwt", json!({ "iat": AT + 61 }), "future"),
        ("logout+jwt", json!({ "exp": AT - 60 }), "over"),
        ("logout+jwt", json!({ "sub": null, "sid": null }), "neither"),
        ("logout+jwt", json!({ "jti": null }), "jti"),
        ("logout+jwt", json!({ "jti": "j".repeat(257) }), "jti"),
    ] {
        let error = heard_with(&world, typ, change.clone()).await.expect_err("refused");
        assert!(
            matches!(&error, LogoutTokenError::Invalid(text) if text.contains(why)),
            "{typ} {change}: {error}"
        );
    }
}

#[tokio::test]
async fn an_id_token_is_no_logout_token_and_nothing_unsigned_is_one() {
    let world = World::new().await;
    let id_token = world.log_in().id_token.expect("it came");
    assert!(matches!(heard(&world, &id_token).await, Err(LogoutTokenError::Invalid(_))));
    let good = world.logins().logout_token("web", Some("ada"), None);
    let (signed, _) = good.rsplit_once('.').expect("three parts");
    let (_, signature) = id_token.rsplit_once('.').expect("three parts");
    let (_, claims) = signed.split_once('.').expect("two parts");
    for forged in [
        format!("{signed}.{signature}"),
        format!("{signed}.AA"),
        format!("{signed}."),
        // {"alg":"none"}
        format!("eyJhbGciOiJub25lIn0.{claims}.AA"),
        format!("eyJhbGciOiJub25lIn0.{claims}."),
        "a.b".to_owned(),
    ] {
        assert!(matches!(heard(&world, &forged).await, Err(LogoutTokenError::Invalid(_))), "{forged}");
    }
}

#[tokio::test]
async fn only_the_algorithms_of_this_identity_provider_are_believed() {
    let world = World::with(|login| login.signing_algorithms = vec!["ES256".to_owned()]).await;
    let token = world.logins().logout_token("web", Some("ada"), None);
    let told = heard(&world, &token).await;
    assert!(matches!(told, Err(LogoutTokenError::Invalid(text)) if text.contains("algorithm")), "{told:?}");
}

#[tokio::test]
async fn without_keys_it_is_trouble_and_no_refusal() {
    let world = World::new().await;
    world.logins().fail(Endpoint::Jwks, Some(Fault::before(How::Status(503))));
    let token = world.logins().logout_token("web", Some("ada"), None);
    assert!(matches!(heard(&world, &token).await, Err(LogoutTokenError::Unavailable { .. })));
}
