use crate::{Engine, Row, Sql, StoreError, Value};
use account::AccountId;
use postgres_types::ToSql;
use std::collections::HashSet;
use std::fmt::Write;

/// A transaction on either engine.
pub struct Tx<'a> {
    inner: Inner<'a>,
    /// PostgreSQL refuses every statement after a failed one, and answers COMMIT with a silent rollback: so a
    /// failure is kept here and ends the transaction.
    failed: Option<StoreError>,
    /// What is to be done once it has committed.
    afterwards: Afterwards,
}

/// What is to be done after a commit.
pub(crate) type Afterwards = Vec<Box<dyn FnOnce() + Send>>;

enum Inner<'a> {
    Sqlite(&'a mut rusqlite::Connection),
    Postgres(&'a deadpool_postgres::ClientWrapper),
}

impl<'a> Tx<'a> {
    pub(crate) fn sqlite(connection: &'a mut rusqlite::Connection) -> Self {
        Self::within(Inner::Sqlite(connection))
    }

    /// On a connection in whose transaction everything runs.
    pub(crate) fn postgres(client: &'a deadpool_postgres::ClientWrapper) -> Self {
        Self::within(Inner::Postgres(client))
    }

    fn within(inner: Inner<'a>) -> Self {
        Self { inner, failed: None, afterwards: Vec::new() }
    }

    pub(crate) fn take_failure(&mut self) -> Option<StoreError> {
        self.failed.take()
    }

    /// Has something done once the transaction has committed, and never if it does not: what counts, counts then, so
    /// that an operation that is run again counts once. Not done for a caller that stopped waiting.
    pub fn after_commit(&mut self, then: impl FnOnce() + Send + 'static) {
        self.afterwards.push(Box::new(then));
    }

    pub(crate) fn take_afterwards(&mut self) -> Afterwards {
        std::mem::take(&mut self.afterwards)
    }

    /// Which engine it runs on.
    pub fn engine(&self) -> Engine {
        match self.inner {
            Inner::Sqlite(_) => Engine::Sqlite,
            Inner::Postgres(_) => Engine::Postgres,
        }
    }

    /// Runs a statement and maps its rows.
    pub async fn query<T: Send>(
        &mut self,
        sql: &'static Sql,
        params: &[Value<'_>],
        mut map: impl FnMut(&Row<'_>) -> Result<T, StoreError> + Send,
    ) -> Result<Vec<T>, StoreError> {
        let outcome = match &mut self.inner {
            Inner::Sqlite(connection) => sqlite_query(connection, sql, params, map),
            Inner::Postgres(client) => postgres_query(client, sql, params)
                .await
                .and_then(|rows| rows.iter().map(|r| map(&Row::postgres(r))).collect()),
        };
        self.noted(outcome)
    }

    /// As [`query`](Self::query), for at most one row; further rows are ignored.
    pub async fn query_opt<T: Send>(
        &mut self,
        sql: &'static Sql,
        params: &[Value<'_>],
        map: impl FnMut(&Row<'_>) -> Result<T, StoreError> + Send,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.query(sql, params, map).await?.into_iter().next())
    }

    /// As [`query`](Self::query), for exactly one row.
    pub async fn query_one<T: Send>(
        &mut self,
        sql: &'static Sql,
        params: &[Value<'_>],
        map: impl FnMut(&Row<'_>) -> Result<T, StoreError> + Send,
    ) -> Result<T, StoreError> {
        self.query_opt(sql, params, map)
            .await?
            .ok_or_else(|| StoreError::Statement { reason: "a row that must be there is not".into() })
    }

    /// Runs a statement; the number of rows it touched.
    pub async fn execute(&mut self, sql: &'static Sql, params: &[Value<'_>]) -> Result<u64, StoreError> {
        let outcome = match &mut self.inner {
            Inner::Sqlite(connection) => sqlite_execute(connection, sql, params),
            Inner::Postgres(client) => postgres_execute(client, sql, params).await,
        };
        self.noted(outcome)
    }

    /// Runs several statements without parameters (migrations).
    pub(crate) async fn batch(&mut self, text: &str) -> Result<(), StoreError> {
        let outcome = match &mut self.inner {
            Inner::Sqlite(connection) => still_in_transaction(connection)
                .and_then(|()| connection.execute_batch(text).map_err(StoreError::from)),
            Inner::Postgres(client) => client.batch_execute(text).await.map_err(StoreError::from),
        };
        self.noted(outcome)
    }

    /// Locks accounts until the end of the transaction, in one order everywhere. The first statement of a
    /// transaction that needs it. On SQLite there is one writer, so there is nothing to lock.
    pub async fn lock_accounts(&mut self, accounts: &[AccountId]) -> Result<(), StoreError> {
        if self.engine() == Engine::Sqlite || accounts.is_empty() {
            return Ok(());
        }
        self.query(&LOCK_ACCOUNTS, &[Value::Text(&lock_keys(accounts))], |_| Ok(())).await.map(drop)
    }

    /// Locks those of the accounts that nobody else has locked, without waiting for any; which those are. As
    /// [`lock_accounts`](Self::lock_accounts) the first statement that needs it.
    pub async fn try_lock_accounts(&mut self, accounts: &[AccountId]) -> Result<Vec<AccountId>, StoreError> {
        if self.engine() == Engine::Sqlite || accounts.is_empty() {
            return Ok(accounts.to_vec());
        }
        let keys = lock_keys(accounts);
        let locked: HashSet<i64> = self
            .query(&TRY_LOCK_ACCOUNTS, &[Value::Text(&keys)], |row| row.int(0))
            .await?
            .into_iter()
            .collect();
        Ok(accounts.iter().filter(|account| locked.contains(&lock_key(account))).cloned().collect())
    }

    /// The next fence: a number that only rises, so that a late worker's outcome can be told from its successor's.
    pub async fn next_fence(&mut self) -> Result<i64, StoreError> {
        self.query_one(&crate::lease::NEXT_FENCE, &[], |row| row.int(0)).await
    }

    fn noted<T>(&mut self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        if let (Err(error), Inner::Postgres(_)) = (&outcome, &self.inner) {
            self.failed.get_or_insert_with(|| error.clone());
        }
        outcome
    }
}

crate::statements! {
    // Advisory locks, not row locks: an account needs no row to be locked. Taken in the order of their keys.
    static LOCK_ACCOUNTS = per_engine {
        sqlite: "select 1 where $1 is null",
        postgres:
            "select pg_advisory_xact_lock(k)
             from (select distinct value::bigint as k from json_array_elements_text($1::json) order by k) as keys",
    };
    static TRY_LOCK_ACCOUNTS = per_engine {
        sqlite: "select 1 where $1 is null",
        postgres:
            "select k from (select k, pg_try_advisory_xact_lock(k) as is_ours
               from (select distinct value::bigint as k from json_array_elements_text($1::json)) as keys) as tried
             where is_ours",
    };
}

/// The accounts' lock keys as a JSON array: 64 bits of a digest each, so that two accounts share a key only by
/// a chance of 2⁻⁶⁴, and then merely wait for each other.
fn lock_keys(accounts: &[AccountId]) -> String {
    let mut keys = String::with_capacity(2 + accounts.len() * 21);
    for account in accounts {
        let _ = write!(keys, "{}{}", if keys.is_empty() { '[' } else { ',' }, lock_key(account));
    }
    keys.push(']');
    keys
}

fn lock_key(account: &AccountId) -> i64 {
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    digest.update(account.idp.as_str().as_bytes());
    digest.update(&[0]);
    digest.update(account.subject.as_str().as_bytes());
    digest.finish().as_ref().first_chunk().map_or(0, |first| i64::from_be_bytes(*first))
}

/// Every operation runs inside a transaction. SQLite may have rolled it back by itself at an earlier statement (a full
/// disk, an interrupt); whoever swallowed that would go on without one, each statement committing on its own.
fn still_in_transaction(connection: &rusqlite::Connection) -> Result<(), StoreError> {
    if connection.is_autocommit() {
        return Err(StoreError::NotCommitted { reason: "SQLite rolled the transaction back".into() });
    }
    Ok(())
}

fn sqlite_query<T>(
    connection: &rusqlite::Connection,
    sql: &Sql,
    params: &[Value<'_>],
    mut map: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    still_in_transaction(connection)?;
    let mut statement = connection.prepare_cached(sql.for_engine(Engine::Sqlite))?;
    let mut mapped = Vec::new();
    for_each(sql, params, |bound| {
        let mut rows = bound.query(&mut statement)?;
        while let Some(row) = rows.next()? {
            mapped.push(map(&Row::sqlite(row))?);
        }
        Ok(())
    })?;
    Ok(mapped)
}

fn sqlite_execute(
    connection: &rusqlite::Connection,
    sql: &Sql,
    params: &[Value<'_>],
) -> Result<u64, StoreError> {
    still_in_transaction(connection)?;
    let mut statement = connection.prepare_cached(sql.for_engine(Engine::Sqlite))?;
    let mut touched = 0;
    for_each(sql, params, |bound| {
        touched += bound.execute(&mut statement)? as u64;
        Ok(())
    })?;
    Ok(touched)
}

/// The parameters of one run of a statement: those that were given, and after them a row's.
struct Bound<'a> {
    given: &'a [Value<'a>],
    row: &'a [Value<'a>],
}

impl Bound<'_> {
    fn bind(&self) -> impl rusqlite::Params + use<'_> {
        rusqlite::params_from_iter(self.given.iter().chain(self.row))
    }

    fn query<'s>(&self, statement: &'s mut rusqlite::Statement<'_>) -> rusqlite::Result<rusqlite::Rows<'s>> {
        statement.query(self.bind())
    }

    fn execute(&self, statement: &mut rusqlite::Statement<'_>) -> rusqlite::Result<usize> {
        statement.execute(self.bind())
    }
}

/// Runs a statement for each row of its set; once, when it has none that is run so.
fn for_each(
    sql: &Sql,
    params: &[Value<'_>],
    mut run: impl FnMut(&Bound<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let Some(each) = sql.each() else { return run(&Bound { given: params, row: &[] }) };
    let Some(Value::Rows(rows)) = params.get(each.parameter) else {
        return Err(StoreError::Statement { reason: "a set of rows is not given as rows".into() });
    };
    let mut given = params.to_vec();
    given.resize(each.others, Value::Null);
    given[each.parameter] = Value::Null; // its columns are bound
    rows.for_each(&each.columns, |row| run(&Bound { given: &given, row }))
}

async fn postgres_query(
    client: &deadpool_postgres::ClientWrapper,
    sql: &Sql,
    params: &[Value<'_>],
) -> Result<Vec<tokio_postgres::Row>, StoreError> {
    let statement = client.prepare_cached(sql.for_engine(Engine::Postgres)).await?;
    Ok(client.query(&statement, &as_params(params)).await?)
}

async fn postgres_execute(
    client: &deadpool_postgres::ClientWrapper,
    sql: &Sql,
    params: &[Value<'_>],
) -> Result<u64, StoreError> {
    let statement = client.prepare_cached(sql.for_engine(Engine::Postgres)).await?;
    Ok(client.execute(&statement, &as_params(params)).await?)
}

pub(crate) fn as_params<'v>(params: &'v [Value<'v>]) -> Vec<&'v (dyn ToSql + Sync)> {
    params.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}
