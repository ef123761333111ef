//! An account is locked until the end of the transaction, and a transaction that stands still is ended.

use crate::tables::{MIGRATIONS, steps};
use account::{AccountId, IdpId, Subject};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;
use store::testing::{engines, postgres, postgres_with};
use store::{Clock, Settings, Store, StoreError};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

const PATIENCE: Duration = Duration::from_mins(1);

fn account(subject: &str) -> AccountId {
    AccountId::new(IdpId::new("idp").expect("valid"), Subject::new(subject).expect("valid"))
}

fn a_and_b() -> [AccountId; 2] {
    [account("a"), account("b")]
}

/// Which of the two can be had now.
async fn free(store: &Store) -> Vec<AccountId> {
    let tried = steps(|tx| Box::pin(async move { tx.try_lock_accounts(&a_and_b()).await }));
    store.run(tried).await.expect("nobody is waited for")
}

#[tokio::test]
async fn accounts_that_nobody_is_at_can_be_had() {
    for test in engines(&[MIGRATIONS]).await {
        assert_eq!(free(&test.store).await, a_and_b());
        assert_eq!(free(&test.store).await, a_and_b(), "and again after that");
    }
}

#[tokio::test]
async fn whoever_does_not_wait_has_those_that_nobody_else_is_at() {
    let test = postgres(&[MIGRATIONS]).await;
    let (locked, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let holds = {
        let (locked, done) = (Arc::clone(&locked), Arc::clone(&done));
        steps(move |tx| {
            let (locked, done) = (Arc::clone(&locked), Arc::clone(&done));
            Box::pin(async move {
                tx.lock_accounts(&[account("a")]).await?;
                locked.notify_one();
                done.notified().await;
                Ok(())
            })
        })
    };
    let meanwhile = async {
        locked.notified().await;
        let free = free(&test.store).await;
        done.notify_one();
        free
    };
    let (held, free_then) = tokio::join!(test.store.run(holds), meanwhile);
    held.expect("committed");
    assert_eq!(free_then, [account("b")]);
    assert_eq!(free(&test.store).await, a_and_b());
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_of_a_process_that_stands_still_are_free_when_its_time_is_up() {
    let test = postgres_with(&[MIGRATIONS], |settings| settings.transaction_timeout_ms = 1_000).await;
    let (locked, is_locked) = mpsc::channel();
    let (had, is_had) = mpsc::channel();
    let settings = Settings { transaction_timeout_ms: 60_000, ..test.settings.clone() };
    let other = thread::spawn(move || {
        is_locked.recv_timeout(PATIENCE).expect("it is locked");
        let locks = steps(|tx| Box::pin(async move { tx.lock_accounts(&[account("a")]).await }));
        Runtime::new().expect("a runtime").block_on(async {
            let store = Store::open(&settings, Clock::system()).expect("opened");
            store.run(locks).await.expect("it is free in the end");
        });
        had.send(()).expect("somebody stands still until then");
    });
    let still = Arc::new(Mutex::new(Some((locked, is_had))));
    let stands_still = steps(move |tx| {
        let still = Arc::clone(&still);
        Box::pin(async move {
            tx.lock_accounts(&[account("a")]).await?;
            // The first time; its thread stands still, and no deadline of its own is kept.
            if let Some((locked, is_had)) = still.lock().expect("no panic").take() {
                locked.send(()).expect("somebody waits for it");
                is_had.recv_timeout(PATIENCE).expect("the lock is had by somebody else");
            }
            tx.lock_accounts(&[account("b")]).await
        })
    });
    let outcome = test.store.run(stands_still).await;
    assert!(outcome.as_ref().map_or_else(StoreError::is_outage, |()| true), "{outcome:?}");
    other.join().expect("no panic");
}
