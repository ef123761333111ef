//! Lost races are run again.

use crate::tables::{Counter, INCREMENT, Increment, InsertPair, MIGRATIONS, steps, whole_numbers};
use futures::FutureExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use store::testing::{engines, postgres, postgres_with};
use store::{Migration, Operation, StoreError, Tx};
use tokio::sync::Barrier;

static RAISING: &[Migration] = &[Migration::per_engine(
    "test 0002 raising",
    "select 1;",
    "create function raise(code text) returns bigint language plpgsql as
         $$ begin raise exception 'raised for a test' using errcode = code; end $$;",
)];

store::statements! {
    static RAISE = per_engine { sqlite: "select $1", postgres: "select raise($1)" };
    static NO_SUCH_TABLE = both("select 1 from nowhere");
}

/// Raises two counters, in an order that another may cross.
struct RaiseBoth {
    order: [&'static str; 2],
    attempts: Arc<AtomicU32>,
    /// Passed by both operations of a test once, each with its first counter locked.
    crossing: Arc<Barrier>,
}

impl Operation for RaiseBoth {
    const NAME: &'static str = "test.raise_both";
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let attempt = self.attempts.fetch_add(1, Ordering::SeqCst);
        tx.execute(&INCREMENT, &[self.order[0].into()]).await?;
        if attempt == 0 {
            self.crossing.wait().await;
        }
        tx.execute(&INCREMENT, &[self.order[1].into()]).await.map(drop)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_lock_each_other_out_both_succeed() {
    let soon =
        |settings: &mut store::Settings| settings.url.push_str("?options=-c%20deadlock_timeout%3D20ms");
    let test = postgres_with(&[MIGRATIONS], soon).await;
    let crossing = Arc::new(Barrier::new(2));
    let attempts = [Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0))];
    let raise = |order, attempts: &Arc<AtomicU32>| {
        test.store.run(RaiseBoth { order, attempts: Arc::clone(attempts), crossing: Arc::clone(&crossing) })
    };
    let (here, there) =
        tokio::join!(raise(["one", "two"], &attempts[0]), raise(["two", "one"], &attempts[1]));
    here.expect("committed");
    there.expect("committed");
    let attempts = attempts.map(|attempts| attempts.load(Ordering::SeqCst));
    assert!(attempts.iter().sum::<u32>() > 2, "one of them lost and ran again: {attempts:?}");
    for name in ["one", "two"] {
        assert_eq!(test.store.read(&Counter(name)).await.expect("read"), 2);
    }
}

/// Raises an SQL state in the first attempts, then increments.
async fn after_raising(code: &'static str, times: u32) -> (Result<i64, StoreError>, u32, i64) {
    let test = postgres(&[MIGRATIONS, RAISING]).await;
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&attempts);
    let operation = steps(move |tx| {
        let attempt = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            let value = tx.query_one(&INCREMENT, &["one".into()], |row| row.int(0)).await?;
            if attempt < times {
                tx.query(&RAISE, &[code.into()], |_| Ok(())).await?;
            }
            Ok(value)
        }
        .boxed()
    });
    let outcome = test.store.run(operation).await;
    let value = test.store.read(&Counter("one")).await.expect("read");
    (outcome, attempts.load(Ordering::SeqCst), value)
}

#[tokio::test]
async fn a_serialization_failure_is_run_again() {
    let (outcome, attempts, value) = after_raising("40001", 3).await;
    assert_eq!((outcome.expect("the fourth attempt commits"), attempts, value), (1, 4, 1));
}

#[tokio::test]
async fn who_loses_every_time_is_told_so() {
    for code in ["40001", "40P01"] {
        let (outcome, attempts, value) = after_raising(code, u32::MAX).await;
        let Err(StoreError::Conflict { attempts: told, .. }) = &outcome else { panic!("{outcome:?}") };
        assert_eq!((*told, attempts, value), (10, 10, 0));
        assert!(outcome.expect_err("a conflict").is_outage());
    }
}

#[tokio::test]
async fn what_will_not_go_better_is_not_run_again() {
    for (code, is_outage) in [("23514", false), ("22003", false), ("42501", false), ("53200", true)] {
        let (outcome, attempts, value) = after_raising(code, 1).await;
        assert_eq!(outcome.expect_err("it failed").is_outage(), is_outage, "{code}");
        assert_eq!((attempts, value), (1, 0), "{code}");
    }
}

/// PostgreSQL answers the COMMIT of a failed transaction with a silent rollback, which must not pass for success.
#[tokio::test]
async fn a_failure_that_an_operation_swallows_never_passes_for_a_commit() {
    let test = postgres(&[MIGRATIONS]).await;
    let swallowing = steps(|tx| {
        async move {
            InsertPair(1).run(tx).await?;
            drop(tx.query(&NO_SUCH_TABLE, &[], |_| Ok(())).await);
            Ok(())
        }
        .boxed()
    });
    let error = test.store.run(swallowing).await.expect_err("nothing was committed");
    assert!(matches!(&error, StoreError::Statement { reason } if reason.contains("nowhere")), "{error}");
    assert!(whole_numbers(&test.store).await.is_empty());
}

#[tokio::test]
async fn an_operation_that_asks_to_be_undone_is() {
    for test in engines(&[MIGRATIONS]).await {
        let operation = steps(|tx| {
            async move {
                Increment("one").run(tx).await?;
                Err::<(), _>(StoreError::Undone("on second thoughts"))
            }
            .boxed()
        });
        let error = test.store.run(operation).await.expect_err("undone");
        assert_eq!(error.to_string(), "on second thoughts");
        assert_eq!(test.store.read(&Counter("one")).await.expect("read"), 0);
    }
}
