//! The real routers in process, on a real store of each engine, with tokens signed by a real key.

mod asking_by_grpc;
mod following;
mod fronts;
mod introspecting;
mod opening;
mod provider;
mod proxies;
mod sharing;

use crate::capability::Inner;
use crate::{AccountSettings, Bearer, Ledgered, MIGRATIONS, STATEMENTS, Settings};
use account::{AccountEvent, AccountId, Change, IdpId, Millis, Subject};
use axum::body::Body;
use axum::{Extension, Router};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use idp::{IdpConfig, Idps};
use jose::{Algorithm, SigningKey};
use keys::{Caller, Listener, RootKey};
use ledger::{Capability, Ledger, Received, SourceId, Tombstones};
use serde_json::{Value, json};
use std::time::Duration;
use store::testing::{START, TestStore};
use store::{Clock, Store};
use tower::ServiceExt;
use verify::{Asking, Options, Verifier};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const TABLES: &[&[store::Migration]] = &[ledger::MIGRATIONS, MIGRATIONS];
const ISSUER: &str = "https://accounts.example";
const SCOPE: &str = "https://identity.mozilla.com/apps/relay";

#[tokio::test]
async fn every_statement_is_taken_by_both_engines() {
    store::testing::prepare_all(TABLES, STATEMENTS).await;
}

/// The capability on a store, with an identity provider whose key is at hand and whose answers can be told.
struct House {
    bearer: Bearer,
    public: Router,
    service: Router,
    admin: Router,
    ledger: Ledger,
    store: Store,
    clock: Clock,
    key: SigningKey,
    upstream: MockServer,
    /// Keeps the store's files.
    _test: TestStore,
}

