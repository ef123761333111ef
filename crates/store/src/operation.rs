use crate::{Rows, Sql, StoreError, Tx, Value};
use std::future::Future;

/// A transaction with a name.
///
/// It may be run again (a lost race, a dropped group), so it changes nothing outside the transaction. It awaits
/// nothing but the transaction: on SQLite its future is polled once and must be ready. An operation that needs an
/// account's lock takes it in its first statement, alone ([`Tx::lock_accounts`]); the lock order everywhere is
/// accounts, sorted; then rows owned by one account; a row shared by accounts last.
pub trait Operation: Send + Sync + 'static {
    /// Its name, in metrics and logs.
    const NAME: &'static str;
    /// Whether running it again after an unanswered commit is safe and tells how it ended (it carries an
    /// idempotency key). Then the store does so itself instead of answering [`StoreError::Unknown`].
    const RESOLVES_UNKNOWN: bool = false;
    /// What it answers after the commit.
    type Output: Send + 'static;

    /// Runs it once, inside the transaction.
    fn run(&self, tx: &mut Tx<'_>) -> impl Future<Output = Result<Self::Output, StoreError>> + Send;
}

/// One statement that reads a few rows by an index.
///
/// Inline on the caller's thread on SQLite; on PostgreSQL pipelined with others over a shared connection, under a
/// short deadline. Never a scan, never a write.
pub trait PointRead: Send + Sync {
    /// Its name, in metrics and logs.
    const NAME: &'static str;
    /// What it answers.
    type Output: Send;

    /// The statement.
    fn sql(&self) -> &'static Sql;
    /// Its parameters.
    fn params(&self) -> impl AsRef<[Value<'_>]> + Send;
    /// Makes the answer from the rows.
    fn read(&self, rows: Rows<'_>) -> Result<Self::Output, StoreError>;
}
