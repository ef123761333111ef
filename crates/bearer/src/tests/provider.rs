//! An OpenID provider that others wrote gives the tokens out, looks into them and revokes them.

use super::*;
use crate::AccountSettings;
use idp::{ClientAuthMethod, Protocol, Secret};
use ledger::Tail;
use outbound::header::{AUTHORIZATION, HeaderValue};
use outbound::{Client, Manners, Url};
use std::path::PathBuf;
use testkit::{Login, OpenIdClient, OpenIdProvider};

/// An id and a secret of the awkward kind.
const APP: &str = "app+1";
const APP_SECRET: &str = "s3cret:/%&";
const RESOURCE: &str = "https://api.example";

/// The house in front of a provider that knows two clients: one whose users sign in, and the house itself.
struct World {
    provider: OpenIdProvider,
    house: House,
    tail: Tail,
    /// Keeps the house's private key.
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        Self::proving(ClientAuthMethod::Basic, |_, _| {}).await
    }

    async fn proving(method: ClientAuthMethod, change: impl FnOnce(&mut Settings, &OpenIdProvider)) -> Self {
        Self::with_secret(method, "the house's", change).await
    }

    /// The house proves who it is by that method; with a secret, by this one.
    async fn with_secret(
        method: ClientAuthMethod,
        secret: &str,
        change: impl FnOnce(&mut Settings, &OpenIdProvider),
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = SigningKey::generate(Algorithm::Es256).expect("a key").with_kid("house");
        let private = key.to_private_jwk().expect("a private key");
        let known = match method {
            ClientAuthMethod::Post => OpenIdClient::post("house", "the house's"),
            ClientAuthMethod::PrivateKeyJwt => OpenIdClient::private_key_jwt("house", &private),
            _ => OpenIdClient::basic("house", "the house's"),
        };
        let provider = OpenIdProvider::start([OpenIdClient::basic(APP, APP_SECRET), known]);
        let file = folder.path().join("key.json");
        std::fs::write(&file, &*private).expect("the folder is ours");
        let idps = idps(&provider, method, secret, file);
        let test = store::testing::sqlite(TABLES).await;
        let upstream = MockServer::start().await;
        let house = House::asking(Asking::Introspect, (idps, key, upstream), test, |settings, _| {
            change(settings, &provider);
        })
        .await;
        // The provider's clock is the machine's.
        house.clock.advance(Clock::system().now().since(START));
        let tail = house.inner().follower.begin().await;
        Self { provider, house, tail, _folder: folder }
    }

    async fn sign_in(&self, account: &str) -> Login {
        self.provider.sign_in(APP, account, "openid email read").await
    }

    /// As nginx asks, of a GET of that path.
    async fn asks(&self, token: &str, path: &str) -> Answer {
        let authorization = format!("Bearer {token}");
        let said =
            [("x-original-method", "GET"), ("x-original-uri", path), ("authorization", &*authorization)];
        self.house.verify("/verify", &said).await
    }

    async fn code(&self, token: &str) -> (u16, String) {
        self.asks(token, "/").await.code()
    }

    /// The user's password is changed, and this node hears of it.
    async fn password_changed(&mut self, account: &str) {
        let now = Clock::system().now();
        // Whatever was given out so far was given out in a second before.
        let later = now.plus(Duration::from_secs(2));
        self.house.clock.advance(later.since(self.house.clock.now()));
        self.house.happens(account, later, Change::PasswordChange).await;
        assert!(self.house.inner().follower.turn(&mut self.tail).await);
    }

    /// The client whose users sign in asks the provider something.
    async fn app_asks(&self, url: &str, form: &[(&str, &str)]) -> outbound::Answer {
        let client = Client::for_operator_addresses(&Manners::default()).expect("a client");
        let url: Url = url.parse().expect("a URL");
        let basic = HeaderValue::from_static("Basic YXBwJTJCMTpzM2NyZXQlM0ElMkYlMjUlMjY=");
        client.post_form(&url, form).header(AUTHORIZATION, basic).send().await.expect("an answer")
    }

    async fn revoke(&self, token: &str) {
        let answer = self.app_asks(&self.provider.revocation_endpoint(), &[("token", token)]).await;
        assert_eq!(answer.status(), 200, "{}", self.provider.log());
    }

    async fn questions(&self) -> u64 {
        self.provider.asked("/token/introspection").await
    }
}

