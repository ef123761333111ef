//! Against an OpenID provider that others wrote: it rotates, ends the whole grant when a refresh token comes back, and tells
//! of logouts itself.

use super::api::Api;
use super::*;
use crate::upstream::LoginIdps;
use crate::worker::{look, revoke};
use http::StatusCode;
use idp::{IdpConfig, Idps, LoginConfig, Secret};
use outbound::header::{AUTHORIZATION, HeaderValue};
use outbound::{Answer, Client, Manners};
use serde_json::{Value, json};
use std::net::SocketAddr;
use store::testing::START;
use testkit::{OpenIdClient, OpenIdProvider};
use tokio::net::TcpListener;

/// A refresh token is due before this.
const LIFE: Duration = Duration::from_mins(1);

/// The provider, a node that keeps logins by it, and the way to its public listener.
struct World {
    provider: OpenIdProvider,
    house: House,
    life: Lifecycle,
    api: Api,
}

impl World {
    async fn on_each_engine() -> Vec<Self> {
        let mut worlds = Vec::new();
        for test in engines(TABLES).await {
            worlds.push(Self::over(test).await);
        }
        worlds
    }

    async fn over(test: TestStore) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let public = listener.local_addr().expect("an address");
        let provider = provider(public);
        let (store, clock) = (test.store.clone(), test.clock.clone());
        // The provider's clock is the machine's.
        clock.advance(Clock::system().now().since(START));
        let idps = idps(&provider);
        // As a node does at its start: where its keys are is known before it tells of anything.
        let login = idps.by_id(&main_idp()).and_then(|idp| idp.login()).expect("users log in there");
        login.authorization_endpoint().await.expect("it says where it is asked");
        let upstream = Arc::new(LoginIdps::of(idps));
        let settings = profile(crate::rules::Rotation::Always, 0);
        let (root, idle) = (RootKey::generate(), Pretender::new());
        let mut house = House::asking(upstream, settings, store, clock, root, idle);
        house.ledger.register_capabilities().await.expect("the store answers");
        house.inner().make_ready().await.expect("the store answers");
        house.lives().await;
        house.test = Some(test);
        let life = Lifecycle::new();
        let routes = crate::http::public_routes(house.inner()).split_for_parts().0;
        life.spawn_short(async move { axum::serve(listener, routes).await.expect("it serves") });
        let api = Api::of(&house, &[]);
        Self { provider, house, life, api }
    }

    /// Somebody logs in there, and the service brings what it got.
    async fn logs_in(&self, name: &str) -> (SessionId, testkit::Login) {
        let login = self.provider.sign_in("web", name, "openid offline_access email").await;
        // Whose login it is, and what it is called there, is said by its ID token; refreshes are held against that.
        let tokens = json!({
            "access_token": login.access_token, "refresh_token": login.refresh_token, "id_token": login.id_token,
            "expires_in": login.expires_in,
        });
        let new = json!({ "idp": "main", "tokens": tokens });
        let (status, made) = self.api.ask("POST", "/sessions", new).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        assert_eq!((&made["subject"], made["sid"].as_str()), (&json!(name), login.sid.as_deref()));
        (SessionId::parse(made["id"].as_str().expect("an id")).expect("an id"), login)
    }

    /// As a service gets it.
    async fn access_token(&self, session: &SessionId) -> String {
        let path = format!("/sessions/{session}/access-token");
        let (status, token) = self.api.ask("POST", &path, json!({})).await;
        assert_eq!(status, StatusCode::OK, "{token}");
        token["access_token"].as_str().expect("a token").to_owned()
    }

    /// Looks at everybody who is due, and what is known of the user of a session then.
    async fn looked_at(&self, session: &SessionId) -> Object {
        let inner = self.house.inner();
        for lane in inner.lanes.iter() {
            while look(Arc::clone(inner), Arc::clone(lane)).await == Tick::More {}
        }
        self.house.show(session).await.claims.userinfo.expect("the provider tells of its users")
    }

    /// What the provider tells whoever has that token.
    async fn user_info(&self, access_token: &str) -> Answer {
        let client = Client::for_operator_addresses(&Manners::default()).expect("a client");
        let url = self.provider.userinfo_endpoint().parse().expect("a URL");
        let bearer = HeaderValue::try_from(format!("Bearer {access_token}")).expect("a header");
        client.get(&url).header(AUTHORIZATION, bearer).send().await.expect("an answer")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.life.stop_now();
    }
}

