//! How the engines mean to find rows, PostgreSQL while it knows nothing of the tables' sizes: that plan stays in a
//! connection's cache while they grow, so it must not be a scan. A relying party with a million pending rows costs
//! nothing only as long as this holds.

use super::*;
use ::store::testing::{engines, plan};
use ::store::{Engine, Operation, Sql, Store, StoreError, Tx, Value};

/// Those that grow with accounts; there are few relying parties.
const BIG: [&str; 6] = [
    "deliveries",
    "delivery_attempts",
    "rp_logins",
    "deletion_receipts",
    "rp_tokens",
    "unsubscribed_subjects",
];

fn hot() -> Vec<(&'static Sql, usize)> {
    vec![
        (&claim::DUE, 1),
        (&claim::CLAIM, 6),
        (&record::BUSY, 1),
        (&record::VOID, 2),
        (&record::STEP_BACK, 1),
        (&record::UNCLAIMED, 1),
        (&record::TAKE_IN, 2),
        (&record::PROMOTE, 1),
        (&settle::END, 2),
        (&settle::ENDED, 2),
        (&settle::PUT_OFF, 1),
        (&erasure::ERASE, 3),
        (&logins::OF, 1),
        (&logins::FORGET, 2),
        (&logins::SHOW, 2),
        (&receipts::SETTLE, 4),
        (&receipts::SHOW, 1),
        (&subjects::UNSUBSCRIBED, 2),
        (&parts::WRITTEN, 3),
        (&poll::READ, 2),
        (&poll::WHOSE, 2),
        (&poll::END, 2),
        (&poll::FREE, 1),
        (&repair::WHOSE, 1),
        (&repair::WHOSE_ALL, 5),
        (&repair::SET_ASIDE, 1),
        (&repair::AGAIN, 2),
        (&repair::HURRY, 2),
        (&repair::REOPEN, 1),
        (&retention::PENDING, 3),
        (&retention::PENDING_CHANGES, 3),
        (&retention::END, 4),
        (&retention::ENDED, 4),
        (&retention::FORGET_ATTEMPT, 1),
        (&rows::IS_THERE, 2),
        (&list::ATTEMPTS, 1),
        (&search::LIST, 8),
        (&search::OF_ACCOUNT, 8),
        (&search::UNTOLD, 8),
        (&search::LAST, 0),
        (&search::FIRST_AFTER, 1),
        (&tokens::FIND, 1),
        (&verification::LAST, 2),
    ]
}

#[tokio::test]
async fn rows_are_found_by_their_index_even_before_the_first_statistics() {
    let mut scans = Vec::new();
    for test in engines(TABLES).await {
        for (sql, params) in hot() {
            let plan = match test.engine() {
                Engine::Sqlite => sqlite_plan(&test.store, sql, given(sql, params)).await,
                Engine::Postgres => plan(&test.store, sql, given(sql, params)).await,
            };
            let scanned = BIG
                .iter()
                .any(|table| plan.contains(&format!("Seq Scan on {table}")) || is_scanned(&plan, table));
            if scanned {
                scans.push(format!("{:?}: {}\n{plan}", test.engine(), sql.for_engine(test.engine())));
            }
        }
    }
    assert!(scans.is_empty(), "{}", scans.join("\n\n"));
}

#[tokio::test]
async fn each_way_of_listing_deliveries_goes_by_its_index() {
    for test in engines(TABLES).await {
        for (sql, params, index) in [
            (&search::OF_ACCOUNT, 8, "deliveries_event"),
            (&search::IDPS, 0, "deliveries_event"),
            (&search::PENDING, 8, "deliveries_line"),
            (&search::UNTOLD, 8, "deliveries_untold"),
            (&search::UNTOLD_RPS, 0, "deliveries_untold"),
        ] {
            let plan = match test.engine() {
                Engine::Sqlite => sqlite_plan(&test.store, sql, given(sql, params)).await,
                Engine::Postgres => plan(&test.store, sql, given(sql, params)).await,
            };
            assert!(plan.contains(index), "{:?}: {plan}", test.engine());
        }
    }
}

/// SQLite says `SCAN d` by the alias: only what is read from JSON may be scanned.
fn is_scanned(plan: &str, table: &str) -> bool {
    plan.lines().any(|line| {
        line.strip_prefix("SCAN ").is_some_and(|rest| {
            let name = rest.split(' ').next().unwrap_or_default();
            name == table || matches!(name, "d" | "l" | "u")
        })
    })
}

/// Values that fit: one row where there are rows, numbers and texts elsewhere.
fn given(sql: &'static Sql, params: usize) -> Vec<Value<'static>> {
    const ROW: &str = r#"[{"id":1,"at":0,"client_id":"a","idp":"main","subject":"u","jti":"j","due_by":1,"fence":1,"state":1,"failures":0,"due_at":1,"reason":null,"outcome":"x"}]"#;
    let text = sql.for_engine(Engine::Postgres);
    let kind = |number: usize| {
        let name = format!("${number}");
        if text.contains(&format!("json_to_recordset({name}::json)")) {
            Value::Text(ROW)
        } else if ["client_id", "idp", "subject", "owner", "jti", "hash", "event_type", "reason", "account"]
            .iter()
            .any(|column| {
                [&name, &format!("coalesce({name},")]
                    .iter()
                    .any(|given| text.contains(&format!("{column} = {given}")))
            })
        {
            Value::Text("a")
        } else {
            Value::Int(1)
        }
    };
    (1..=params).map(kind).collect()
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
    // A set whose rows are bound one by one has its columns after all other parameters; what they are changes no plan.
    let mut params = params;
    let bound = |number: &usize| text.contains(&format!("?{number}"));
    params.resize((1..100).rev().find(bound).unwrap_or(0), Value::Null);
    let explained = Box::leak(Box::new(Sql::per_engine(text, "select 'no plan'")));
    store.run(Explain(explained, params)).await.expect("the store explains")
}
