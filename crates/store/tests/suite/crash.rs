//! kill -9 at any moment: what was acknowledged is there afterwards, and nothing by half.

use crate::tables::{InsertPair, MIGRATIONS, whole_numbers};
use std::collections::HashSet;
use std::time::Duration;
use store::testing::engines;
use store::{Clock, Settings, Store};
use testkit::{Postgres, Rerun, wait_until};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const WRITERS: usize = 8;

/// Writers that commit numbers, each its own, and tell of each that was acknowledged; they end at the first error.
fn write_numbers(store: &Store, acknowledged: &mpsc::UnboundedSender<i64>) -> JoinSet<()> {
    let mut writers = JoinSet::new();
    for writer in (0..).take(WRITERS) {
        let (store, acknowledged) = (store.clone(), acknowledged.clone());
        writers.spawn(async move {
            for number in (writer..).step_by(WRITERS) {
                if store.run(InsertPair(number)).await.is_err() || acknowledged.send(number).is_err() {
                    return;
                }
            }
        });
    }
    writers
}

fn opened(url: &str) -> Store {
    Store::open(&Settings::at(url), Clock::system()).expect("the store can be opened")
}

async fn write_until_killed(url: &str) {
    let (sender, mut acknowledged) = mpsc::unbounded_channel();
    let _writers = write_numbers(&opened(url), &sender);
    while let Some(number) = acknowledged.recv().await {
        Rerun::say(number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_acknowledgement_and_exit_loses_nothing_acknowledged() {
    if let Some(url) = Rerun::told() {
        return write_until_killed(&url).await;
    }
    for test in engines(&[MIGRATIONS]).await {
        let url = test.settings.url.clone();
        drop(test.store);
        let mut child =
            Rerun::of("crash::a_kill_between_acknowledgement_and_exit_loses_nothing_acknowledged", &url);
        let mut said: Vec<String> = (0..200).map_while(|_| child.said()).collect();
        assert_eq!(said.len(), 200, "it writes until it is killed");
        said.extend(child.kill());

        let there: HashSet<i64> = whole_numbers(&opened(&url)).await.into_iter().collect();
        for number in said {
            assert!(
                there.contains(&number.parse().expect("a number")),
                "{number} was acknowledged, and is lost"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_server_loses_nothing_acknowledged() {
    let mut server = Postgres::start();
    let url = server.fresh_database().await;
    let store = opened(&url);
    store.migrate(&[MIGRATIONS]).await.expect("migrated");
    let (sender, mut acknowledged) = mpsc::unbounded_channel();
    let writers = write_numbers(&store, &sender);
    drop(sender);
    let mut numbers = Vec::new();
    while numbers.len() < 200 {
        numbers.push(acknowledged.recv().await.expect("they write"));
    }
    let mut server = tokio::task::spawn_blocking(move || {
        server.crash();
        server
    })
    .await
    .expect("it crashed");
    writers.join_all().await;
    while let Some(number) = acknowledged.recv().await {
        numbers.push(number);
    }
    let _server = tokio::task::spawn_blocking(move || {
        server.start_again();
        server
    })
    .await
    .expect("it is up again");

    // The same store, with the connections it had.
    wait_until("the store answers again", Duration::from_secs(10), async || store.ping().await.is_ok()).await;
    let there: HashSet<i64> = whole_numbers(&store).await.into_iter().collect();
    for number in numbers {
        assert!(there.contains(&number), "{number} was acknowledged, and is lost");
    }
}
