//! Copies a Tokenserver database of the field from MySQL or MariaDB into the house's store, row by row as it is.
//!
//! The field's three tables are copied in the order of their keys, in parts; each part is one transaction with the
//! cursor that says how far it has come, so that a run that broke off is taken up by the next one. Then both sides are
//! read again and compared, and what differs is mended: a source that was still in use while it was copied is caught up
//! with. Nobody is served until a whole comparison has found nothing: the rows of `services` come last.
//!
//! ```text
//! MySQL ─▶ rows, judged one by one ─▶ store: a part and its cursor ─▶ both read again ─▶ services, counts, checksums
//! ```

mod address;
mod checksum;
mod compare;
mod error;
mod field;
mod report;
mod rows;
mod run;
mod secret;
mod status;
mod store;
mod tables;

pub use crate::store::MIGRATIONS;
pub use address::{Address, InvalidAddress, Tls};
pub use error::ImportError;
pub use report::{Counted, Outcome, Progress, Report, Stage};
pub use rows::{Refusal, Why};
pub use run::{copy_ahead, import, is_under_way, rehearse};
pub use secret::Secret;
pub use status::{Copied, Status, status};

/// Every statement, for the test that prepares each one on both engines.
pub static STATEMENTS: &[&[&::store::Sql]] = &[crate::store::STATEMENTS, status::STATEMENTS];

#[cfg(test)]
mod tests;
