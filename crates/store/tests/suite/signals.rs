//! Signals between those who use a store.

use crate::tables::MIGRATIONS;
use std::time::Duration;
use store::testing::{engines, postgres};
use store::{Clock, Store};
use tokio::sync::watch::Receiver;
use tokio::task::JoinSet;
use tokio_postgres::NoTls;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);

async fn changed(receiver: &mut Receiver<u64>) {
    let heard = tokio::time::timeout(PATIENCE, receiver.changed()).await;
    heard.expect("the signal comes").expect("the store is there");
}

#[tokio::test]
async fn a_signal_is_heard_by_those_who_listen_to_its_topic() {
    for test in engines(&[]).await {
        let (mut one, mut also_one, two) = (
            test.store.signals().listen("one"),
            test.store.clone().signals().listen("one"),
            test.store.signals().listen("two"),
        );
        test.store.signals().send("one");
        test.store.signals().send("one");
        changed(&mut one).await;
        changed(&mut also_one).await;
        assert!(!two.has_changed().expect("the store is there"));
        assert!(!one.has_changed().expect("the store is there"), "two at once may be heard as one");
    }
}

/// Ends the connections that listen.
async fn cut_listeners(url: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("connected");
    let cut = async {
        let listeners = "select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and query like 'listen %'";
        let rows = client.simple_query(listeners).await.expect("cut");
        drop(client);
        rows.len()
    };
    let (rows, _) = tokio::join!(cut, connection);
    assert!(rows > 1, "somebody listens");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_hears_it_too_and_hears_again_after_its_listener_was_cut() {
    let test = postgres(&[MIGRATIONS]).await;
    let (here, there) = (&test.store, Store::open(&test.settings, Clock::system()).expect("opened"));
    let mut topic = there.signals().listen("topic");
    // A listener that has (re)connected says so on every topic, because something may have been missed.
    let mut connected = there.signals().listen("another topic");
    let mut tasks = JoinSet::new();
    let stop = CancellationToken::new();
    tasks.spawn(here.clone().background(stop.clone()));
    tasks.spawn(there.clone().background(stop.clone()));

    for round in 0..2 {
        changed(&mut connected).await;
        changed(&mut topic).await;
        for _ in 0..3 {
            here.signals().send("topic");
            changed(&mut topic).await;
        }
        assert!(!connected.has_changed().expect("the store is there"), "it was heard, and not guessed");
        if round == 0 {
            cut_listeners(&test.settings.url).await;
        }
    }
    stop.cancel();
    tasks.join_all().await;
}
