use crate::*;
use idp::{CodeExchange, Mismatch};
use standins::{Authorization, How};

/// The verifier and its challenge of RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn authorization() -> Authorization {
    Authorization {
        client_id: "web".to_owned(),
        redirect_uri: "https://web.example/callback".to_owned(),
        subject: "ada".to_owned(),
        scope: "openid offline_access".to_owned(),
        state: None,
        nonce: Some("n-1".to_owned()),
        code_challenge: Some(CHALLENGE.to_owned()),
    }
}

async fn exchange(world: &World, code: &str, verifier: &str, nonce: &str) -> Result<Granted, NotGranted> {
    let (code, verifier) = (Secret::new(code), Secret::new(verifier));
    let ask = CodeExchange {
        code: &code,
        code_verifier: Some(&verifier),
        redirect_uri: Some("https://web.example/callback"),
        nonce: Some(nonce),
        dpop: None,
    };
    world.login().exchange_code(&ask, world.now()).await
}

#[tokio::test]
async fn a_code_becomes_tokens_and_says_who_has_logged_in() {
    let world = World::new().await;
    let code = world.logins().authorize(&authorization()).expect("a code");
    let granted = exchange(&world, &code, VERIFIER, "n-1").await.expect("granted");
    let IdToken::Verified(claims) = &granted.id_token else { panic!("{:?}", granted.id_token) };
    assert_eq!((&*claims.subject, &*claims.audience[0]), ("ada", "web"));
    assert!(claims.sid.is_some());
    let kept = claims.original();
    let refresh_token = granted.tokens.refresh_token.expect("it came");
    let priority = Priority::Background;
    let ask = Refresh { refresh_token: &refresh_token, original: &kept, dpop: None, priority };
    assert!(is_verified(&world.login().refresh(&ask, world.now()).await.expect("granted")));
}

#[tokio::test]
async fn a_code_is_good_once_and_with_its_verifier() {
    let world = World::new().await;
    let code = world.logins().authorize(&authorization()).expect("a code");
    let other = "another-verifier-that-is-long-enough-to-be-one";
    assert_eq!(class(exchange(&world, &code, other, "n-1").await), FailureClass::Terminal);
    let granted = exchange(&world, &code, VERIFIER, "n-1").await.expect("granted");
    assert_eq!(class(exchange(&world, &code, VERIFIER, "n-1").await), FailureClass::Terminal);
    assert!(!world.logins().is_live(replaced(&granted)), "what came of it is over");
}

#[tokio::test]
async fn somebody_elses_login_is_noticed_by_its_nonce() {
    let world = World::new().await;
    let code = world.logins().authorize(&authorization()).expect("a code");
    let granted = exchange(&world, &code, VERIFIER, "n-2").await.expect("granted");
    assert_eq!(granted.id_token, IdToken::Mismatch(Mismatch::Nonce));
}

#[tokio::test]
async fn a_code_whose_fate_is_not_known_is_said_to_be_so() {
    let world = World::new().await;
    let code = world.logins().authorize(&authorization()).expect("a code");
    world.logins().fail_times(Endpoint::Token, Fault::after(How::Reset), 1);
    assert_eq!(class(exchange(&world, &code, VERIFIER, "n-1").await), FailureClass::Ambiguous);
    assert_eq!(world.logins().requests(Endpoint::Token), 1);
}
