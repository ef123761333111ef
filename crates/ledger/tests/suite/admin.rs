//! The admin API of the ledger, through the real router.

use crate::told::{Execute, account, at, delete, known, ledger, news, told};
use account::{Change, Profile, State};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use ledger::{Ledger, Retention};
use std::fmt::Write;
use std::time::Duration;
use store::testing::{TestStore, engines, sqlite};
use store::{Clock, Settings, Sql, Store};
use tower::ServiceExt;

static AS_BEFORE: Sql = Sql::both("update accounts set told_state = null, told_at = null");

/// The router as the binary gets it, and what it says.
pub(crate) struct Admin(Router);

impl Admin {
    pub(crate) fn of(ledger: &Ledger) -> Self {
        Self(ledger.capability(Retention::default()).admin.split_for_parts().0)
    }

    /// Asks, and shows the answer: status, the headers that matter, the body.
    pub(crate) async fn ask(&self, method: &str, path: &str) -> String {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).expect("a request");
        let answer = self.0.clone().oneshot(request).await.expect("it answers");
        let (parts, body) = answer.into_parts();
        let mut shown = parts.status.to_string();
        for name in [header::CONTENT_TYPE, header::RETRY_AFTER, header::ALLOW] {
            if let Some(value) = parts.headers.get(&name) {
                let _ = write!(shown, "\n{name}: {}", value.to_str().expect("text"));
            }
        }
        let body = body.collect().await.expect("the whole body").to_bytes();
        let _ = match serde_json::from_slice::<serde_json::Value>(&body) {
            Ok(json) => write!(shown, "\n{json:#}"),
            Err(_) => write!(shown, "\n{}", String::from_utf8_lossy(&body)),
        };
        shown
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        self.ask("GET", path).await
    }
}

/// What a scene shows, on either engine.
pub(crate) async fn on_both(scene: impl AsyncFn(&TestStore) -> Vec<String>) -> Vec<String> {
    let [sqlite, postgres] = engines(&[ledger::MIGRATIONS]).await;
    let shown = scene(&sqlite).await;
    assert_eq!(shown, scene(&postgres).await);
    shown
}

