//! The real router in process, on a real store of each engine, with tokens signed by a real key.

mod admin;
mod adopting;
mod buckets;
mod draining;
mod errors;
mod events;
mod exchange;
mod flood;
mod health;
mod observed;
mod odd;
mod parallel;
mod purging;
mod rotating;
mod services;
mod shedding;

use crate::rules::{NodeUrl, ServiceName};
use crate::store::{AddNode, Added, NodeChange};
use crate::{MIGRATIONS, Secret, Settings, Tokenserver, capability};
use account::IdpId;
use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::ConnectInfo;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt;
use idp::{IdpConfig, Idps};
use jose::{Algorithm, SigningKey};
use keys::RootKey;
use ledger::{Capability, Ledger, Tombstones};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use store::testing::{START, TestStore};
use store::{Clock, Store};
use tower::ServiceExt;
use verify::Verifier;
use work::Lifecycle;

fn sync() -> ServiceName {
    ServiceName::default()
}

const TABLES: &[&[store::Migration]] = &[ledger::MIGRATIONS, MIGRATIONS];
const DOMAIN: &str = "accounts.example";
const ISSUER: &str = "https://accounts.example";
const SCOPE: &str = "https://identity.mozilla.com/apps/oldsync";
const SYNC: &str = "/1.0/sync/1.5";
/// The key id of most requests here: keys changed at 1234, client state `aaaa`.
const KEY_ID: &str = "0000000001234-qqo";

/// A Tokenserver on a store, with an identity provider whose key is at hand.
struct House {
    store: Store,
    public: Router,
    admin: Router,
    server: Arc<Tokenserver>,
    ledger: Ledger,
    key: SigningKey,
    /// Keeps the store's files.
    test: Option<TestStore>,
}

/// What a token says besides whose it is; each is left out when null.
fn claims(subject: &str, generation: impl Into<Value>) -> Value {
    json!({
        "iss": ISSUER, "sub": subject, "client_id": "5882386c6d801776", "scope": SCOPE,
        "iat": START.seconds(), "exp": START.seconds() + 3600, "fxa-generation": generation.into(),
    })
}

fn settings() -> Settings {
    Settings { master_secret: Secret::new("secret0"), ..Settings::default() }
}

fn idp(key: &SigningKey, server_url: Option<&str>) -> Idps {
    let mut config = IdpConfig::new(IdpId::new("main").expect("valid"), ISSUER, DOMAIN);
    config.primary_jwk = Some(key.jwk().clone());
    config.fetch_keys = false;
    config.server_url = server_url.map(str::to_owned);
    Idps::new(&[config]).expect("valid")
}

impl House {
    /// One on each engine, with one node.
    async fn on_each_engine() -> [Self; 2] {
        let [sqlite, postgres] = store::testing::engines(TABLES).await;
        [Self::over(sqlite, settings()).await, Self::over(postgres, settings()).await]
    }

    /// One on SQLite, with one node.
    async fn new(settings: Settings) -> Self {
        Self::over(store::testing::sqlite(TABLES).await, settings).await
    }

    async fn over(test: TestStore, settings: Settings) -> Self {
        let mut house = Self::without_nodes(test.store.clone(), &settings, None);
        house.add_node("https://node.example", 1000).await;
        house.ledger.register_capabilities().await.expect("the store answers");
        house.test = Some(test);
        house
    }

    fn without_nodes(store: Store, settings: &Settings, server_url: Option<&str>) -> Self {
        let key = SigningKey::generate(Algorithm::EdDsa).expect("a key").with_kid("k");
        let idps = idp(&key, server_url);
        let tombstones = Tombstones::new(&RootKey::generate(), Duration::ZERO);
        let verifier = Verifier::new(idps.clone(), &verify::Settings::default());
        let tokenserver = Tokenserver::new(
            settings.clone(),
            store.clone(),
            idps.clone(),
            verifier,
            &tombstones,
            &Lifecycle::new(),
        );
        let server = tokenserver.expect("settings that work");
        let Capability { public, admin, consequence, .. } =
            capability(&store, idps, Some(settings), Some(Arc::clone(&server)));
        let consequences = consequence.into_iter().collect();
        Self {
            ledger: Ledger::new(store.clone(), tombstones, consequences),
            public: public.split_for_parts().0,
            admin: admin.split_for_parts().0,
            server,
            store,
            key,
            test: None,
        }
    }

    async fn add_node(&self, url: &str, capacity: i64) {
        let node = NodeUrl::parse(url).expect("a node");
        let add =
            AddNode { service: sync(), node, capacity, available: capacity, rest: NodeChange::default() };
        let added = self.store.run(add).await.expect("the store answers");
        assert!(matches!(added, Added::New(_)));
    }

    /// What an operators' route answers.
    async fn json_of(&self, path: &str) -> Value {
        admin::ask(self, Method::GET, path, &Value::Null).await.json()
    }

    fn token(&self, claims: &Value) -> String {
        let mut claims = claims.clone();
        claims.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        self.key.sign_claims("at+jwt", &claims).expect("signed")
    }

    /// The headers of a good request.
    fn headers(
        &self,
        subject: &str,
        generation: impl Into<Value>,
        key_id: &str,
    ) -> Vec<(&'static str, String)> {
        let token = self.token(&claims(subject, generation));
        vec![("authorization", format!("Bearer {token}")), ("x-keyid", key_id.to_owned())]
    }

    async fn exchange(&self, subject: &str, generation: impl Into<Value>, key_id: &str) -> Answer {
        self.get(SYNC, &self.headers(subject, generation, key_id)).await
    }

    async fn get(&self, path: &str, headers: &[(&'static str, String)]) -> Answer {
        self.ask(Method::GET, path, headers).await
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&'static str, String)]) -> Answer {
        self.ask_from(None, method, path, headers).await
    }

    /// From a client at that address.
    async fn ask_from(
        &self,
        address: Option<&str>,
        method: Method,
        path: &str,
        headers: &[(&'static str, String)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).body(Body::empty()).expect("a request");
        if let Some(address) = address {
            let peer = SocketAddr::new(address.parse().expect("an address"), 4711);
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
            request.headers_mut().append(HeaderName::from_static(name), value);
        }
        answer(&self.public, request).await
    }
}

async fn answer(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.expect("a router answers");
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("the body is whole").to_bytes();
    Answer {
        status: head.status,
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).expect("UTF-8"),
    }
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    fn uid(&self) -> i64 {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self.json()["uid"].as_i64().expect("an integer")
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// An error in one line: code, status, location, name, description.
    fn refusal(&self) -> String {
        let body = self.json();
        let error = &body["errors"][0];
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        assert_eq!(self.header("content-type"), "application/json");
        format!(
            "{} {} | {} | {} | {}",
            self.status.as_u16(),
            text(&body["status"]),
            text(&error["location"]),
            text(&error["name"]),
            text(&error["description"])
        )
    }
}
