//! Callers that stop waiting: their future is dropped in mid-transaction.

use crate::tables::{INSERT, INSERT_TWIN, Increment, InsertPair, MIGRATIONS, steps, whole_numbers};
use futures::FutureExt;
use std::sync::Arc;
use store::testing::{engines, postgres_with, sqlite};
use tokio::sync::Notify;
use tokio::task::JoinSet;

#[tokio::test]
async fn a_caller_gone_in_mid_transaction_leaves_no_dirty_connection_behind() {
    let test = postgres_with(&[MIGRATIONS], |settings| settings.pool_size = 1).await;
    let in_the_middle = Arc::new(Notify::new());
    let told = Arc::clone(&in_the_middle);
    let stuck = steps(move |tx| {
        let told = Arc::clone(&told);
        async move {
            tx.execute(&INSERT, &[1.into()]).await?;
            told.notify_one();
            std::future::pending::<()>().await;
            tx.execute(&INSERT_TWIN, &[1.into()]).await.map(drop)
        }
        .boxed()
    });
    tokio::select! {
        _ = test.store.run(stuck) => panic!("it never ends by itself"),
        () = in_the_middle.notified() => {}
    }
    // The only place in the pool is free again, and the next transaction is its own.
    test.store.run(InsertPair(2)).await.expect("committed");
    assert_eq!(whole_numbers(&test.store).await, [2]);
}

/// Dropped at any of its awaits, an operation is there as a whole or not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_gone_at_any_moment_leave_nothing_by_half() {
    for test in engines(&[MIGRATIONS]).await {
        let mut callers = JoinSet::new();
        for number in 0..200 {
            let store = test.store.clone();
            callers.spawn(async move {
                let mut run = store.run(InsertPair(number)).boxed();
                // Polled a few times more for each number, then dropped.
                for _ in 0..number % 20 {
                    if (&mut run).now_or_never().is_some() {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            });
        }
        callers.join_all().await;
        test.store.run(InsertPair(1000)).await.expect("committed");
        assert!(whole_numbers(&test.store).await.contains(&1000));
    }
}

#[tokio::test]
async fn a_transaction_that_takes_too_long_is_given_up_and_undone() {
    let test = postgres_with(&[MIGRATIONS], |settings| {
        settings.pool_size = 1;
        settings.transaction_timeout_ms = 100;
    })
    .await;
    let stuck = steps(|tx| {
        async move {
            tx.execute(&INSERT, &[1.into()]).await?;
            std::future::pending::<()>().await;
            Ok(())
        }
        .boxed()
    });
    let error = test.store.run(stuck).await.expect_err("given up");
    assert!(matches!(error, store::StoreError::NotCommitted { .. }), "{error}");
    test.store.run(InsertPair(2)).await.expect("committed");
    assert_eq!(whole_numbers(&test.store).await, [2]);
}

/// On SQLite an operation is polled once: what it awaits must be its transaction.
#[tokio::test]
async fn an_operation_that_awaits_something_else_is_undone_on_sqlite() {
    let test = sqlite(&[MIGRATIONS]).await;
    let waiting = steps(|tx| {
        async move {
            tx.execute(&INSERT, &[1.into()]).await?;
            tokio::task::yield_now().await;
            Ok(())
        }
        .boxed()
    });
    let error = test.store.run(waiting).await.expect_err("it may not");
    assert!(error.to_string().contains("awaited something other than its transaction"), "{error}");
    test.store.run(Increment("one")).await.expect("the writer goes on");
    assert!(whole_numbers(&test.store).await.is_empty());
}
