//! How PostgreSQL means to find a user while it knows nothing of the table's size: that plan stays in a connection's
//! cache while the table grows.

use super::*;
use crate::store::carry::{CARRY, LIVE, REACHED};
use crate::store::lookup::LOOKUP;
use crate::store::settle::{LOAD, RAISE, REPLACE};
use store::Value;
use store::testing::plan;

#[tokio::test]
async fn users_are_found_by_their_email_even_before_the_first_statistics() {
    let store = store::testing::postgres(TABLES).await.store;
    let text = Value::Text;
    let one = text(
        r#"[{"n": 0, "idp": "main", "subject": "u", "email": "u@x", "tombstone": "", "uid": 1, "at": 1}]"#,
    );
    let statements = [
        (&LOOKUP, vec![text("sync-1.5"), text("main"), text("u"), text("u@x")]),
        (&LOAD, vec![text("sync-1.5"), one]),
        (&REPLACE, vec![Value::Int(1), one]),
        (&RAISE, vec![one]),
        (&LIVE, vec![one, Value::Int(50)]),
        (&REACHED, vec![text("u@x"), Value::Int(150), Value::Int(150), Value::Int(500)]),
        (&CARRY, vec![one]),
    ];
    for (sql, params) in statements {
        let plan = plan(&store, sql, params).await;
        assert!(!plan.contains("replaced_at_idx") && !plan.contains("Seq Scan on users"), "{plan}");
        assert!(plan.contains("lookup_idx") || plan.contains("users_pkey"), "{plan}");
    }
}
