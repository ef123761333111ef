//! How the engines mean to find rows. A million sessions cost nothing only as long as this holds.

use super::*;
use ::store::testing::{engines, plan};
use ::store::{Engine, Operation, Sql, Store, StoreError, Tx, Value};

const BIG: [&str; 7] = [
    "grants",
    "sessions",
    "session_touches",
    "session_revocations",
    "session_changes",
    "session_users",
    "session_acts",
];

const ROWS: Value<'static> = Value::Text(
    r#"[{"id":"a","fence":1,"generation":0,"rotated":0,"access_token":"","refresh_token":"","expires_at":1,"next_attempt_at":1,"state":0,"failures":0,"unknowns":0,"at":1,"idp":"a","subject":"a","lease":1,"next_fetch_at":1}]"#,
);
const TEXT: Value<'static> = Value::Text("a");
const ONE: Value<'static> = Value::Int(1);

/// Statements that run all the time, with values that fit. They go by indexes even while PostgreSQL knows nothing of the tables'
/// sizes: such a plan stays in a connection's cache while they grow.
fn hot() -> Vec<(&'static Sql, Vec<Value<'static>>)> {
    vec![
        (&claim::CLAIM, vec![TEXT, ONE, TEXT, ONE, ONE]),
        (&claim::CLAIM_ONE, vec![TEXT, ONE, TEXT, ONE, ONE]),
        (&end::BY_ID, vec![TEXT, TEXT, ONE, ONE]),
        (&end::BY_GRANT, vec![TEXT, TEXT, ONE, ONE]),
        (&end::BY_ACCOUNT, vec![TEXT, TEXT, ONE, ONE, TEXT, ONE]),
        (&end::BY_SID, vec![TEXT, TEXT, ONE, ONE, TEXT]),
        (&end::FIND_EXPIRED, vec![ONE, ONE]),
        (&end::FIND_RUN_OUT, vec![TEXT, ONE, ONE, ONE]),
        (&revocations::CLAIM, vec![TEXT, ONE, ONE, ONE, ONE]),
        (&find::SHOW, vec![TEXT]),
        (&find::TOKEN, vec![TEXT]),
        (&find::OF_ACCOUNT, vec![TEXT, TEXT, TEXT, ONE, ONE]),
        (&find::OF_SID, vec![TEXT, TEXT, TEXT, ONE, ONE]),
        (&users::CLAIM, vec![TEXT, ONE, ONE, ONE]),
        (&respread::WAITING, vec![TEXT, ONE]),
        (&reap::WHOSE, vec![ONE, ONE]),
        (&acts::LATEST, vec![ONE, ONE]),
        (&acts::OF_SESSION, vec![ONE, ONE, TEXT]),
        (&acts::OF_ACCOUNT, vec![ONE, ONE, TEXT, TEXT]),
        (&set_aside::CLAIM, vec![TEXT, ONE, ONE, ONE]),
    ]
}

/// Those that are given many rows at once.
fn in_sets() -> Vec<(&'static Sql, Vec<Value<'static>>)> {
    vec![
        (&settle::RENEW, vec![ROWS, ONE]),
        (&settle::PUT_OFF, vec![ROWS, ONE]),
        (&settle::SESSIONS_OF, vec![ROWS, ONE]),
        (&reap::ABANDONED, vec![ONE, ONE]),
        (&end::EXPIRED, vec![ROWS, TEXT, ONE, ONE]),
        (&end::RETIRED, vec![ROWS, TEXT, ONE, ONE]),
        (&end::LAST_ONES, vec![ROWS]),
        (&touch::TOUCH, vec![ROWS]),
        (&touch::USED, vec![ROWS, ONE, ONE]),
        (&changes::AFTER, vec![ONE, ONE]),
        (&users::BEST, vec![ROWS, TEXT, ONE]),
        (&users::RIGHTS, vec![ROWS]),
        (&users::FORGET, vec![ROWS, TEXT]),
        (&users::SETTLE, vec![ROWS, ONE]),
        (&users::SESSIONS_OF, vec![ROWS, ONE]),
        (&users::HURRY, vec![ROWS, ONE, ONE]),
        (&users::WAKE, vec![ROWS, ONE]),
        (&respread::RESPREAD, vec![ROWS]),
        (&set_aside::SETTLE, vec![ROWS, ONE]),
    ]
}

#[tokio::test]
async fn rows_are_found_by_their_index_even_before_the_first_statistics() {
    let mut scans = Vec::new();
    for test in engines(TABLES).await {
        for (sql, params) in hot().into_iter().chain(in_sets()) {
            let plan = match test.engine() {
                Engine::Sqlite => sqlite_plan(&test.store, sql, params).await,
                Engine::Postgres => plan(&test.store, sql, params).await,
            };
            let is_scanned =
                |table: &&str| plan.contains(&format!("Seq Scan on {table} ")) || is_scanned(&plan, table);
            if BIG.iter().any(is_scanned) {
                scans.push(format!("{:?}: {}\n{plan}", test.engine(), sql.for_engine(test.engine())));
            }
        }
    }
    assert!(scans.is_empty(), "{}", scans.join("\n\n"));
}

/// SQLite says `SCAN s` by the alias: only what is read from JSON may be scanned.
fn is_scanned(plan: &str, table: &str) -> bool {
    plan.lines().any(|line| {
        line.strip_prefix("SCAN ").is_some_and(|rest| {
            let name = rest.split(' ').next().unwrap_or_default();
            // An index that is walked in its order is no scan of the table.
            (name == table || matches!(name, "s" | "g" | "t" | "c")) && !rest.contains("USING")
        })
    })
}

async fn sqlite_plan(store: &Store, sql: &'static Sql, params: Vec<Value<'static>>) -> String {
    struct Explain(&'static Sql, Vec<Value<'static>>);

    impl Operation for Explain {
        const NAME: &'static str = "test.explain";
        type Output = String;

        async fn run(&self, tx: &mut Tx<'_>) -> Result<String, StoreError> {
            Ok(tx.query(self.0, &self.1, |row| row.text(3).map(str::to_owned)).await?.join("\n"))
        }
    }

    let text = format!("explain query plan {}", sql.for_engine(Engine::Sqlite)).leak();
    let explained = Box::leak(Box::new(Sql::per_engine(text, "select 'no plan'")));
    store.run(Explain(explained, params)).await.expect("the store explains")
}
