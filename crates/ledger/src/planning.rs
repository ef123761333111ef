//! How PostgreSQL means to find rows while it knows nothing of the tables' sizes: such a plan stays in a connection's
//! cache while they grow, so it must not be a scan.

use crate::{MIGRATIONS, accounts, feed, owe, receipts, tombstones};
use store::Value;
use store::testing::{plan, postgres};

#[tokio::test]
async fn rows_are_found_by_their_index_even_before_the_first_statistics() {
    let store = postgres(&[MIGRATIONS]).await.store;
    let one = Value::Text(
        r#"[{"at": 0, "idp": "main", "subject": "u", "account": "x", "source": "s", "message_id": "m"}]"#,
    );
    for (sql, table) in [
        (&receipts::SEEN, "receipts"),
        (&accounts::LOAD, "accounts"),
        (&tombstones::AMONG, "tombstones"),
        (&owe::CAPABILITIES, "effects"),
    ] {
        let plan = plan(&store, sql, vec![one]).await;
        assert!(!plan.contains(&format!("Seq Scan on {table}")), "{plan}");
        assert!(plan.contains("Index"), "{plan}");
    }
}

#[tokio::test]
async fn the_feed_is_read_by_position_even_before_the_first_statistics() {
    let store = postgres(&[MIGRATIONS]).await.store;
    let plan = plan(&store, &feed::AFTER, vec![Value::Int(7), Value::Int(500), Value::Int(1 << 20)]).await;
    assert_eq!(plan.matches("events_position").count(), 2, "the sizes, then the page: {plan}");
    assert!(!plan.contains("Seq Scan on events"), "{plan}");
}
