//! Its SQL, as named operations. The tables are Mozilla's, column by column, so that their own scripts and readers work on
//! them; see [`schema`](self::MIGRATIONS).
//!
//! Before its first statistics PostgreSQL takes `users` for a handful of rows, and a plan made then stays in its
//! connection's cache while the table grows. So the statements are written to leave it one way, by email or by id:
//! `service + 0` and `replaced_at + 0` keep it off the other indexes, laterals with a limit and `r.uid + 0 = r.uid` (one
//! row, it thinks) off joining with the whole table.
//!
//! `current_load` of a node is the number of its live rows, at every commit: a row that is added counts at once, one
//! that is replaced no longer does.

mod carry;
mod lookup;
mod nodes;
mod rooms;
mod schema;
mod settle;

pub(crate) use carry::{Carry, Carrying, carry, carry_part};
pub(crate) use lookup::Lookup;
pub(crate) use nodes::{AddNode, ListNodes, Node, NodeChange, UpdateNode};
pub use schema::MIGRATIONS;
pub(crate) use settle::{Asked, Placement, Served, Settle};

/// The service of the `services` table; all rows here are of it.
pub(crate) const SERVICE: &str = "sync-1.5";

/// Every statement, for the test that prepares each one on both engines.
pub static STATEMENTS: &[&[&store::Sql]] =
    &[carry::STATEMENTS, lookup::STATEMENTS, nodes::STATEMENTS, rooms::STATEMENTS, settle::STATEMENTS];

#[cfg(test)]
mod tests;
