//! What the broker keeps, and its named operations: on both engines, in sets.

pub(crate) mod change;
pub(crate) mod claim;
pub(crate) mod disconnect;
pub(crate) mod erasure;
pub(crate) mod import;
pub(crate) mod list;
pub(crate) mod logins;
pub(crate) mod operations;
pub(crate) mod parts;
pub(crate) mod poll;
pub(crate) mod receipts;
pub(crate) mod reconcile;
pub(crate) mod record;
pub(crate) mod registry;
pub(crate) mod repair;
pub(crate) mod retention;
pub(crate) mod rows;
pub(crate) mod schema;
pub(crate) mod search;
pub(crate) mod settle;
pub(crate) mod signing_keys;
pub(crate) mod subjects;
pub(crate) mod tokens;
pub(crate) mod verification;

pub use schema::MIGRATIONS;

/// Every statement of this crate, for the test that prepares each one on both engines.
pub static STATEMENTS: &[&[&store::Sql]] = &[
    claim::STATEMENTS,
    disconnect::STATEMENTS,
    erasure::STATEMENTS,
    list::STATEMENTS,
    search::STATEMENTS,
    logins::STATEMENTS,
    parts::STATEMENTS,
    poll::STATEMENTS,
    receipts::STATEMENTS,
    record::STATEMENTS,
    registry::STATEMENTS,
    repair::STATEMENTS,
    retention::STATEMENTS,
    rows::STATEMENTS,
    settle::STATEMENTS,
    signing_keys::STATEMENTS,
    subjects::STATEMENTS,
    tokens::STATEMENTS,
    verification::STATEMENTS,
];

#[cfg(test)]
mod tests;
