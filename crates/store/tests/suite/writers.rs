//! Many at once.

use crate::tables::{Counter, Increment, InsertPair, MIGRATIONS, whole_numbers};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use store::testing::engines;
use tokio::task::JoinSet;

const WRITERS: i64 = 64;
const EACH: i64 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_writers_at_once_lose_nothing() {
    for test in engines(&[MIGRATIONS]).await {
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let store = test.store.clone();
            writers.spawn(async move {
                let mut seen = Vec::new();
                for step in 0..EACH {
                    seen.push(store.run(Increment("one")).await.expect("counted"));
                    store.run(InsertPair(writer * EACH + step)).await.expect("inserted");
                }
                seen
            });
        }
        let mut seen: Vec<i64> = writers.join_all().await.into_iter().flatten().collect();
        seen.sort_unstable();
        assert_eq!(seen, (1..=WRITERS * EACH).collect::<Vec<_>>(), "every writer saw a count of its own");
        assert_eq!(test.store.read(&Counter("one")).await.expect("read"), WRITERS * EACH);
        assert_eq!(whole_numbers(&test.store).await, (0..WRITERS * EACH).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_point_read_never_goes_back_behind_what_was_acknowledged() {
    for test in engines(&[MIGRATIONS]).await {
        let acknowledged = Arc::new(AtomicI64::new(0));
        let done = Arc::new(AtomicBool::new(false));
        let mut readers = JoinSet::new();
        for _ in 0..4 {
            let (store, acknowledged, done) =
                (test.store.clone(), Arc::clone(&acknowledged), Arc::clone(&done));
            readers.spawn(async move {
                let (mut reads, mut last) = (0, 0);
                while !done.load(Ordering::SeqCst) || reads == 0 {
                    let at_least = acknowledged.load(Ordering::SeqCst).max(last);
                    last = store.read(&Counter("one")).await.expect("read");
                    assert!(last >= at_least, "read {last} after {at_least} was known");
                    reads += 1;
                    tokio::task::yield_now().await;
                }
            });
        }
        let mut writers = JoinSet::new();
        for _ in 0..4 {
            let (store, acknowledged) = (test.store.clone(), Arc::clone(&acknowledged));
            writers.spawn(async move {
                for _ in 0..50 {
                    let value = store.run(Increment("one")).await.expect("counted");
                    acknowledged.fetch_max(value, Ordering::SeqCst);
                }
            });
        }
        writers.join_all().await;
        done.store(true, Ordering::SeqCst);
        readers.join_all().await;
        assert_eq!(acknowledged.load(Ordering::SeqCst), 200);
    }
}

/// The first readers of a process find no connection yet and make theirs together: nobody may wait for a connection
/// that another holds for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_first_readers_at_once_are_all_answered() {
    for test in engines(&[MIGRATIONS]).await {
        let mut readers = JoinSet::new();
        for _ in 0..WRITERS {
            let store = test.store.clone();
            readers.spawn(async move { store.read(&Counter("one")).await });
        }
        for answer in readers.join_all().await {
            assert_eq!(answer.expect("answered"), 0);
        }
    }
}
