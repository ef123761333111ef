//! Proving who asks, in every way there is.

use crate::{AT, World, active, config, trouble};
use account::Millis;
use idp::{
    ClientAuthMethod, Idp, IdpConfig, Inactive, Introspected, Lane, OpaqueTokens, Protocol, Secret, Trouble,
};
use jose::{Algorithm, SigningKey};
use jsonwebtoken::{DecodingKey, Validation, decode};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use testkit::{Authority, MutualTls};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

/// An id and a secret of the awkward kind.
const ID: &str = "high water:1";
const SECRET: &str = "p+ss=w&rd%:ä";

fn by_the_standard(config: &mut IdpConfig, url: String, client_auth: ClientAuthMethod) {
    let own = &mut config.introspection;
    (own.protocol, own.url, own.client_auth) = (Protocol::Rfc7662, Some(url), client_auth);
    (own.client_id, own.client_secret) = (Some(ID.to_owned()), Some(Secret::new(SECRET)));
}

async fn world(client_auth: ClientAuthMethod) -> World {
    World::with(|config| {
        let url = format!("{}/oauth2/introspect", config.issuers[0]);
        by_the_standard(config, url, client_auth);
    })
    .await
}

#[tokio::test]
async fn a_secret_is_known_again_from_the_header_and_from_the_form() {
    for client_auth in [ClientAuthMethod::Basic, ClientAuthMethod::Post] {
        let world = world(client_auth).await;
        world.there.register_client(ID, SECRET);
        let facts = active(world.ask(&world.token()).await);
        assert_eq!(
            (facts.subject.as_str(), facts.expires_at),
            ("ada", Some(Millis::from_seconds(AT + 21_600)))
        );
        assert_eq!(world.ask("garbage").await, Introspected::Inactive(Inactive::Unknown));
        let refresh = world.there.sign_in_for_refresh("ada").expect("signed up");
        assert_eq!(world.ask(&refresh).await, Introspected::Inactive(Inactive::OtherKind));
    }
}

#[tokio::test]
async fn whoever_is_not_known_to_it_is_in_trouble_and_the_token_is_not() {
    for client_auth in [ClientAuthMethod::None, ClientAuthMethod::Basic, ClientAuthMethod::Post] {
        let world = world(client_auth).await;
        world.there.register_client(ID, "another secret");
        assert_eq!(trouble(&world.ask(&world.token()).await), Trouble::Status, "{client_auth:?}");
    }
}

#[test]
fn a_place_to_introspect_is_all_that_an_identity_provider_needs() {
    let mut config = config("https://idp.example");
    assert!(Idp::new(&config).expect_err("nobody to ask").to_string().contains("introspection.url"));
    by_the_standard(&mut config, "https://idp.example/introspect".to_owned(), ClientAuthMethod::Basic);
    let idp = Idp::new(&config).expect("valid");
    assert!(idp.can_introspect() && !idp.can_be_asked());
    assert_eq!(idp.opaque_tokens(), OpaqueTokens::Any);
}

/// A file that is gone when this is dropped.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("idp-{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("written");
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The forms of all requests so far.
async fn forms(server: &MockServer) -> Vec<HashMap<String, String>> {
    let requests = server.received_requests().await.expect("recorded");
    let form = |body: &[u8]| outbound::form_urlencoded::parse(body).into_owned().collect();
    requests.iter().map(|request| form(&request.body)).collect()
}

