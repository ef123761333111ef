//! A COMMIT that is never answered: nobody knows how it ended, unless the operation can find out.

use crate::tables::{All, INSERT_ONCE, Increment, MIGRATIONS, NUMBERS, resolving_steps, steps};
use futures::FutureExt;
use store::testing::{TestStore, postgres};
use store::{Clock, Settings, Store, StoreError};
use testkit::{Cut, PostgresProxy};

/// A store behind a network that fails, and the same one seen directly.
async fn behind_a_proxy() -> (TestStore, Store, PostgresProxy) {
    let direct = postgres(&[MIGRATIONS]).await;
    let (proxy, url) = PostgresProxy::before(&direct.settings.url).await;
    let settings = Settings { url, ..direct.settings.clone() };
    let store = Store::open(&settings, Clock::system()).expect("opened");
    store.run(Increment("one")).await.expect("it passes everything on");
    (direct, store, proxy)
}

async fn numbers(test: &TestStore) -> Vec<i64> {
    test.store.scan(All(&NUMBERS)).await.expect("read")
}

#[tokio::test]
async fn an_operation_that_cannot_find_out_is_told_that_nobody_knows() {
    for (cut, committed) in [(Cut::Before, vec![]), (Cut::After, vec![7])] {
        let (direct, store, proxy) = behind_a_proxy().await;
        proxy.cut(cut);
        let operation = steps(|tx| async move { tx.execute(&INSERT_ONCE, &[7.into()]).await }.boxed());
        let error = store.run(operation).await.expect_err("no answer");
        assert!(matches!(error, StoreError::Unknown { .. }), "{cut:?}: {error}");
        assert!(error.is_outage() && proxy.has_cut());
        assert_eq!(numbers(&direct).await, committed, "{cut:?}");
    }
}

#[tokio::test]
async fn an_operation_that_can_find_out_is_run_again() {
    for (cut, inserted_by_the_second_run) in [(Cut::Before, 1), (Cut::After, 0)] {
        let (direct, store, proxy) = behind_a_proxy().await;
        proxy.cut(cut);
        let operation =
            resolving_steps(|tx| async move { tx.execute(&INSERT_ONCE, &[7.into()]).await }.boxed());
        assert_eq!(store.run(operation).await.expect("found out"), inserted_by_the_second_run, "{cut:?}");
        assert!(proxy.has_cut());
        assert_eq!(numbers(&direct).await, [7], "{cut:?}");
    }
}

/// Then an outage would be half the truth: it says that nothing was changed.
#[tokio::test]
async fn who_could_find_out_but_gets_through_no_more_is_told_that_nobody_knows() {
    let (direct, store, proxy) = behind_a_proxy().await;
    proxy.cut(Cut::AfterForGood);
    let operation = resolving_steps(|tx| async move { tx.execute(&INSERT_ONCE, &[7.into()]).await }.boxed());
    let error = store.run(operation).await.expect_err("no way through");
    assert!(matches!(error, StoreError::Unknown { .. }), "{error}");
    assert_eq!(numbers(&direct).await, [7]);
}
