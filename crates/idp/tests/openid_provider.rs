//! Logins kept at an OpenID provider that others wrote: it rotates refresh tokens, detects reuse, and tells of logouts.

use account::{IdpId, Millis};
use idp::{
    Against, FailureClass, IdToken, IdTokenClaims, Idp, IdpConfig, Login, LoginConfig, NotGranted, Original,
    Priority, Refresh, Revocation, Revoked, Secret, UserInfoAsk,
};
use outbound::form_urlencoded;
use testkit::{OpenIdClient, OpenIdProvider};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

/// The provider, one client of it, and a login of Ada's.
struct World {
    provider: OpenIdProvider,
    idp: Idp,
    login: testkit::Login,
    now: Millis,
}

impl World {
    async fn new(client: OpenIdClient, change: impl FnOnce(&mut LoginConfig)) -> Self {
        let provider = OpenIdProvider::start([client]);
        let mut config = IdpConfig::new(IdpId::new("idp").expect("valid"), &provider.issuer(), "idp.example");
        let mut own = LoginConfig::new("web");
        own.client_secret = Some(Secret::new("s3cret"));
        change(&mut own);
        config.login = Some(own);
        let idp = Idp::new(&config).expect("a good configuration");
        let login = provider.sign_in("web", "ada", "openid offline_access email profile").await;
        // Its clock is the machine's, and a minute is allowed for: the tests' now is when Ada signed in.
        let now = issued_at(login.id_token.as_ref().expect("openid was asked for"));
        Self { provider, idp, login, now }
    }

    async fn with_a_secret() -> Self {
        Self::new(OpenIdClient::basic("web", "s3cret"), |_| ()).await
    }

    fn ours(&self) -> &Login {
        self.idp.login().expect("configured")
    }

    /// What its ID token said at the login.
    async fn claims(&self) -> IdTokenClaims {
        self.ours().authorization_endpoint().await.expect("discovered");
        let id_token = Secret::new(self.login.id_token.clone().expect("openid was asked for"));
        let access_token = Secret::new(&*self.login.access_token);
        let against = Against::Login { nonce: None };
        match self.ours().verify_id_token(&id_token, &access_token, against, self.now).await {
            IdToken::Verified(claims) => *claims,
            other => panic!("{other:?}"),
        }
    }

    async fn refresh(&self, token: &Secret, original: &Original) -> Result<idp::Granted, NotGranted> {
        let ask = Refresh { refresh_token: token, original, dpop: None, priority: Priority::Background };
        self.ours().refresh(&ask, self.now).await
    }
}

/// The `iat` of a token that is not verified yet.
fn issued_at(token: &str) -> Millis {
    let payload = jose::Compact::split(token).and_then(|token| token.payload()).expect("a JWT");
    let claims: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
    Millis::from_seconds(claims["iat"].as_i64().expect("seconds"))
}

#[tokio::test]
async fn a_login_is_refreshed_ten_times_and_then_taken_back() {
    let world = World::with_a_secret().await;
    let original = world.claims().await.original();
    let (mut token, asked) = (Secret::new(&*world.login.refresh_token), world.provider.asked("/token").await);
    let mut access_token = Secret::new(&*world.login.access_token);
    for _ in 0..10 {
        let granted = world.refresh(&token, &original).await.expect("granted");
        assert!(matches!(granted.id_token, IdToken::Verified(_)), "{:?}", granted.id_token);
        let next = granted.tokens.refresh_token.expect("it rotates");
        assert_ne!(next, token);
        (token, access_token) = (next, granted.tokens.access_token);
    }
    assert_eq!(world.provider.asked("/token").await, asked + 10, "one POST each");
    let what = Revocation { refresh_token: Some(&token), access_token: Some(&access_token) };
    for _ in 0..2 {
        assert_eq!(world.ours().revoke(&what, world.now).await, Ok(Revoked::RefreshToken));
    }
    let over = world.refresh(&token, &original).await;
    assert!(
        matches!(&over, Err(NotGranted::Failed(failure)) if failure.class == FailureClass::Terminal),
        "{over:?}"
    );
}

#[tokio::test]
async fn a_token_that_comes_back_ends_the_grant_there() {
    let world = World::with_a_secret().await;
    let original = world.claims().await.original();
    let first = Secret::new(&*world.login.refresh_token);
    let granted = world.refresh(&first, &original).await.expect("granted");
    for token in [&first, granted.tokens.refresh_token.as_ref().expect("it rotates")] {
        let over = world.refresh(token, &original).await;
        assert!(
            matches!(&over, Err(NotGranted::Failed(failure)) if failure.class == FailureClass::Terminal),
            "{over:?}"
        );
    }
}

#[tokio::test]
async fn it_says_who_the_user_is() {
    let world = World::with_a_secret().await;
    let access_token = Secret::new(&*world.login.access_token);
    let ask = |subject| UserInfoAsk {
        access_token: &access_token,
        subject,
        dpop: None,
        priority: Priority::Waited,
    };
    let told = world.ours().userinfo(&ask("ada"), world.now).await.expect("told");
    assert_eq!((&told["email"], &told["name"]), (&"ada@mail.example".into(), &"Called ada".into()));
    let other = world.ours().userinfo(&ask("eve"), world.now).await;
    assert_eq!(other, Err(idp::UserInfoError::OtherSubject));
}

#[tokio::test]
async fn its_word_that_the_user_signed_out_is_believed() {
    let listener = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&listener).await;
    let client = OpenIdClient::basic("web", "s3cret").told_of_logouts_at(&listener.uri());
    let world = World::new(client, |_| ()).await;
    let claims = world.claims().await;
    world.provider.sign_out(&world.login).await;
    let told = listener.received_requests().await.expect("recorded");
    let [request] = told.as_slice() else { panic!("told {} times", told.len()) };
    let (name, token) = form_urlencoded::parse(&request.body).next().expect("a form");
    assert_eq!(name, "logout_token");
    let logout = world.ours().verify_logout_token(&token, world.now).await.expect("good");
    assert_eq!((&logout.sid, logout.subject.as_deref()), (&claims.sid, Some("ada")));
    assert_eq!(logout.sid.as_deref(), world.login.sid.as_deref());
}

#[tokio::test]
async fn it_takes_a_signature_and_a_form_for_a_proof_too() {
    use std::io::Write;
    let key = jose::SigningKey::generate(jose::Algorithm::Es256).expect("a key");
    let json = key.to_private_jwk().expect("exported");
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(json.as_bytes()).expect("written");
    let signing = World::new(OpenIdClient::private_key_jwt("web", &json), |login| {
        login.client_secret = None;
        login.client_key = Some(file.path().to_owned());
    })
    .await;
    let posting = World::new(OpenIdClient::post("web", "s3cret"), |login| {
        login.client_auth = Some(idp::ClientAuthMethod::Post);
    })
    .await;
    for world in [signing, posting] {
        let original = world.claims().await.original();
        let token = Secret::new(&*world.login.refresh_token);
        assert!(world.refresh(&token, &original).await.is_ok());
    }
}
