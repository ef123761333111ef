//! A SQLite file has one owner.

use crate::tables::{InsertPair, MIGRATIONS, whole_numbers};
use futures::FutureExt;
use store::testing::sqlite;
use store::{Clock, Settings, Store, StoreError};
use testkit::Rerun;

fn knock(url: &str) -> Result<Store, StoreError> {
    Store::open(&Settings::at(url), Clock::system())
}

#[tokio::test]
async fn a_second_process_is_turned_away_until_the_first_has_ended() {
    if let Some(url) = Rerun::told() {
        let _store = knock(&url).expect("nobody else has it");
        Rerun::say("in");
        return std::future::pending().await;
    }
    let test = sqlite(&[MIGRATIONS]).await;
    test.store.run(InsertPair(1)).await.expect("written");
    let url = test.settings.url.clone();
    drop(test.store);

    let mut first = Rerun::of("owner::a_second_process_is_turned_away_until_the_first_has_ended", &url);
    assert_eq!(first.said().as_deref(), Some("in"));
    let Err(StoreError::Owned { path }) = knock(&url) else { panic!("two processes have the same file") };
    assert!(url.ends_with(&path));

    first.kill();
    let second = knock(&url).expect("the first is gone");
    assert_eq!(whole_numbers(&second).await, [1]);
}

#[tokio::test]
async fn a_store_is_let_go_with_its_last_handle_and_not_before() {
    let test = sqlite(&[MIGRATIONS]).await;
    let url = test.settings.url.clone();
    let clone = test.store.clone();
    drop(test.store);
    assert!(matches!(knock(&url), Err(StoreError::Owned { .. })));
    drop(clone);
    assert!(knock(&url).is_ok());
}

/// The caller is gone, and what it asked for still waits in the queue with the last handle to the store in it.
#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_operation_that_holds_the_last_handle_is_still_run_and_lets_the_file_go() {
    let test = sqlite(&[MIGRATIONS]).await;
    let url = test.settings.url.clone();
    let store = test.store;
    let last = store.clone();
    let operation = crate::tables::steps(move |tx| {
        let _held = last.clone();
        async move { tx.execute(&crate::tables::INSERT, &[7.into()]).await.map(drop) }.boxed()
    });
    assert!(store.run(operation).now_or_never().is_none(), "it stands in the queue, and nobody waits for it");
    drop(store);
    testkit::wait_until("the file is let go", std::time::Duration::from_secs(10), async || {
        knock(&url).is_ok()
    })
    .await;
    let again = knock(&url).expect("it is free");
    assert_eq!(again.scan(crate::tables::All(&crate::tables::NUMBERS)).await.expect("read"), [7]);
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_but_its_owner_may_read_a_fresh_database() {
    use std::os::unix::fs::PermissionsExt;
    let test = sqlite(&[MIGRATIONS]).await;
    test.store.run(InsertPair(1)).await.expect("written");
    let path = test.settings.sqlite_path().expect("a file");
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let file = std::path::PathBuf::from(format!("{}{suffix}", path.display()));
        let mode = std::fs::metadata(&file).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
}
