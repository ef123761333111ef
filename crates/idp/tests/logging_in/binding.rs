use crate::*;
use idp::{CodeExchange, DpopKey, UserInfoAsk, UserInfoError};
use standins::Authorization;

/// A login whose tokens are bound to a key.
async fn bound(world: &World, key: &DpopKey) -> Granted {
    let asked = Authorization {
        client_id: "web".to_owned(),
        redirect_uri: "https://web.example/callback".to_owned(),
        subject: "ada".to_owned(),
        scope: "openid offline_access".to_owned(),
        ..Authorization::default()
    };
    let code = Secret::new(world.logins().authorize(&asked).expect("a code"));
    let redirect_uri = Some("https://web.example/callback");
    let ask = CodeExchange { code: &code, code_verifier: None, redirect_uri, nonce: None, dpop: Some(key) };
    world.login().exchange_code(&ask, world.now()).await.expect("granted")
}

async fn refresh(world: &World, granted: &Granted, key: Option<&DpopKey>) -> Result<Granted, NotGranted> {
    let refresh_token = granted.tokens.refresh_token.as_ref().expect("it came");
    let original = original();
    let priority = Priority::Background;
    let ask = Refresh { refresh_token, original: &original, dpop: key, priority };
    world.login().refresh(&ask, world.now()).await
}

#[tokio::test]
async fn bound_tokens_are_good_with_their_key_and_with_no_other() {
    let world = World::with(|login| login.dpop = true).await;
    assert!(world.login().binds_tokens());
    let (key, other) = (DpopKey::generate().expect("a key"), DpopKey::generate().expect("a key"));
    let granted = bound(&world, &key).await;
    assert_eq!(&*granted.tokens.token_type, "DPoP");
    assert_eq!(class(refresh(&world, &granted, None).await), FailureClass::Terminal);
    assert_eq!(class(refresh(&world, &granted, Some(&other)).await), FailureClass::Terminal);
    let kept = DpopKey::from_secret(&key.to_secret().expect("exported")).expect("imported");
    let granted = refresh(&world, &granted, Some(&kept)).await.expect("granted");
    for (key, is_told) in [(Some(&key), true), (Some(&other), false), (None, false)] {
        let access_token = &granted.tokens.access_token;
        let ask = UserInfoAsk { access_token, subject: "ada", dpop: key, priority: Priority::Waited };
        match world.login().userinfo(&ask, world.now()).await {
            Ok(_) => assert!(is_told),
            Err(error) => assert_eq!((is_told, error), (false, UserInfoError::TokenRefused)),
        }
    }
}

#[tokio::test]
async fn a_nonce_that_is_wanted_is_the_one_reason_for_a_second_post() {
    let world = World::new().await;
    let key = DpopKey::generate().expect("a key");
    let granted = bound(&world, &key).await;
    world.logins().want_nonce(Some("n-1"));
    let asked = world.logins().requests(Endpoint::Token);
    let granted = refresh(&world, &granted, Some(&key)).await.expect("granted");
    assert_eq!(world.logins().requests(Endpoint::Token), asked + 2);
    let granted = refresh(&world, &granted, Some(&key)).await.expect("granted");
    assert_eq!(world.logins().requests(Endpoint::Token), asked + 3, "it is known from then on");
    world.logins().want_nonce(Some("n-2"));
    refresh(&world, &granted, Some(&key)).await.expect("granted");
    assert_eq!((world.logins().requests(Endpoint::Token), world.logins().reuses_detected()), (asked + 5, 0));
}
