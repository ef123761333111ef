//! The tables and operations that the tests share.

use futures::future::BoxFuture;
use std::marker::PhantomData;
use store::{Migration, Operation, PointRead, Rows, Sql, Store, StoreError, Tx, Value};

pub(crate) static MIGRATIONS: &[Migration] = &[Migration::both(
    "test 0001 tables",
    "create table counters (name varchar(20) primary key, value bigint not null);
     insert into counters values ('one', 0), ('two', 0);
     create table numbers (number bigint primary key);
     create table twins (number bigint primary key);
     create table bodies (id {identity}, body {bytes} not null);",
)];

store::statements! {
    pub(crate) static INCREMENT = both("update counters set value = value + 1 where name = $1 returning value");
    pub(crate) static COUNTER = both("select value from counters where name = $1");
    pub(crate) static INSERT = both("insert into numbers (number) values ($1)");
    pub(crate) static INSERT_ONCE = both("insert into numbers (number) values ($1) on conflict do nothing");
    pub(crate) static INSERT_TWIN = both("insert into twins (number) values ($1)");
    pub(crate) static COUNT_NUMBERS = both("select count(*) from numbers");
    pub(crate) static NUMBERS = both("select number from numbers order by number");
    pub(crate) static TWINS = both("select number from twins order by number");
    pub(crate) static INSERT_BODY = both("insert into bodies (body) values ($1)");
}

/// An operation made of a closure: `steps(|tx| Box::pin(async move { … }))`.
pub(crate) struct Steps<T, F, const RESOLVES_UNKNOWN: bool>(F, PhantomData<fn() -> T>);

pub(crate) fn steps<T, F>(run: F) -> Steps<T, F, false>
where
    F: for<'t> Fn(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send + Sync + 'static,
{
    Steps(run, PhantomData)
}

/// The same, for one that finds out by running again whether it had been committed.
pub(crate) fn resolving_steps<T, F>(run: F) -> Steps<T, F, true>
where
    F: for<'t> Fn(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send + Sync + 'static,
{
    Steps(run, PhantomData)
}

impl<T, F, const RESOLVES_UNKNOWN: bool> Operation for Steps<T, F, RESOLVES_UNKNOWN>
where
    T: Send + 'static,
    F: for<'t> Fn(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send + Sync + 'static,
{
    const NAME: &'static str = "test.steps";
    const RESOLVES_UNKNOWN: bool = RESOLVES_UNKNOWN;
    type Output = T;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<T, StoreError> {
        (self.0)(tx).await
    }
}

/// Adds one to a counter, and answers what it is then.
pub(crate) struct Increment(pub(crate) &'static str);

impl Operation for Increment {
    const NAME: &'static str = "test.increment";
    type Output = i64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<i64, StoreError> {
        tx.query_one(&INCREMENT, &[self.0.into()], |row| row.int(0)).await
    }
}

/// Reads a counter.
pub(crate) struct Counter(pub(crate) &'static str);

impl PointRead for Counter {
    const NAME: &'static str = "test.counter";
    type Output = i64;

    fn sql(&self) -> &'static Sql {
        &COUNTER
    }

    fn params(&self) -> impl AsRef<[Value<'_>]> + Send {
        [self.0.into()]
    }

    fn read(&self, rows: Rows<'_>) -> Result<i64, StoreError> {
        let value = rows.first(|row| row.int(0))?;
        value.ok_or_else(|| StoreError::Statement { reason: "there is no such counter".into() })
    }
}

/// Puts a number into one table, and then into the other: whoever sees one without the other sees half of it.
#[derive(Clone, Copy)]
pub(crate) struct InsertPair(pub(crate) i64);

impl Operation for InsertPair {
    const NAME: &'static str = "test.insert_pair";
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        tx.execute(&INSERT, &[self.0.into()]).await?;
        tx.execute(&INSERT_TWIN, &[self.0.into()]).await.map(drop)
    }
}

/// What one of the tables of numbers holds, ascending.
pub(crate) struct All(pub(crate) &'static Sql);

impl Operation for All {
    const NAME: &'static str = "test.all";
    type Output = Vec<i64>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<i64>, StoreError> {
        tx.query(self.0, &[], |row| row.int(0)).await
    }
}

/// The numbers that are there, and proof that none is there by half.
pub(crate) async fn whole_numbers(store: &Store) -> Vec<i64> {
    let numbers = store.scan(All(&NUMBERS)).await.expect("the store answers");
    assert_eq!(numbers, store.scan(All(&TWINS)).await.expect("the store answers"), "a pair is there by half");
    numbers
}