fn provider(public: SocketAddr) -> OpenIdProvider {
    let client = OpenIdClient::basic("web", "s3cret");
    let told_at = format!("http://{public}/backchannel-logout/main");
    let clients = [client.told_of_logouts_at(&told_at)];
    OpenIdProvider::options().clients(clients).access_tokens_last(LIFE).start()
}

fn idps(provider: &OpenIdProvider) -> Idps {
    let mut config = IdpConfig::new(main_idp(), &provider.issuer(), "idp.example");
    let mut login = LoginConfig::new("web");
    login.client_secret = Some(Secret::new("s3cret"));
    config.login = Some(login);
    Idps::new(&[config]).expect("a good configuration")
}

#[tokio::test]
async fn a_login_is_refreshed_ten_times_and_taken_back_when_its_session_ends() {
    for world in World::on_each_engine().await {
        let (session, login) = world.logs_in("ada").await;
        let asked = world.provider.asked("/token").await;
        for generation in 1..=10 {
            world.house.passes(LIFE).await;
            assert_eq!(world.house.refresh().await, 1);
            assert_eq!(world.house.shown(&session).await, format!("live live g{generation} f0"));
        }
        assert_eq!(world.provider.asked("/token").await, asked + 10, "one POST each");
        let claims = world.house.show(&session).await.claims.id_token.expect("its ID tokens are good");
        assert_eq!((&claims["sub"], claims["sid"].as_str()), (&json!("ada"), login.sid.as_deref()));
        let user = world.looked_at(&session).await;
        assert_eq!((&user["sub"], &user["email"]), (&json!("ada"), &json!("ada@mail.example")));

        let access_token = world.access_token(&session).await;
        assert_ne!(access_token, login.access_token);
        let told: Value = world.user_info(&access_token).await.json().expect("JSON");
        assert_eq!((&told["sub"], &told["email"]), (&json!("ada"), &json!("ada@mail.example")));

        let ended = world.api.ask("POST", &format!("/sessions/{session}/end"), Value::Null).await;
        assert_eq!(ended.0, StatusCode::OK, "{}", ended.1);
        while revoke(Arc::clone(world.house.inner())).await == Tick::More {}
        assert_eq!(world.provider.asked("/token/revocation").await, 1);
        assert_eq!(world.user_info(&access_token).await.status(), StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn whoever_asks_for_a_refresh_gets_the_token_that_it_brought() {
    for world in World::on_each_engine().await {
        let (session, login) = world.logs_in("ada").await;
        world.house.passes(LIFE / 2).await;
        let (status, token) =
            world.api.ask("POST", &format!("/sessions/{session}/refresh"), Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{token}");
        let access_token = token["access_token"].as_str().expect("a token");
        assert_ne!(access_token, login.access_token);
        assert_eq!(world.user_info(access_token).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_grant_that_the_provider_has_ended_ends_its_session() {
    for world in World::on_each_engine().await {
        let (session, _) = world.logs_in("ada").await;
        world.provider.end_grants("ada").await;
        world.house.passes(LIFE).await;
        world.house.refresh().await;
        assert_eq!(world.house.shown(&session).await, "ended(refused_by_idp) ended(refused_by_idp) g0 f0");
    }
}

#[tokio::test]
async fn whoever_signs_out_there_is_signed_out_here_and_nobody_else_is() {
    for world in World::on_each_engine().await {
        let (first, login) = world.logs_in("ada").await;
        let (second, _) = world.logs_in("ada").await;
        let (other, _) = world.logs_in("eve").await;
        world.provider.sign_out(&login).await;
        let ended = "ended(back_channel_logout) ended(back_channel_logout) g0 f0";
        assert_eq!(world.house.shown(&first).await, ended, "{}", world.provider.log());
        for session in [&second, &other] {
            assert_eq!(world.house.shown(session).await, "live live g0 f0");
        }
    }
}