fn idps(provider: &OpenIdProvider, method: ClientAuthMethod, secret: &str, key: PathBuf) -> Idps {
    let id = IdpId::new("main").expect("valid");
    let mut config = IdpConfig::new(id, &provider.issuer(), "accounts.example");
    config.jwks_url = Some(provider.jwks_endpoint());
    let own = &mut config.introspection;
    (own.protocol, own.url) = (Protocol::Rfc7662, Some(provider.introspection_endpoint()));
    (own.client_auth, own.client_id) = (method, Some("house".to_owned()));
    (own.client_secret, own.client_key) = (Some(Secret::new(secret)), Some(key));
    Idps::new(&[config]).expect("valid")
}

#[tokio::test]
async fn an_opaque_token_is_looked_into_once_however_the_house_proves_who_asks() {
    for method in [ClientAuthMethod::Basic, ClientAuthMethod::Post, ClientAuthMethod::PrivateKeyJwt] {
        let world = World::proving(method, |_, _| {}).await;
        let login = world.sign_in("ada").await;
        for _ in 0..3 {
            let answer = world.asks(&login.access_token, "/").await;
            assert_eq!(answer.status, StatusCode::OK, "{method:?}: {answer:?} {}", world.provider.log());
            let told = ["subject", "client-id", "scope"]
                .map(|it| answer.header(&format!("x-highwater-{it}")).to_owned());
            assert_eq!(told, ["ada", APP, "openid email read"]);
        }
        assert_eq!(world.questions().await, 1, "{method:?}");
    }
}

#[tokio::test]
async fn a_jwt_is_verified_by_the_published_keys_and_nobody_is_asked() {
    let world = World::new().await;
    let login = world.provider.sign_in_for(APP, "ada", "read", RESOURCE).await;
    let answer = world.asks(&login.access_token, "/").await;
    assert_eq!((answer.status, answer.header("x-highwater-subject")), (StatusCode::OK, "ada"), "{answer:?}");
    let (signed, _) = login.access_token.rsplit_once('.').expect("three parts");
    let forged = format!("{signed}.{}", "A".repeat(86));
    assert_eq!(world.code(&forged).await, refused(401, "token_invalid"));
    assert_eq!(world.questions().await, 0);
}

#[tokio::test]
async fn what_is_no_access_token_of_a_user_is_refused() {
    let world = World::new().await;
    let login = world.sign_in("ada").await;
    let own = world.app_asks(&world.provider.token_endpoint(), &[("grant_type", "client_credentials")]).await;
    let own: Value = own.json().expect("a token");
    let id_token = login.id_token.clone().expect("openid was asked for");
    for (what, token) in [
        ("a refresh token", login.refresh_token.as_str()),
        ("a client's own", own["access_token"].as_str().expect("a token")),
        ("an ID token", &id_token),
        ("made up", "gar-bage"),
    ] {
        assert_eq!(world.code(token).await.0, 401, "{what}");
    }
}

#[tokio::test]
async fn a_wrong_secret_is_the_operators_matter_and_no_fault_of_clients() {
    for method in [ClientAuthMethod::Basic, ClientAuthMethod::Post] {
        let world = World::with_secret(method, "another", |_, _| {}).await;
        let login = world.sign_in("ada").await;
        let answer = world.asks(&login.access_token, "/").await;
        assert_eq!(answer.header("x-highwater-status"), "503", "{method:?}: {answer:?}");
        assert_eq!(answer.json()["error_code"], "check_unavailable");
        assert!(!answer.header("retry-after").is_empty() && answer.header("www-authenticate").is_empty());
    }
}

