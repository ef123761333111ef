//! Steps of the schema: each once, all or none, by however many nodes.

use crate::tables::{INSERT_ONCE, MIGRATIONS, steps};
use futures::FutureExt;
use store::testing::engines;
use store::{Engine, Migration, MigrationReport, Sql, Store, StoreError};
use tokio::task::JoinSet;

static LATER: &[Migration] = &[
    Migration::both(
        "test 0002 letters",
        "create table letters (letter text); insert into letters values ('a')",
    ),
    Migration::per_engine(
        "test 0003 more letters",
        "insert into letters values ('b'), ('sqlite')",
        "insert into letters values ('b'), ('postgres')",
    ),
];
static BROKEN: &[Migration] = &[
    Migration::both("test 0002 digits", "create table digits (digit text)"),
    Migration::both("test 0003 broken", "insert into nowhere values (1)"),
];
static LETTERS: Sql = Sql::both("select letter from letters order by letter");
static DIGITS: Sql = Sql::both("select digit from digits");

async fn texts(store: &Store, sql: &'static Sql) -> Result<Vec<String>, StoreError> {
    let read = steps(move |tx| {
        async move { tx.query(sql, &[], |row| row.text(0).map(str::to_owned)).await }.boxed()
    });
    store.run(read).await
}

#[tokio::test]
async fn steps_are_applied_once_in_their_order_and_pending_ones_are_listed() {
    for test in engines(&[MIGRATIONS]).await {
        let pending = test.store.pending_migrations(&[MIGRATIONS, LATER]).await.expect("asked");
        let names = vec!["test 0002 letters", "test 0003 more letters"];
        assert_eq!(pending, MigrationReport { applied: names.clone(), already: 2, unknown: vec![] });
        assert!(texts(&test.store, &LETTERS).await.is_err(), "only asked");

        let applied = test.store.migrate(&[MIGRATIONS, LATER]).await.expect("applied");
        assert_eq!(applied, pending);
        let engine = if test.engine() == Engine::Sqlite { "sqlite" } else { "postgres" };
        assert_eq!(texts(&test.store, &LETTERS).await.expect("there"), ["a", "b", engine]);

        let again = test.store.migrate(&[MIGRATIONS, LATER]).await.expect("nothing to do");
        assert_eq!(again, MigrationReport { applied: vec![], already: 4, unknown: vec![] });

        let before = test.store.pending_migrations(&[MIGRATIONS]).await.expect("asked");
        assert_eq!(
            (before.applied, before.unknown),
            (vec![], names.iter().map(|it| (*it).to_owned()).collect())
        );
        assert_eq!(texts(&test.store, &LETTERS).await.expect("there").len(), 3);
    }
}

#[tokio::test]
async fn a_step_that_fails_undoes_those_before_it_and_is_named() {
    for test in engines(&[MIGRATIONS]).await {
        let error = test.store.migrate(&[MIGRATIONS, BROKEN]).await.expect_err("it is broken");
        assert!(error.to_string().contains("test 0003 broken"), "{error}");
        assert!(texts(&test.store, &DIGITS).await.is_err(), "the step before is undone");
        assert_eq!(
            test.store.pending_migrations(&[MIGRATIONS, BROKEN]).await.expect("asked").applied.len(),
            2
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_nodes_at_once_apply_each_step_once() {
    for test in engines(&[]).await {
        let mut nodes = JoinSet::new();
        for _ in 0..6 {
            // On PostgreSQL each node is a process of its own; on SQLite they share the one there is.
            let store = match test.engine() {
                Engine::Sqlite => test.store.clone(),
                Engine::Postgres => Store::open(&test.settings, test.clock.clone()).expect("opened"),
            };
            nodes.spawn(async move { store.migrate(&[MIGRATIONS, LATER]).await.expect("migrated") });
        }
        let applied: Vec<_> = nodes.join_all().await.into_iter().flat_map(|report| report.applied).collect();
        assert_eq!(applied.len(), MIGRATIONS.len() + LATER.len(), "{applied:?}");
        assert_eq!(texts(&test.store, &LETTERS).await.expect("there").len(), 3);
        let insert = steps(|tx| async move { tx.execute(&INSERT_ONCE, &[1.into()]).await }.boxed());
        assert_eq!(test.store.run(insert).await.expect("usable"), 1);
    }
}
