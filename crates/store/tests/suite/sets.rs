//! Sets of rows, which SQLite is handed row by row: what comes of it is the same on both engines.

use crate::tables::{MIGRATIONS, NUMBERS, steps};
use futures::FutureExt;
use serde_json::json;
use store::testing::engines;
use store::{RowSet, StoreError, Value};

store::statements! {
    pub(crate) static ADD = both(
        "insert into numbers (number) select r.number + $2 from {each $1: number bigint, name text} as r
         where r.name is null or r.name <> 'not this' on conflict do nothing");
    pub(crate) static ADD_AND_SAY = both(
        "insert into numbers (number) select r.number from {each $1: number bigint} as r returning number");
    pub(crate) static RAISE = both(
        "update counters set value = r.value from {each $1: name text, value bigint} as r
         where counters.name = r.name returning counters.name");
}

#[tokio::test]
async fn a_set_is_written_row_by_row_and_counted_together() {
    for test in engines(&[MIGRATIONS]).await {
        let add = steps(|tx| {
            async move {
                let rows = RowSet::of([
                    json!({ "number": 1, "name": "it's \"one\"" }),
                    json!({ "number": 2, "name": "not this" }),
                    json!({ "number": 3 }),
                    json!({ "number": 3 }),
                ]);
                tx.execute(&ADD, &[(&rows).into(), 10.into()]).await
            }
            .boxed()
        });
        assert_eq!(test.store.run(add).await.expect("written"), 2);
        let none = steps(|tx| {
            async move { tx.execute(&ADD, &[(&RowSet::default()).into(), 10.into()]).await }.boxed()
        });
        assert_eq!(test.store.run(none).await.expect("nothing to write"), 0);
        let numbers = steps(|tx| async move { tx.query(&NUMBERS, &[], |row| row.int(0)).await }.boxed());
        assert_eq!(test.store.run(numbers).await.expect("read"), [11, 13]);
    }
}

#[tokio::test]
async fn what_a_set_answers_is_put_together() {
    for test in engines(&[MIGRATIONS]).await {
        let raise = steps(|tx| {
            async move {
                let rows = [("one", 7), ("nobody", 8), ("two", 9)];
                let rows = RowSet::of(rows.map(|(name, value)| json!({ "name": name, "value": value })));
                tx.query(&RAISE, &[(&rows).into()], |row| Ok(row.text(0)?.to_owned())).await
            }
            .boxed()
        });
        let mut raised = test.store.run(raise).await.expect("raised");
        raised.sort();
        assert_eq!(raised, ["one", "two"]);
    }
}

#[tokio::test]
async fn a_set_that_fails_in_the_middle_leaves_nothing() {
    for test in engines(&[MIGRATIONS]).await {
        let twice = steps(|tx| {
            async move {
                let rows = RowSet::of([json!({ "number": 1 }), json!({ "number": 1 })]);
                tx.query(&ADD_AND_SAY, &[(&rows).into()], |row| row.int(0)).await
            }
            .boxed()
        });
        assert!(matches!(test.store.run(twice).await, Err(StoreError::Duplicate { .. })));
        for odd in [Value::Text("[{"), Value::Int(1)] {
            let odd = steps(move |tx| async move { tx.execute(&ADD_AND_SAY, &[odd]).await }.boxed());
            test.store.run(odd).await.expect_err("no set");
        }
        let numbers = steps(|tx| async move { tx.query(&NUMBERS, &[], |row| row.int(0)).await }.boxed());
        assert_eq!(test.store.run(numbers).await.expect("read"), [0_i64; 0]);
    }
}