#[tokio::test]
async fn an_account_is_shown_as_it_stands() {
    let shown = on_both(async |test| {
        let mut shown = Vec::new();
        let ledger = ledger(test, vec![]);
        let admin = Admin::of(&ledger);
        news(&ledger, told(1, &account("a b/c"), at(-5), Change::PasswordChange)).await;
        shown.push(admin.get("/accounts/main/a%20b%2Fc").await);
        news(&ledger, told(2, &account("a b/c"), at(-1), delete())).await;
        assert!(admin.get("/accounts/main/a%20b%2Fc").await.contains(r#""state": "deleted""#));
        shown
    })
    .await;
    insta::assert_snapshot!(shown[0], @r#"
    200 OK
    content-type: application/json
    {
      "credential_at": 1788999999995,
      "first_seen_at": 1789000000000,
      "idp": "main",
      "mark": 1788999999995,
      "state": "active",
      "state_at": 0,
      "subject": "a b/c",
      "updated_at": 1789000000000,
      "version": 1
    }
    "#);
}

#[tokio::test]
async fn an_account_nobody_knows_is_not_found() {
    let test = sqlite(&[ledger::MIGRATIONS]).await;
    let admin = Admin::of(&ledger(&test, vec![]));
    insta::assert_snapshot!(admin.get("/accounts/main/nobody").await, @r#"
    404 Not Found
    content-type: application/problem+json
    {
      "detail": "nothing is known of the account main:nobody; no event about it has come in",
      "status": 404,
      "title": "not found"
    }
    "#);
}

#[tokio::test]
async fn what_can_name_no_account_is_a_bad_request() {
    let test = sqlite(&[ledger::MIGRATIONS]).await;
    let admin = Admin::of(&ledger(&test, vec![]));
    insta::assert_snapshot!(admin.get("/accounts/main/a%0Ab").await, @r#"
    400 Bad Request
    content-type: application/problem+json
    {
      "detail": "the subject has a control character in it",
      "status": 400,
      "title": "invalid request"
    }
    "#);
    insta::assert_snapshot!(admin.ask("POST", &format!("/accounts/main/{}/disable", "x".repeat(256))).await, @r#"
    400 Bad Request
    content-type: application/problem+json
    {
      "detail": "the subject is 256 bytes long; at most 255 are kept",
      "status": 400,
      "title": "invalid request"
    }
    "#);
    insta::assert_snapshot!(admin.get("/accounts/main/%FF").await, @r#"
    400 Bad Request
    content-type: application/problem+json
    {
      "detail": "Invalid URL: Invalid UTF-8 in `subject`",
      "status": 400,
      "title": "invalid request"
    }
    "#);
    insta::assert_snapshot!(admin.ask("PUT", "/accounts/main/user").await, @r#"
    405 Method Not Allowed
    content-type: application/problem+json
    allow: GET,HEAD
    {
      "detail": "method not allowed",
      "status": 405,
      "title": "method not allowed"
    }
    "#);
}

#[tokio::test]
async fn an_operator_disables_an_account_and_enables_it_again() {
    let shown = on_both(async |test| {
        let mut shown = Vec::new();
        let ledger = ledger(test, vec![]);
        let admin = Admin::of(&ledger);
        shown.push(admin.ask("POST", "/accounts/main/user/disable").await);
        let again = admin.ask("POST", "/accounts/main/user/disable").await;
        assert!(again.contains(r#""changed": false"#), "{again}");
        test.clock.advance(Duration::from_secs(1));
        shown.push(admin.ask("POST", "/accounts/main/user/enable").await);
        let events = crate::told::all_events(&ledger).await;
        let told: Vec<_> = events.iter().map(|event| (event.source.as_str(), &event.change)).collect();
        assert_eq!(told, [("admin", &Change::Disable), ("admin", &Change::Enable)]);
        shown
    })
    .await;
    insta::assert_snapshot!(shown[0], @r#"
    200 OK
    content-type: application/json
    {
      "changed": true,
      "credential_at": 0,
      "first_seen_at": 1789000000000,
      "held_at": 1789000000000,
      "idp": "main",
      "mark": 1789000000000,
      "state": "disabled",
      "state_at": 1789000000000,
      "subject": "user",
      "updated_at": 1789000000000,
      "version": 1
    }
    "#);
    insta::assert_snapshot!(shown[1], @r#"
    200 OK
    content-type: application/json
    {
      "changed": true,
      "credential_at": 0,
      "first_seen_at": 1789000000000,
      "idp": "main",
      "mark": 1789000000000,
      "state": "active",
      "state_at": 1789000001000,
      "subject": "user",
      "updated_at": 1789000001000,
      "version": 2
    }
    "#);
}

/// What an operator shut stays shut, whatever its identity provider says meanwhile.
#[tokio::test]
async fn an_account_that_an_operator_disabled_is_enabled_by_an_operator_only() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        let admin = Admin::of(&ledger);
        let user = account("user");
        let stands = async || ledger.standing(&user).await.expect("read").expect("known");
        assert!(admin.ask("POST", "/accounts/main/user/disable").await.contains(r#""changed": true"#));
        test.clock.advance(Duration::from_secs(1));
        let profile = Profile { account_disabled: Some(false), ..Profile::default() };
        news(&ledger, told(1, &user, at(500), Change::ProfileChange(profile))).await;
        known(&ledger, told(2, &user, at(600), Change::Enable)).await;
        let held = stands().await;
        assert_eq!((held.state, held.state_at, held.held_at), (State::Disabled, at(0), Some(at(0))));

        // What the identity provider itself disables, an operator can enable too.
        known(&ledger, told(3, &user, at(700), Change::Disable)).await;
        assert!(admin.ask("POST", "/accounts/main/user/enable").await.contains(r#""changed": true"#));
        let free = stands().await;
        assert_eq!((free.state, free.state_at, free.held_at), (State::Active, at(1_000), None));
        news(&ledger, told(4, &user, at(1_100), Change::Disable)).await;
        news(&ledger, told(5, &user, at(1_200), Change::Enable)).await;
        assert_eq!(stands().await.state, State::Active, "nobody holds it any more");
    }
}

/// The account is disabled already, and now it is held besides.
#[tokio::test]
async fn an_operator_may_hold_what_its_identity_provider_has_disabled() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        let admin = Admin::of(&ledger);
        let user = account("user");
        news(&ledger, told(1, &user, at(-9), Change::Disable)).await;
        for changed in [true, false] {
            let answer = admin.ask("POST", "/accounts/main/user/disable").await;
            assert!(answer.contains(&format!(r#""changed": {changed}"#)), "{answer}");
            assert!(answer.contains(r#""held_at": "#), "{answer}");
        }
        known(&ledger, told(2, &user, at(-1), Change::Enable)).await;
        assert_eq!(ledger.standing(&user).await.expect("read").expect("known").state, State::Disabled);
    }
}

/// Rows of before the operators' holds have no columns for them.
#[tokio::test]
async fn an_account_of_before_the_holds_stands_as_it_did() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        let user = account("user");
        news(&ledger, told(1, &user, at(5), Change::Disable)).await;
        test.store.run(Execute(&AS_BEFORE)).await.expect("as it was");
        known(&ledger, told(2, &user, at(4), Change::Enable)).await;
        let standing = ledger.standing(&user).await.expect("read").expect("known");
        assert_eq!((standing.state, standing.state_at, standing.held_at), (State::Disabled, at(5), None));
        news(&ledger, told(3, &user, at(6), Change::Enable)).await;
    }
}

#[tokio::test]
async fn what_is_outstanding_is_shown_by_capability() {
    use ledger::{CarryOut, News, Outcome};

    struct Deferring;
    impl CarryOut for Deferring {
        fn capability(&self) -> &'static str {
            "broker"
        }

        async fn carry_out(
            &self,
            _: &mut store::Tx<'_>,
            _: &[News],
            _: bool,
        ) -> Result<Outcome, store::StoreError> {
            Ok(Outcome::Deferred)
        }
    }
    let shown = on_both(async |test| {
        let mut shown = Vec::new();
        let ledger = ledger(test, vec![std::sync::Arc::new(Deferring)]);
        ledger.register_capabilities().await.expect("registered");
        let admin = Admin::of(&ledger);
        assert!(admin.get("/effects").await.ends_with("[]"));
        news(&ledger, told(1, &account("user"), at(1), delete())).await;
        shown.push(admin.get("/effects").await);
        shown
    })
    .await;
    insta::assert_snapshot!(shown[0], @r#"
    200 OK
    content-type: application/json
    [
      {
        "capability": "broker",
        "count": 1,
        "first_due_at": 1789000000000,
        "most_attempts": 0
      }
    ]
    "#);
}

#[tokio::test]
async fn an_outage_is_told_as_one() {
    let test = sqlite(&[ledger::MIGRATIONS]).await;
    let nowhere = Settings::at(format!("postgres://postgres@127.0.0.1:{}/none", testkit::free_port()));
    let store = Store::open(&nowhere, Clock::system()).expect("opened");
    let away = Ledger::new(store, ledger(&test, vec![]).tombstones().clone(), vec![]);
    let admin = Admin::of(&away);
    for (method, path) in [
        ("GET", "/accounts/main/user"),
        ("POST", "/accounts/main/user/disable"),
        ("POST", "/accounts/main/user/enable"),
        ("GET", "/dead-letters"),
        ("GET", "/dead-letters/1"),
        ("DELETE", "/dead-letters/1"),
        ("GET", "/effects"),
    ] {
        let answer = admin.ask(method, path).await;
        let expected = "503 Service Unavailable\ncontent-type: application/problem+json\nretry-after: ";
        assert!(answer.starts_with(expected), "{method} {path}: {answer}");
    }
}
