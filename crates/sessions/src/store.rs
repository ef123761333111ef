//! What is kept of sessions, and its named operations: on both engines, in sets.

/// A row set that is said to be few rows, to be joined to a large table (docs/decisions/0109): PostgreSQL takes a limit that it does
/// not know for a tenth of the rows, so two of them make of its hundred one, and it goes by the indexes from the first day on.
macro_rules! few {
    ($rows:literal) => {
        concat!(
            "(select * from (select * from ",
            $rows,
            " as a limit (select 1000000)) as b limit (select 1000000))"
        )
    };
}

pub(crate) mod acts;
pub(crate) mod changes;
pub(crate) mod claim;
pub(crate) mod codes;
pub(crate) mod create;
pub(crate) mod end;
pub(crate) mod find;
pub(crate) mod patch;
pub(crate) mod reap;
pub(crate) mod reseal;
pub(crate) mod respread;
pub(crate) mod retention;
pub(crate) mod revocations;
pub(crate) mod rows;
pub(crate) mod schema;
pub(crate) mod set_aside;
pub(crate) mod settle;
pub(crate) mod touch;
pub(crate) mod users;

pub use schema::MIGRATIONS;

use store::{RowSet, StoreError};

/// Every statement of this crate, for the test that prepares each one on both engines.
pub static STATEMENTS: &[&[&store::Sql]] = &[
    acts::STATEMENTS,
    changes::STATEMENTS,
    claim::STATEMENTS,
    codes::STATEMENTS,
    create::STATEMENTS,
    end::STATEMENTS,
    find::STATEMENTS,
    patch::STATEMENTS,
    reap::STATEMENTS,
    reseal::STATEMENTS,
    respread::STATEMENTS,
    retention::STATEMENTS,
    revocations::STATEMENTS,
    set_aside::STATEMENTS,
    settle::STATEMENTS,
    touch::STATEMENTS,
    users::STATEMENTS,
];

/// Ids, as rows.
pub(crate) fn ids<'a>(ids: impl IntoIterator<Item = &'a str>) -> RowSet {
    #[derive(serde::Serialize)]
    struct Row<'a> {
        id: &'a str,
    }
    RowSet::of(ids.into_iter().map(|id| Row { id }))
}

/// A row that says what it cannot.
pub(crate) fn broken(error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Statement { reason: format!("a row that cannot be: {error}") }
}

#[cfg(test)]
mod tests;
