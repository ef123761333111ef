//! The two SQL engines behind one thin face: SQLite embedded by default, PostgreSQL at scale.
//!
//! What is asked of a store comes in three kinds, and the types keep them apart:
//!
//! * an [`Operation`] is a transaction with a name; it may be run again, and its answer comes after the commit;
//! * a [`PointRead`] is one indexed statement: inline on SQLite, pipelined over a shared connection on PostgreSQL;
//! * a *scan* is an operation that only reads and may take long; it stays off the hot path.
//!
//! SQL is written once ([`statements!`]), with names for the few differences between the engines. On SQLite one
//! writer thread gathers queued operations into one transaction, a savepoint each, and answers after the commit.

mod clock;
mod engine;
mod error;
mod lease;
mod migrate;
mod operation;
mod postgres;
mod row_set;
mod signal;
mod sql;
mod sqlite;
mod tx;
mod value;

#[cfg(feature = "testing")]
pub mod testing;

pub use clock::Clock;
pub use engine::{Engine, Settings, Store};
pub use error::StoreError;
pub use lease::{Lease, LeaseHolder};
pub use migrate::{Migration, MigrationReport};
pub use operation::{Operation, PointRead};
pub use row_set::RowSet;
pub use sql::Sql;
pub use tx::Tx;
pub use value::{Row, Rows, Value};

/// The statements this crate itself runs on every engine, for the test that prepares each one.
pub static STATEMENTS: &[&[&Sql]] =
    &[engine::STATEMENTS, lease::STATEMENTS, migrate::STATEMENTS, postgres::STATEMENTS, tx::STATEMENTS];
/// The tables this crate owns.
pub static MIGRATIONS: &[Migration] = &[lease::LEASES];
