//! What is to be done after a commit is done once, and only then.

use crate::tables::{INSERT, MIGRATIONS, steps};
use futures::FutureExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use store::testing::engines;
use store::{StoreError, Tx};

#[derive(Clone, Default)]
struct Tally(Arc<AtomicUsize>);

impl Tally {
    fn count_after(&self, tx: &mut Tx<'_>) {
        let tally = self.clone();
        tx.after_commit(move || {
            tally.0.fetch_add(1, Ordering::SeqCst);
        });
    }

    fn counted(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn an_operation_that_is_run_again_counts_once() {
    for test in engines(&[MIGRATIONS]).await {
        let (tally, runs) = (Tally::default(), Tally::default());
        let (counting, running) = (tally.clone(), runs.clone());
        let lost_once = steps(move |tx| {
            counting.count_after(tx);
            let first = running.0.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                match tx.engine() {
                    store::Engine::Postgres if first => {
                        Err(StoreError::Conflict { attempts: 1, reason: "a lost race".into() })
                    }
                    _ => Ok(()),
                }
            }
            .boxed()
        });
        test.store.run(lost_once).await.expect("in the end");
        let tries = if test.engine() == store::Engine::Postgres { 2 } else { 1 };
        assert_eq!((runs.counted(), tally.counted()), (tries, 1));
    }
}

#[tokio::test]
async fn an_operation_that_fails_counts_nothing() {
    for test in engines(&[MIGRATIONS]).await {
        let tally = Tally::default();
        let counting = tally.clone();
        let twice = steps(move |tx| {
            counting.count_after(tx);
            async move {
                tx.execute(&INSERT, &[1.into()]).await?;
                tx.execute(&INSERT, &[1.into()]).await.map(drop)
            }
            .boxed()
        });
        test.store.run(twice).await.expect_err("there already");
        assert_eq!(tally.counted(), 0);
    }
}
