//! SQLite's readers keep their view of the file from one read to the next: nobody notices.

use crate::tables::{Counter, INSERT_BODY, Increment, MIGRATIONS, steps};
use futures::FutureExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::Duration;
use store::testing::{TestStore, sqlite};
use store::{Store, StoreError};

/// What is written while others read, in bytes: many times what the log may grow to.
const WRITTEN: usize = 160 << 20;
const AT_ONCE: usize = 2 << 20;
/// The log is taken back at 4,000 pages of 4 KiB; what is added while that cannot be done is well below this.
const LARGEST_LOG: u64 = 64 << 20;

/// On this thread's own reader; on SQLite it is ready at once.
fn counter(store: &Store) -> i64 {
    store.read(&Counter("one")).now_or_never().expect("read inline").expect("the store answers")
}

fn file(test: &TestStore) -> PathBuf {
    PathBuf::from(test.settings.url.strip_prefix("sqlite:").expect("a file"))
}

/// Reads on some threads of their own for as long as `meanwhile` takes.
fn while_read(store: &Store, read: impl Fn(i64) + Sync, meanwhile: impl Future<Output = ()>) {
    let over = AtomicBool::new(false);
    let handle = tokio::runtime::Handle::current();
    let on_and_on = || {
        let _here = handle.enter();
        while !over.load(Ordering::Relaxed) {
            read(counter(store));
        }
    };
    // The writer answers from a thread of its own, so that waiting for it here keeps nobody from reading.
    thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(on_and_on);
        }
        tokio::task::block_in_place(|| handle.block_on(meanwhile));
        over.store(true, Ordering::Relaxed);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_for_is_read_on_every_thread() {
    let test = sqlite(&[MIGRATIONS]).await;
    let answered = AtomicI64::new(0);
    let stale = AtomicBool::new(false);
    let check = |_| {
        let known = answered.load(Ordering::SeqCst);
        if counter(&test.store) < known {
            stale.store(true, Ordering::SeqCst);
        }
    };
    while_read(&test.store, check, async {
        for _ in 0..200 {
            let value = test.store.run(Increment("one")).await.expect("written");
            answered.store(value, Ordering::SeqCst);
        }
    });
    assert!(!stale.into_inner(), "a thread read what was so before a commit that had been answered for");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_taken_back_into_the_file_while_views_are_open() {
    let test = sqlite(&[MIGRATIONS]).await;
    while_read(&test.store, drop, async {
        write(&test.store, WRITTEN).await;
    });
    let log = length(&file(&test).with_extension("db-wal"));
    assert!(log < LARGEST_LOG, "the log has grown to {log} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_is_taken_back_when_nothing_is_written_whoever_reads() {
    let test = sqlite(&[MIGRATIONS]).await;
    write(&test.store, 2 * AT_ONCE).await;
    let path = file(&test);
    assert!(length(&path) < AT_ONCE as u64, "what was written is in the log");
    while_read(&test.store, drop, async {
        let taken_back = async || length(&path) > AT_ONCE as u64;
        testkit::wait_until("the log is taken back", Duration::from_secs(20), taken_back).await;
    });
}

#[tokio::test]
async fn a_reader_that_is_idle_keeps_nobody_from_closing_the_file_tidily() {
    let test = sqlite(&[MIGRATIONS]).await;
    test.store.run(Increment("one")).await.expect("written");
    assert_eq!(counter(&test.store), 1);
    let path = file(&test);
    drop(test.store);
    assert_eq!(length(&path.with_extension("db-wal")), 0, "the log is in the file");
}

#[tokio::test]
async fn what_another_program_writes_to_the_file_is_seen_soon() {
    let test = sqlite(&[MIGRATIONS]).await;
    assert_eq!(counter(&test.store), 0);
    let other = rusqlite::Connection::open(file(&test)).expect("SQLite's own tools may look and mend");
    other.execute("update counters set value = 5 where name = 'one'", []).expect("written");
    testkit::wait_until("it is seen", Duration::from_secs(10), async || counter(&test.store) == 5).await;
}

#[tokio::test]
async fn a_failed_read_leaves_a_reader_that_reads_on() {
    let test = sqlite(&[MIGRATIONS]).await;
    let missing = test.store.read(&Counter("none")).now_or_never().expect("read inline");
    assert!(matches!(missing, Err(StoreError::Statement { .. })), "{missing:?}");
    test.store.run(Increment("one")).await.expect("written");
    assert_eq!(counter(&test.store), 1);
}

async fn write(store: &Store, bytes: usize) {
    for _ in 0..bytes / AT_ONCE {
        let write = steps(|tx| {
            let body = vec![7_u8; AT_ONCE];
            async move { tx.execute(&INSERT_BODY, &[body.as_slice().into()]).await.map(drop) }.boxed()
        });
        store.run(write).await.expect("written");
    }
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}
