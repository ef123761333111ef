//! kill -9 while events are taken in: what was acknowledged is there, and telling everything again adds what is missing
//! and nothing twice.

use crate::told::{account, all_events, at, ledger, login, told};
use ledger::{Applied, Ledger, Received, Tombstones};
use std::collections::BTreeSet;
use std::time::Duration;
use store::testing::engines;
use store::{Clock, Settings, Store};
use testkit::Rerun;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const WRITERS: usize = 4;
const BATCH: usize = 3;

/// The batch of that number: its events are the same in each life.
fn batch(number: usize) -> Vec<Received> {
    (number * BATCH..(number + 1) * BATCH)
        .map(|n| told(n, &account(n % 7), at(i64::try_from(n).expect("few")), login()))
        .collect()
}

async fn apply_until_killed(url: &str) {
    let store = Store::open(&Settings::at(url), Clock::system()).expect("opened");
    let ledger = Ledger::new(store, Tombstones::new(&keys::RootKey::generate(), Duration::ZERO), vec![]);
    let (acknowledged, mut numbers) = mpsc::unbounded_channel();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (ledger, acknowledged) = (ledger.clone(), acknowledged.clone());
        writers.spawn(async move {
            for number in (writer..).step_by(WRITERS) {
                ledger.apply_batch(batch(number)).await.expect("applied");
                acknowledged.send(number).expect("somebody listens");
            }
        });
    }
    while let Some(number) = numbers.recv().await {
        Rerun::say(number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_loses_nothing_acknowledged_and_a_second_telling_doubles_nothing() {
    if let Some(url) = Rerun::told() {
        return apply_until_killed(&url).await;
    }
    for mut test in engines(&[ledger::MIGRATIONS]).await {
        let url = test.settings.url.clone();
        drop(test.store);
        let mut child = Rerun::of(
            "crash::a_killed_process_loses_nothing_acknowledged_and_a_second_telling_doubles_nothing",
            &url,
        );
        let mut said: Vec<String> = (0..100).map_while(|_| child.said()).collect();
        assert_eq!(said.len(), 100, "it works until it is killed");
        said.extend(child.kill());
        let acknowledged: BTreeSet<usize> =
            said.iter().map(|number| number.parse().expect("a number")).collect();
        let all = acknowledged.last().expect("a hundred") + 2 * WRITERS;

        test.store = Store::open(&test.settings, test.clock.clone()).expect("opened again");
        let ledger = ledger(&test, vec![]);
        let mut known_batches = BTreeSet::new();
        for number in 0..all {
            let applied = ledger.apply_batch(batch(number)).await.expect("applied");
            let known = applied.iter().filter(|applied| **applied == Applied::Known).count();
            assert!(known == 0 || known == BATCH, "a batch is there as a whole or not at all: {applied:?}");
            if known == BATCH {
                known_batches.insert(number);
            }
        }
        assert!(known_batches.is_superset(&acknowledged), "something acknowledged is lost");
        assert!(known_batches.len() < all);
        let told: Vec<i64> = all_events(&ledger).await.iter().map(|event| event.at.get()).collect();
        let each: BTreeSet<i64> = told.iter().copied().collect();
        assert_eq!((told.len(), each.len()), (all * BATCH, all * BATCH), "each is there once");
    }
}
