//! A fresh store on each engine, for tests: `for engine in engines().await { … }`.

use crate::{Clock, Engine, Migration, Operation, Settings, Sql, Store, StoreError, Tx, Value};
use account::Millis;

/// A store of its own, gone when dropped.
pub struct TestStore {
    /// The store, on a manual clock.
    pub store: Store,
    /// How it was opened, to open it again.
    pub settings: Settings,
    /// The clock it goes by.
    pub clock: Clock,
    _folder: Option<tempfile::TempDir>,
}

/// When tests begin: 2026-09-09T…, in milliseconds.
pub const START: Millis = Millis::new(1_789_000_000_000);

/// A fresh SQLite store, migrated.
pub async fn sqlite(migrations: &[&'static [Migration]]) -> TestStore {
    sqlite_with(migrations, |_| ()).await
}

/// The same, with settings changed before it is opened.
pub async fn sqlite_with(
    migrations: &[&'static [Migration]],
    change: impl FnOnce(&mut Settings),
) -> TestStore {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut settings = Settings::at(format!("sqlite:{}", folder.path().join("test.db").display()));
    change(&mut settings);
    opened(settings, migrations, Some(folder)).await
}

/// A fresh PostgreSQL database, migrated.
pub async fn postgres(migrations: &[&'static [Migration]]) -> TestStore {
    postgres_with(migrations, |_| ()).await
}

/// The same, with settings changed before it is opened.
pub async fn postgres_with(
    migrations: &[&'static [Migration]],
    change: impl FnOnce(&mut Settings),
) -> TestStore {
    let mut settings = Settings::at(testkit::postgres_server().fresh_database().await);
    // Machines that run tests are busy: that a read is given up is for the tests of that.
    settings.read_timeout_ms = 5_000;
    change(&mut settings);
    opened(settings, migrations, None).await
}

/// One of each.
pub async fn engines(migrations: &[&'static [Migration]]) -> [TestStore; 2] {
    [sqlite(migrations).await, postgres(migrations).await]
}

/// Prepares every statement on both engines, and fails with the first that one of them does not take.
pub async fn prepare_all(migrations: &[&'static [Migration]], statements: &[&[&'static crate::Sql]]) {
    for test in engines(migrations).await {
        for sql in statements.iter().copied().flatten() {
            let engine = test.store.engine();
            if let Err(error) = test.store.prepare(sql).await {
                panic!("{engine:?} does not take this statement: {error}\n{}", sql.for_engine(engine));
            }
        }
    }
}

/// How PostgreSQL means to run a statement, as `explain` tells it.
pub async fn plan(store: &Store, sql: &'static Sql, params: Vec<Value<'static>>) -> String {
    struct Explain(&'static Sql, Vec<Value<'static>>);

    impl Operation for Explain {
        const NAME: &'static str = "test.explain";
        type Output = String;

        async fn run(&self, tx: &mut Tx<'_>) -> Result<String, StoreError> {
            Ok(tx.query(self.0, &self.1, |row| row.text(0).map(str::to_owned)).await?.join("\n"))
        }
    }

    let text = format!("explain {}", sql.for_engine(Engine::Postgres)).leak();
    let explained = Box::leak(Box::new(Sql::per_engine("select 'no plan'", text)));
    store.run(Explain(explained, params)).await.expect("the store explains")
}

impl TestStore {
    /// Which engine it is on.
    pub fn engine(&self) -> Engine {
        self.store.engine()
    }
}

async fn opened(
    settings: Settings,
    migrations: &[&'static [Migration]],
    folder: Option<tempfile::TempDir>,
) -> TestStore {
    let clock = Clock::manual(START);
    let store = Store::open(&settings, clock.clone()).expect("the store can be opened");
    store.migrate(migrations).await.expect("the migrations can be applied");
    TestStore { store, settings, clock, _folder: folder }
}