#[tokio::test]
async fn what_is_signed_is_signed_anew_for_each_question_and_for_this_identity_provider_alone() {
    let key = SigningKey::generate(Algorithm::Es256).expect("a key").with_kid("k1");
    let file = File::new("client-key.json", &key.to_private_jwk().expect("a private key"));
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_json(serde_json::json!({"active": false})))
        .mount(&server)
        .await;
    let mut config = config("https://idp.example");
    by_the_standard(&mut config, format!("{}/introspect", server.uri()), ClientAuthMethod::PrivateKeyJwt);
    config.introspection.client_key = Some(file.0.clone());
    config.server_url = Some(server.uri());
    let idp = Idp::new(&config).expect("valid");
    for _ in 0..3 {
        let told = idp.introspect("the+token", Lane::Known, Millis::from_seconds(AT)).await;
        assert_eq!(told, Introspected::Inactive(Inactive::Unknown));
    }
    let jwk = serde_json::to_value(key.jwk()).expect("serializable");
    let number = |name: &str| jwk[name].as_str().expect("a text").to_owned();
    let verifying = DecodingKey::from_ec_components(&number("x"), &number("y")).expect("a point");
    let mut rules = Validation::new(jsonwebtoken::Algorithm::ES256);
    rules.set_audience(&["https://idp.example"]);
    rules.set_issuer(&[ID]);
    rules.sub = Some(ID.to_owned());
    rules.validate_exp = false;
    let mut names = HashSet::new();
    for form in forms(&server).await {
        assert_eq!((form["token"].as_str(), form["token_type_hint"].as_str()), ("the+token", "access_token"));
        assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        assert!(!form.contains_key("client_secret"));
        let proof = decode::<serde_json::Value>(&form["client_assertion"], &verifying, &rules).expect("good");
        assert_eq!(proof.header.kid.as_deref(), Some("k1"));
        assert_eq!((&proof.claims["iat"], &proof.claims["exp"]), (&AT.into(), &(AT + 60).into()));
        names.insert(proof.claims["jti"].as_str().expect("a text").to_owned());
    }
    assert_eq!(names.len(), 3);
}

#[tokio::test]
async fn a_certificate_is_shown_to_whoever_asks_for_it() {
    let authority = Authority::new();
    let server = MutualTls::start(&authority);
    let authorities = File::new("authorities.pem", &authority.certificate());
    let certificate = File::new("client.pem", &authority.papers("highwater").together());
    let mut config = config("https://idp.example");
    config.jwks_url = Some("https://idp.example/jwks".to_owned());
    by_the_standard(&mut config, server.url(), ClientAuthMethod::Tls);
    config.introspection.certificate_authorities = Some(authorities.0.clone());
    config.introspection.client_certificate = Some(certificate.0.clone());
    let told = Idp::new(&config).expect("valid").introspect("token", Lane::Known, Millis::ZERO).await;
    // It answers with nothing, but it answers.
    assert_eq!(trouble(&told), Trouble::Unreadable);
    assert!(!server.heard()[0].certificate.is_empty());
}

#[test]
fn what_cannot_be_read_is_named_and_shows_no_secret() {
    let refused = |client_auth, change: &dyn Fn(&mut IdpConfig)| {
        let mut config = config("https://idp.example");
        by_the_standard(&mut config, "https://idp.example/introspect".to_owned(), client_auth);
        config.server_url = Some("https://idp.example".to_owned());
        change(&mut config);
        Idp::new(&config).expect_err("refused").to_string()
    };
    let no_key = File::new("no-key.json", r#"{"kty":"oct","k":"c2VjcmV0"}"#);
    let error = refused(ClientAuthMethod::PrivateKeyJwt, &|config| {
        config.introspection.client_key = Some(no_key.0.clone());
    });
    assert!(error.contains("client_key") && !error.contains("c2VjcmV0"), "{error}");
    let error = refused(ClientAuthMethod::PrivateKeyJwt, &|config| {
        config.introspection.client_key = Some("/nowhere/key.json".into());
    });
    assert!(error.contains("/nowhere/key.json"), "{error}");
    let error = refused(ClientAuthMethod::Tls, &|config| {
        config.introspection.client_certificate = Some("/nowhere/client.pem".into());
    });
    assert!(error.contains("introspection.client_certificate"), "{error}");
    let error = refused(ClientAuthMethod::Basic, &|config| config.introspection.client_secret = None);
    assert!(error.contains("introspection.client_secret"), "{error}");
    let error =
        refused(ClientAuthMethod::None, &|config| config.introspection.url = Some("ftp://h".to_owned()));
    assert!(error.contains("introspection.url"), "{error}");
}