#[tokio::test]
async fn a_revoked_token_is_refused_as_soon_as_a_route_will_not_count_on_memory() {
    let world = World::proving(ClientAuthMethod::Basic, |settings, _| {
        let routes = json!([{ "path": "/now", "max_age_seconds": 0 }, { "path": "/soon", "max_age_seconds": 5 }, { "path": "/" }]);
        settings.policy.routes = serde_json::from_value(routes).expect("routes");
    })
    .await;
    let (first, second) = (world.sign_in("ada").await, world.sign_in("ada").await);
    for login in [&first, &second] {
        assert_eq!(world.asks(&login.access_token, "/").await.status, StatusCode::OK);
        world.revoke(&login.access_token).await;
    }
    assert_eq!(world.asks(&first.access_token, "/").await.status, StatusCode::OK, "it is remembered");
    assert_eq!(world.asks(&first.access_token, "/now").await.code(), refused(401, "token_inactive"));
    assert_eq!(world.code(&first.access_token).await, refused(401, "token_inactive"), "and that is, too");
    world.house.clock.advance(Duration::from_secs(6));
    assert_eq!(world.asks(&second.access_token, "/").await.status, StatusCode::OK, "it is remembered");
    assert_eq!(world.asks(&second.access_token, "/soon").await.code(), refused(401, "token_inactive"));
}

#[tokio::test]
async fn a_change_of_the_account_refuses_what_is_remembered_at_once() {
    let mut world = World::new().await;
    let (old, other) = (world.sign_in("ada").await, world.sign_in("eve").await);
    for login in [&old, &other] {
        assert_eq!(world.asks(&login.access_token, "/").await.status, StatusCode::OK);
    }
    world.provider.end_grants("ada").await;
    assert_eq!(world.asks(&old.access_token, "/").await.status, StatusCode::OK, "nobody has told");
    world.password_changed("ada").await;
    assert_eq!(world.code(&old.access_token).await, refused(401, "token_inactive"));
    assert_eq!(world.asks(&other.access_token, "/").await.status, StatusCode::OK);
    assert_eq!(world.questions().await, 3, "only whose account changed is asked about again");
}

#[tokio::test]
async fn a_token_that_the_provider_lets_live_is_good_where_its_word_counts_and_refused_where_changes_end_all()
{
    let mut lenient = World::new().await;
    let mut strict = World::proving(ClientAuthMethod::Basic, |settings, _| {
        settings.policy.after_change = serde_json::from_value(json!({ "main": "reject" })).expect("a choice");
    })
    .await;
    for (world, expected) in [(&mut lenient, refused(200, "")), (&mut strict, refused(401, "token_ended"))] {
        let login = world.sign_in("ada").await;
        assert_eq!(world.asks(&login.access_token, "/").await.status, StatusCode::OK);
        world.password_changed("ada").await;
        assert_eq!(world.code(&login.access_token).await, expected);
    }
}

/// It does not look into JWTs. What only its word could save has ended.
#[tokio::test]
async fn a_jwt_from_before_a_change_is_refused_where_the_provider_will_not_look_into_it() {
    let mut world = World::new().await;
    let login = world.provider.sign_in_for(APP, "ada", "read", RESOURCE).await;
    assert_eq!(world.asks(&login.access_token, "/").await.status, StatusCode::OK);
    world.password_changed("ada").await;
    for _ in 0..2 {
        assert_eq!(world.code(&login.access_token).await, refused(401, "token_ended"));
    }
}

#[tokio::test]
async fn an_account_is_created_by_what_the_provider_tells_of_its_user() {
    let world = World::proving(ClientAuthMethod::Basic, |settings, provider| {
        settings.accounts = Some(AccountSettings {
            scope: "read".to_owned(),
            profile_url: provider.userinfo_endpoint(),
            profile_timeout_seconds: 10,
            required: true,
        });
    })
    .await;
    let login = world.sign_in("ada").await;
    assert_eq!(world.code(&login.access_token).await, refused(403, "no_account"));
    assert_eq!(world.house.accept_terms(&login.access_token).await.status, StatusCode::CREATED);
    assert_eq!(world.asks(&login.access_token, "/").await.status, StatusCode::OK);
    assert_eq!(world.house.local("ada").await.json()["email"], "ada@mail.example");
    let shy = world.provider.sign_in(APP, "eve", "openid read").await;
    let answer = world.house.accept_terms(&shy.access_token).await;
    assert_eq!(answer.code(), refused(403, "insufficient_scope"), "no address was granted");
}
