//! Prepared statements go stale when the schema moves under them: they are prepared anew, and nobody notices.

use crate::tables::{Counter, Increment, MIGRATIONS, steps};
use futures::FutureExt;
use std::sync::Arc;
use store::testing::postgres_with;
use store::{Sql, Store};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

const CONNECTIONS: usize = 10;

static NARROW: Sql = Sql::both("alter table counters alter column value type integer");
static WIDE: Sql = Sql::both("alter table counters alter column value type bigint");

/// Reads the counter on every connection of the pool at once.
async fn on_every_connection(store: &Store) -> Vec<i64> {
    let all_here = Arc::new(Barrier::new(CONNECTIONS));
    let mut readers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (store, all_here) = (store.clone(), Arc::clone(&all_here));
        readers.spawn(async move {
            let read = steps(move |tx| {
                let all_here = Arc::clone(&all_here);
                async move {
                    let value =
                        tx.query_one(&crate::tables::COUNTER, &["one".into()], |row| row.int(0)).await?;
                    all_here.wait().await;
                    Ok(value)
                }
                .boxed()
            });
            store.run(read).await.expect("read")
        });
    }
    readers.join_all().await
}

async fn alter(store: &Store, sql: &'static Sql) {
    store
        .run(steps(move |tx| async move { tx.execute(sql, &[]).await.map(drop) }.boxed()))
        .await
        .expect("altered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_of_another_type_is_read_on_though_every_connection_knew_the_old_one() {
    let test = postgres_with(&[MIGRATIONS], |settings| {
        settings.pool_size = CONNECTIONS;
        settings.read_connections = 4;
    })
    .await;
    let store = &test.store;
    store.run(Increment("one")).await.expect("counted");
    for sql in [&NARROW, &WIDE] {
        assert_eq!(on_every_connection(store).await, [1; CONNECTIONS]);
        for _ in 0..8 {
            assert_eq!(store.read(&Counter("one")).await.expect("read"), 1);
        }
        alter(store, sql).await;
        // Whichever connection it gets, the first operation and the first read must do.
        let value = store.run(steps(|tx| {
            async move { tx.query_one(&crate::tables::COUNTER, &["one".into()], |row| row.int(0)).await }
                .boxed()
        }));
        assert_eq!(value.await.expect("prepared anew"), 1);
        assert_eq!(store.read(&Counter("one")).await.expect("prepared anew"), 1);
    }
}
