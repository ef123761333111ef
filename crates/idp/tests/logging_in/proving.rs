use crate::*;
use idp::ClientAuthMethod;
use jose::{Algorithm, SigningKey};
use standins::ClientProof;
use std::io::Write;

async fn refreshes(proof: ClientProof, change: impl FnOnce(&mut LoginConfig)) -> Result<Granted, NotGranted> {
    let world = World::with(change).await;
    world.logins().register(LoginClient::new("web", "s3cret").proving(proof));
    let token = world.log_in().refresh_token;
    let told = world.refresh(&token).await;
    assert_eq!(world.logins().presentations(&token), 1, "no other way is tried");
    told
}

#[tokio::test]
async fn a_client_proves_itself_as_configured_and_tries_nothing_else() {
    let secret = || "s3cret".to_owned();
    assert!(refreshes(ClientProof::Basic(secret()), |_| ()).await.is_ok());
    let by_post = |login: &mut LoginConfig| login.client_auth = Some(ClientAuthMethod::Post);
    assert!(refreshes(ClientProof::Post(secret()), by_post).await.is_ok());
    let public = |login: &mut LoginConfig| login.client_secret = None;
    assert!(refreshes(ClientProof::None, public).await.is_ok());
    for told in [
        refreshes(ClientProof::Post(secret()), |_| ()).await,
        refreshes(ClientProof::Basic(secret()), by_post).await,
        refreshes(ClientProof::Basic(secret()), public).await,
    ] {
        assert_eq!(class(told), FailureClass::Misconfigured);
    }
}

#[tokio::test]
async fn a_client_with_a_key_signs_who_it_is_anew_each_time() {
    let key = SigningKey::generate(Algorithm::Es256).expect("a key");
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(key.to_private_jwk().expect("exported").as_bytes()).expect("written");
    let world = World::with(|login| {
        login.client_secret = None;
        login.client_key = Some(file.path().to_owned());
    })
    .await;
    let public = serde_json::to_value(key.jwk()).expect("serializable");
    world.logins().register(LoginClient::new("web", "").proving(ClientProof::Key(public)));
    let mut token = world.log_in().refresh_token;
    for _ in 0..3 {
        token = replaced(&world.refresh(&token).await.expect("granted")).to_owned();
    }
    let stranger = SigningKey::generate(Algorithm::Es256).expect("a key");
    let other = serde_json::to_value(stranger.jwk()).expect("serializable");
    world.logins().register(LoginClient::new("web", "").proving(ClientProof::Key(other)));
    assert_eq!(class(world.refresh(&token).await), FailureClass::Misconfigured);
    assert!(world.logins().is_live(&token));
}
