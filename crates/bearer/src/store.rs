//! Its SQL, as named operations.

pub(crate) mod accounts;
pub(crate) mod record;
mod schema;

pub use schema::MIGRATIONS;

/// Every statement, for the test that prepares each one on both engines.
pub static STATEMENTS: &[&[&store::Sql]] = &[accounts::STATEMENTS, record::STATEMENTS];
