//! What an error says to its caller: wait, or mend.

use crate::tables::{COUNTER, Counter, INSERT, INSERT_BODY, MIGRATIONS, steps};
use futures::FutureExt;
use store::testing::{TestStore, engines, postgres_with};
use store::{Row, Sql, StoreError, Value};

static WORD: Sql = Sql::both("select name from counters where name = $1");
static STUCK: Sql = Sql::per_engine("select 1", "select pg_sleep(60)");

async fn failed(test: &TestStore, sql: &'static Sql, params: Vec<Value<'static>>) -> StoreError {
    mapped(test, sql, params, |_| Ok(())).await
}

async fn mapped(
    test: &TestStore,
    sql: &'static Sql,
    params: Vec<Value<'static>>,
    map: fn(&Row<'_>) -> Result<(), StoreError>,
) -> StoreError {
    let operation = steps(move |tx| {
        let params = params.clone();
        async move { tx.query(sql, &params, map).await.map(drop) }.boxed()
    });
    test.store.run(operation).await.expect_err("it cannot succeed")
}

/// A defect of ours that passed for an outage would be retried for ever and never mended.
#[tokio::test]
async fn a_statement_that_is_wrong_is_a_defect_and_no_outage() {
    for test in engines(&[MIGRATIONS]).await {
        for error in [
            failed(&test, &COUNTER, vec![]).await,
            failed(&test, &COUNTER, vec!["one".into(), "two".into()]).await,
            mapped(&test, &COUNTER, vec!["one".into()], |row| row.int(5).map(drop)).await,
            mapped(&test, &COUNTER, vec!["one".into()], |row| row.text(5).map(drop)).await,
            mapped(&test, &COUNTER, vec!["one".into()], |row| row.text(0).map(drop)).await,
            mapped(&test, &WORD, vec!["one".into()], |row| row.int(0).map(drop)).await,
            mapped(&test, &WORD, vec!["one".into()], |row| row.bool(0).map(drop)).await,
        ] {
            assert!(matches!(error, StoreError::Statement { .. }), "{:?}: {error:?}", test.engine());
        }
    }
}

#[tokio::test]
async fn a_value_that_does_not_fit_its_column_is_refused_and_no_outage() {
    let test = store::testing::postgres(&[MIGRATIONS]).await;
    for (sql, value) in [
        (&INSERT, Value::Text("12345678")),
        (&INSERT, Value::Bytes(b"12345678")),
        (&WORD, Value::Text("a\0b")),
        (&WORD, Value::Bytes(b"\xff")),
        (&WORD, Value::Int(1)),
        (&INSERT_BODY, Value::Text("text")),
    ] {
        let error = failed(&test, sql, vec![value]).await;
        let is_told = matches!(error, StoreError::Statement { .. } | StoreError::Refused { .. });
        assert!(is_told, "{value:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_value_that_breaks_a_rule_of_the_table_is_told_apart_from_one_that_is_there_already() {
    for test in engines(&[MIGRATIONS]).await {
        assert!(matches!(failed(&test, &INSERT_BODY, vec![Value::Null]).await, StoreError::Refused { .. }));
        let twice = steps(|tx| {
            async move {
                tx.execute(&INSERT, &[1.into()]).await?;
                tx.execute(&INSERT, &[1.into()]).await.map(drop)
            }
            .boxed()
        });
        let error = test.store.run(twice).await.expect_err("there already");
        assert!(matches!(error, StoreError::Duplicate { .. }));
    }
}

/// A scan gets no chance to write, on either engine.
#[tokio::test]
async fn a_scan_that_writes_is_a_defect() {
    for test in engines(&[MIGRATIONS]).await {
        let writing = steps(|tx| async move { tx.execute(&INSERT, &[1.into()]).await.map(drop) }.boxed());
        let error = test.store.scan(writing).await.expect_err("it may only read");
        assert!(matches!(error, StoreError::Statement { .. }), "{:?}: {error:?}", test.engine());
    }
}

/// A read that is late is an outage, and its connection is not handed to the next reader.
#[tokio::test]
async fn a_late_point_read_does_not_delay_the_next_one() {
    struct Late;
    impl store::PointRead for Late {
        const NAME: &'static str = "test.late";
        type Output = ();

        fn sql(&self) -> &'static Sql {
            &STUCK
        }

        fn params(&self) -> impl AsRef<[Value<'_>]> + Send {
            []
        }

        fn read(&self, _: store::Rows<'_>) -> Result<(), StoreError> {
            Ok(())
        }
    }
    let test = postgres_with(&[MIGRATIONS], |settings| settings.read_connections = 1).await;
    let error = test.store.read(&Late).await.expect_err("late");
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    assert_eq!(test.store.read(&Counter("one")).await.expect("on a connection of its own"), 0);
}
