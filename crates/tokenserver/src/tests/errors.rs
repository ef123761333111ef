//! Every row of the table of errors that a request can provoke, over HTTP; each with the time.

use super::*;
use account::{AccountId, Subject};
use parking_lot::Mutex;
use store::{Operation, Sql, StoreError, Tx};
use tokio::sync::oneshot;

const UNAUTHORIZED: &str = "401 error | body |  | Unauthorized";
const INVALID_CREDENTIALS: &str = "401 invalid-credentials | body |  | Unauthorized";

type Headers<'a> = &'a [(&'static str, &'a str)];

async fn refused(house: &House, path: &str, headers: Headers<'_>) -> String {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let answer = house.get(path, &headers).await;
    assert_eq!(answer.header("x-timestamp"), START.seconds().to_string());
    answer.refusal()
}

#[tokio::test]
async fn the_checks_answer_in_their_order() {
    let house = House::new(settings()).await;
    let good = format!("Bearer {}", house.token(&claims("user", 100)));
    let good = good.as_str();
    let table: &[(&str, Headers<'_>, &str)] = &[
        (SYNC, &[], UNAUTHORIZED),
        (SYNC, &[("authorization", "Bearer\u{e9} x")], UNAUTHORIZED),
        (SYNC, &[("authorization", "Bearer")], UNAUTHORIZED),
        (SYNC, &[("authorization", "Basic x")], "401 error | body |  | Unsupported"),
        (SYNC, &[("authorization", "Bearer a.b.c")], INVALID_CREDENTIALS),
        ("/1.0/nope/9", &[("authorization", "Bearer a.b.c")], INVALID_CREDENTIALS),
        (SYNC, &[("authorization", good)], "401 invalid-key-id | header |  | Missing X-KeyID header"),
        (
            SYNC,
            &[("authorization", good), ("x-keyid", "1\u{e9}-q")],
            "401 invalid-key-id | header |  | Invalid X-KeyID header",
        ),
        (SYNC, &[("authorization", good), ("x-keyid", "1234")], INVALID_CREDENTIALS),
        (SYNC, &[("authorization", good), ("x-keyid", "1-q=")], INVALID_CREDENTIALS),
        (
            SYNC,
            &[("authorization", good), ("x-keyid", "x-qqo"), ("x-client-state", "!")],
            "400 error | header | X-Client-State | Invalid client state value",
        ),
        (
            SYNC,
            &[("authorization", good), ("x-keyid", "x-qqo"), ("x-client-state", "bbbb")],
            "401 invalid-client-state | body |  | Unauthorized",
        ),
        (SYNC, &[("authorization", good), ("x-keyid", "x-qqo")], INVALID_CREDENTIALS),
        (
            "/1.0/sink/1.5",
            &[("authorization", good)],
            "401 invalid-key-id | header |  | Missing X-KeyID header",
        ),
        (
            "/1.0/sink/1.6",
            &[("authorization", good), ("x-keyid", KEY_ID)],
            "404 error | url | application | Unsupported application",
        ),
        (
            "/1.0/sync/%22",
            &[("authorization", good), ("x-keyid", KEY_ID)],
            "404 error | url | \" | Unsupported application version",
        ),
        (
            "/1.0/sync/%ff",
            &[("authorization", good), ("x-keyid", KEY_ID)],
            "404 error | url | application | Unsupported application",
        ),
        (
            "/1.0/sync/1.5?duration=1&duration=1",
            &[("authorization", good), ("x-keyid", KEY_ID)],
            "400 error | url |  | invalid query params",
        ),
        (
            SYNC,
            &[("authorization", good), ("x-keyid", "1-AAAAAAAAAAAAAAAAAAAAAAA")],
            "400 error | header | X-Client-State | Invalid client state value",
        ),
    ];
    for (path, headers, expected) in table {
        assert_eq!(refused(&house, path, headers).await, *expected, "{path} {headers:?}");
    }
    assert!(house.exchange("user", 100, KEY_ID).await.uid() == 1, "none of these made a row");
}

#[tokio::test]
async fn a_client_state_left_behind_and_old_numbers_are_refused_by_their_rows() {
    for house in House::on_each_engine().await {
        house.exchange("user", 100, "50-qqo").await.uid();
        house.exchange("user", 200, "150-uw").await.uid();
        let refused =
            async |generation: i64, key_id: &str| house.exchange("user", generation, key_id).await.refusal();
        let client_state =
            "401 invalid-client-state | header | X-Client-State | Unacceptable client-state value";
        assert_eq!(refused(300, "250-qqo").await, format!("{client_state} stale value"));
        assert_eq!(refused(300, "250-").await, format!("{client_state} empty string"));
        assert_eq!(
            refused(200, "150-zA").await,
            format!("{client_state} new value with no generation change")
        );
        assert_eq!(
            refused(201, "150-zA").await,
            format!("{client_state} new value with no keys_changed_at change")
        );
        assert_eq!(refused(199, "150-uw").await, "401 invalid-generation | body |  | Unauthorized");
        assert_eq!(refused(200, "149-uw").await, "401 invalid-keysChangedAt | body |  | Unauthorized");
        assert_eq!(refused(200, "201-uw").await, "401 invalid-keysChangedAt | body |  | Unauthorized");
    }
}

#[tokio::test]
async fn new_users_can_be_turned_away_and_this_goes_before_an_ill_formed_query() {
    let house = House::new(Settings { allow_new_users: false, ..settings() }).await;
    let headers = house.headers("user", 100, KEY_ID);
    for path in [SYNC, "/1.0/sync/1.5?duration=1&duration=1"] {
        let refusal = house.get(path, &headers).await.refusal();
        assert_eq!(refusal, "403 new-users-disabled | body |  | New users are not allowed");
    }
}

#[tokio::test]
async fn without_a_node_the_client_comes_again_later() {
    let test = store::testing::sqlite(TABLES).await;
    let house = House::without_nodes(test.store.clone(), &settings(), None);
    let answer = house.exchange("user", 100, KEY_ID).await;
    assert_eq!(answer.refusal(), "503 internal-error | internal |  | Server error");
    assert_eq!(answer.header("retry-after"), "60");
}

#[tokio::test]
async fn a_store_that_is_down_is_no_verdict_on_anybody() {
    let unreachable = store::Settings::at("postgres://nobody@127.0.0.1:1/none");
    let store = Store::open(&unreachable, Clock::manual(START)).expect("it is not contacted yet");
    let house = House::without_nodes(store, &settings(), None);
    let answer = house.exchange("user", 100, KEY_ID).await;
    assert_eq!(answer.refusal(), "503 internal-error | internal |  | Server error");
    assert_eq!(answer.header("retry-after"), "10");
    assert_eq!(answer.header("x-timestamp"), START.seconds().to_string());
    let heartbeat = house.get("/__heartbeat__", &[]).await;
    assert_eq!(heartbeat.refusal(), "503 internal-error | internal |  | Server error");
    assert_eq!(heartbeat.header("retry-after"), "10");
    assert_eq!(house.get("/__lbheartbeat__", &[]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn missing_tables_are_an_outage_too() {
    let test = store::testing::sqlite(&[]).await;
    let house = House::without_nodes(test.store.clone(), &settings(), None);
    assert_eq!(house.exchange("user", 100, KEY_ID).await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_change_that_takes_too_long_is_asked_for_again_later() {
    let patience = Settings { change_timeout_ms: Some(20), ..settings() };
    let house = House::over(store::testing::postgres(TABLES).await, patience).await;
    let (locked, is_locked) = oneshot::channel();
    let (let_go, gone) = oneshot::channel();
    let hold = Hold { locked: Mutex::new(Some(locked)), until: Mutex::new(Some(gone)) };
    let holder = async { house.store.run(hold).await.expect("the store answers") };
    let request = async {
        is_locked.await.expect("the account is locked");
        let answer = house.exchange("user", 100, KEY_ID).await;
        assert_eq!(answer.refusal(), "503 elapsed | body |  | Elapsed");
        assert_eq!(answer.header("retry-after"), "10");
        let_go.send(()).expect("it is waited for");
    };
    tokio::join!(holder, request);
}

/// Holds the account's lock until it is let go.
struct Hold {
    locked: Mutex<Option<oneshot::Sender<()>>>,
    until: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Operation for Hold {
    const NAME: &'static str = "test.hold";
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let account =
            AccountId::new(IdpId::new("main").expect("valid"), Subject::new("user").expect("valid"));
        tx.lock_accounts(&[account]).await?;
        let (locked, until) = (self.locked.lock().take(), self.until.lock().take());
        locked.expect("run once").send(()).expect("it is waited for");
        until.expect("run once").await.expect("it is let go");
        Ok(())
    }
}

#[tokio::test]
async fn a_retired_user_whose_node_is_gone_stays_a_failure_of_the_server() {
    static RETIRE: Sql =
        Sql::both("update users set generation = 9223372036854775807, replaced_at = 9, nodeid = 99");
    struct Retire;
    impl Operation for Retire {
        const NAME: &'static str = "test.retire";
        type Output = ();
        async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
            tx.execute(&RETIRE, &[]).await.map(drop)
        }
    }
    for house in House::on_each_engine().await {
        house.exchange("user", 100, KEY_ID).await.uid();
        house.store.run(Retire).await.expect("the store answers");
        let headers = house.headers("user", i64::MAX, KEY_ID);
        for path in [SYNC, "/1.0/sync/1.5?duration=1&duration=1"] {
            let refusal = house.get(path, &headers).await.refusal();
            assert_eq!(refusal, "500 internal-error | internal |  | Server error");
        }
    }
}

#[tokio::test]
async fn an_identity_provider_that_cannot_be_asked_is_no_verdict_on_the_token() {
    let test = store::testing::sqlite(TABLES).await;
    let house = House::without_nodes(test.store.clone(), &settings(), Some("http://127.0.0.1:1"));
    let headers = [("authorization", "Bearer opaque token".to_owned()), ("x-keyid", KEY_ID.to_owned())];
    let answer = house.get(SYNC, &headers).await;
    assert_eq!(answer.refusal(), "503 internal-error | internal |  | Server error");
    assert_ne!(answer.header("retry-after"), "");
}

#[tokio::test]
async fn an_account_whose_name_no_row_can_hold_is_told_so() {
    let house = House::new(settings()).await;
    let longest = 255 - 1 - DOMAIN.len();
    assert_eq!(house.exchange(&"u".repeat(longest), 1, KEY_ID).await.status, StatusCode::OK);
    let answer = house.exchange(&"u".repeat(longest + 1), 1, KEY_ID).await;
    assert_eq!(answer.refusal(), "400 error | body |  | The account's name is too long");
}

#[tokio::test]
async fn another_method_is_told_which_one_is_served() {
    let house = House::new(settings()).await;
    let head = house.ask(Method::HEAD, SYNC, &[]).await;
    assert_eq!((head.status, head.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET"));
    for method in [Method::POST, Method::OPTIONS, Method::DELETE] {
        let answer = house.ask(method.clone(), SYNC, &[]).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.header("allow"), "GET");
        assert_eq!(answer.header("x-timestamp"), START.seconds().to_string());
        assert_eq!(answer.refusal(), "405 error | url |  | Method Not Allowed", "{method}");
    }
}
