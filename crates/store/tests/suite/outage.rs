//! The server goes away and comes back while everybody is at work.

use crate::tables::{Counter, Increment, InsertPair, MIGRATIONS, whole_numbers};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use store::{Clock, Settings, Store};
use testkit::{Fsync, Postgres, wait_until};
use tokio::task::JoinSet;

const WRITERS: i64 = 16;

/// How the writers fared: which numbers were acknowledged, and how many operations failed.
#[derive(Default)]
struct Fared {
    acknowledged: Vec<i64>,
    failed: usize,
}

async fn write(store: Store, next: Arc<AtomicI64>, written: Arc<AtomicI64>, done: Arc<AtomicBool>) -> Fared {
    let mut fared = Fared::default();
    while !done.load(Ordering::SeqCst) {
        let number = next.fetch_add(1, Ordering::SeqCst);
        match store.run(InsertPair(number)).await {
            Ok(()) => {
                fared.acknowledged.push(number);
                written.fetch_add(1, Ordering::SeqCst);
            }
            Err(error) => {
                assert!(error.is_outage(), "an outage is nothing else: {error}");
                fared.failed += 1;
                tokio::task::yield_now().await;
            }
        }
    }
    fared
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_restart_in_mid_load_leaves_nothing_by_half_and_the_pool_recovers() {
    let server = Postgres::options().fsync(Fsync::Off).start();
    let settings = Settings::at(server.fresh_database().await);
    let store = Store::open(&settings, Clock::system()).expect("opened");
    store.migrate(&[MIGRATIONS]).await.expect("migrated");

    let (next, written, done) = (Arc::default(), Arc::<AtomicI64>::default(), Arc::<AtomicBool>::default());
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        writers.spawn(write(store.clone(), Arc::clone(&next), Arc::clone(&written), Arc::clone(&done)));
    }
    let some_more = async |what: &str| {
        let goal = written.load(Ordering::SeqCst) + 10 * WRITERS;
        let holds = async || written.load(Ordering::SeqCst) >= goal;
        wait_until(what, Duration::from_secs(20), holds).await;
    };
    some_more("they write").await;
    store.read(&Counter("one")).await.expect("reads are answered");
    let _server = tokio::task::spawn_blocking(move || {
        let mut server = server;
        server.restart();
        server
    })
    .await
    .expect("restarted");
    let reads = async || store.read(&Counter("one")).await.is_ok();
    wait_until("point reads recover", Duration::from_secs(10), reads).await;
    some_more("they write again").await;
    done.store(true, Ordering::SeqCst);

    let fared = writers.join_all().await;
    assert!(fared.iter().any(|fared| fared.failed > 0), "the restart was felt");
    let there: HashSet<i64> = whole_numbers(&store).await.into_iter().collect();
    for number in fared.iter().flat_map(|fared| &fared.acknowledged) {
        assert!(there.contains(number), "{number} was acknowledged, and is lost");
    }
    // Every connection that was lost has given its place back.
    let mut all = JoinSet::new();
    for _ in 0..2 * settings.pool_size {
        let store = store.clone();
        all.spawn(async move { store.run(Increment("one")).await });
    }
    assert!(all.join_all().await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_server_that_is_down_is_an_outage_and_no_reason_not_to_start() {
    let port = testkit::free_port();
    let settings = Settings::at(format!("postgres://postgres@127.0.0.1:{port}/postgres"));
    let store = Store::open(&settings, Clock::system()).expect("opened");
    assert!(store.ping().await.expect_err("nobody is there").is_outage());
    assert!(store.read(&Counter("one")).await.expect_err("nobody is there").is_outage());
}

/// All connections are cut at once, as a failing network does it. Reads are answered nonetheless: nothing is lost by
/// asking again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cut_connections_are_replaced_without_anybody_noticing() {
    let test = store::testing::postgres(&[MIGRATIONS]).await;
    for _ in 0..5 {
        let mut work = JoinSet::new();
        for _ in 0..8 {
            let store = test.store.clone();
            work.spawn(async move { store.read(&Counter("one")).await.map(drop) });
            let store = test.store.clone();
            work.spawn(async move { store.run(Increment("one")).await.map(drop) });
        }
        for outcome in work.join_all().await {
            outcome.expect("a connection that is lost before the commit is replaced");
        }
        let (client, connection) =
            tokio_postgres::connect(&test.settings.url, tokio_postgres::NoTls).await.expect("connected");
        let cut = async {
            let others = "select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()";
            let cut = client.simple_query(others).await.expect("cut");
            drop(client);
            cut.len()
        };
        let (cut, _) = tokio::join!(cut, connection);
        assert!(cut > 1);
    }
}