impl House {
    async fn on_each_engine() -> [Self; 2] {
        let [sqlite, postgres] = store::testing::engines(TABLES).await;
        [Self::over(sqlite, |_| ()).await, Self::over(postgres, |_| ()).await]
    }

    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::over(store::testing::sqlite(TABLES).await, change).await
    }

    /// With accounts that are created at their first use, and needed.
    async fn with_accounts() -> Self {
        let upstream = MockServer::start().await;
        Self::before(upstream, store::testing::sqlite(TABLES).await, needs_accounts).await
    }

    async fn over(test: TestStore, change: impl FnOnce(&mut Settings)) -> Self {
        Self::before(MockServer::start().await, test, |settings, _| change(settings)).await
    }

    async fn before(
        upstream: MockServer,
        test: TestStore,
        change: impl FnOnce(&mut Settings, &MockServer),
    ) -> Self {
        let key = SigningKey::generate(Algorithm::EdDsa).expect("a key").with_kid("k");
        let idps = idps(&key, &upstream.uri());
        Self::asking(Asking::Verify, (idps, key, upstream), test, change).await
    }

    async fn asking(
        asking: Asking,
        (idps, key, upstream): (Idps, SigningKey, MockServer),
        test: TestStore,
        change: impl FnOnce(&mut Settings, &MockServer),
    ) -> Self {
        let mut settings = Settings::default();
        settings.policy.routes = serde_json::from_value(json!([{ "path": "/{*any}" }])).expect("a route");
        change(&mut settings, &upstream);
        let (store, clock) = (test.store.clone(), test.clock.clone());
        let tombstones = Tombstones::new(&RootKey::generate(), Duration::ZERO);
        let records = Ledgered::new(store.clone(), tombstones.clone());
        let options =
            Options { asking, records: Some(std::sync::Arc::new(records.clone())), ..Options::default() };
        let verifier = Verifier::with(idps.clone(), &verify::Settings::default(), options);
        let bearer =
            Bearer::new(settings, store.clone(), idps, verifier, records).expect("settings that work");
        let Capability { public, service, admin, consequence, .. } = bearer.capability();
        let ledger = Ledger::new(store.clone(), tombstones, consequence.into_iter().collect());
        ledger.register_capabilities().await.expect("the store answers");
        Self {
            public: public.split_for_parts().0,
            service: service.split_for_parts().0,
            admin: admin.split_for_parts().0,
            bearer,
            ledger,
            store,
            clock,
            key,
            upstream,
            _test: test,
        }
    }

    fn inner(&self) -> &Inner {
        &self.bearer.0
    }

    /// A token of an account that was given out in that second.
    fn token(&self, subject: &str, issued_at: i64) -> String {
        self.token_with(&json!({ "sub": subject, "iat": issued_at }))
    }

    fn token_with(&self, claims: &Value) -> String {
        let mut whole = json!({
            "iss": ISSUER, "client_id": "5882386c6d801776", "scope": format!("profile {SCOPE}"),
            "exp": START.seconds() + 3_600,
        });
        whole.as_object_mut().expect("an object").extend(claims.as_object().expect("an object").clone());
        self.key.sign_claims("at+jwt", &whole).expect("signed")
    }

    /// Something happens to an account, and this node takes it in.
    async fn happens(&self, subject: &str, at: Millis, change: Change) {
        self.happens_at(&self.ledger, subject, at, change).await;
    }

    /// Another node takes it in, and this one does not hear of it yet.
    async fn happens_elsewhere(&self, subject: &str, at: Millis, change: Change) {
        let elsewhere = Ledger::new(self.store.clone(), self.ledger.tombstones().clone(), Vec::new());
        self.happens_at(&elsewhere, subject, at, change).await;
    }

    async fn happens_at(&self, ledger: &Ledger, subject: &str, at: Millis, change: Change) {
        let source = SourceId::new("test");
        let event = AccountEvent { account: account(subject), at: Some(at), change };
        let message_id = format!("{subject} {} {:?}", at.get(), event.change.kind());
        ledger.apply(Received { source, message_id, event }).await.expect("the store answers");
        while ledger.clone().place().await == work::Tick::More {}
    }

    /// Asks as a proxy does.
    async fn verify(&self, route: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::get(route);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.service(&["verify"], request.body(Body::empty()).expect("a request")).await
    }

    /// Asks as nginx does, of a GET of `/`.
    async fn passes(&self, token: &str) -> Answer {
        let authorization = format!("Bearer {token}");
        let said =
            [("x-original-method", "GET"), ("x-original-uri", "/"), ("authorization", &*authorization)];
        self.verify("/verify", &said).await
    }

    /// Asks on the service listener, as a caller that has passed its guard.
    async fn service(&self, scopes: &[&str], request: Request<Body>) -> Answer {
        answer(self.service.clone().layer(Extension(caller(scopes))), request).await
    }

    async fn accept_terms(&self, token: &str) -> Answer {
        let request = Request::post("/api/v1/terms-accepted-user/")
            .header("authorization", format!("Bearer {token}"))
            .body(Body::empty());
        answer(self.public.clone(), request.expect("a request")).await
    }

    async fn local(&self, subject: &str) -> Answer {
        let request = Request::get(format!("/accounts/main/{subject}/local")).body(Body::empty());
        answer(self.admin.clone(), request.expect("a request")).await
    }

    /// The identity provider tells this token's bearer that profile.
    async fn has_profile(&self, token: &str, answer: ResponseTemplate) {
        Mock::given(method("GET"))
            .and(path("/v1/profile"))
            .and(header("authorization", format!("Bearer {token}")))
            .respond_with(answer)
            .mount(&self.upstream)
            .await;
    }

    /// The identity provider, asked about any token, says this.
    async fn says(&self, answer: ResponseTemplate) {
        Mock::given(method("POST")).and(path("/v1/verify")).respond_with(answer).mount(&self.upstream).await;
    }
}

fn needs_accounts(settings: &mut Settings, upstream: &MockServer) {
    settings.accounts = Some(AccountSettings {
        scope: SCOPE.to_owned(),
        profile_url: format!("{}/v1/profile", upstream.uri()),
        profile_timeout_seconds: 10,
        required: true,
    });
}

fn idps(key: &SigningKey, server_url: &str) -> Idps {
    let mut config = IdpConfig::new(IdpId::new("main").expect("valid"), ISSUER, "accounts.example");
    config.primary_jwk = Some(key.jwk().clone());
    config.fetch_keys = false;
    config.server_url = Some(server_url.to_owned());
    Idps::new(&[config]).expect("valid")
}

fn caller(scopes: &[&str]) -> Caller {
    Caller {
        id: 1,
        name: "proxy".into(),
        listener: Listener::Service,
        scopes: scopes.iter().map(ToString::to_string).collect(),
        created_at: START,
        expires_at: None,
        revoked_at: None,
        certificate: None,
    }
}

fn account(subject: &str) -> AccountId {
    AccountId::new(IdpId::new("main").expect("valid"), Subject::new(subject).expect("valid"))
}

fn json_of(status: u16, body: Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(body)
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// Status and error code.
    fn code(&self) -> (u16, String) {
        let code = self.json()["error_code"].as_str().unwrap_or_default().to_owned();
        (self.status.as_u16(), code)
    }
}

async fn answer(router: Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.expect("a router answers");
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("the body is whole").to_bytes();
    Answer {
        status: head.status,
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).expect("UTF-8"),
    }
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}
