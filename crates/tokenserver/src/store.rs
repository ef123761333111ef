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

mod allocate;
mod buckets;
mod carry;
mod drains;
mod exclusive;
mod failing;
mod lookup;
mod moves;
mod nodes;
mod purge;
mod residents;
mod rooms;
mod schema;
mod services;
mod settle;
mod shedding;
mod users;

pub(crate) use allocate::{Allocate, Allocated};
pub(crate) use buckets::{ListShares, MoveBuckets, ReadBuckets, Share, SpreadBuckets, WeighNode};
pub(crate) use carry::{Carry, Carrying, carry, carry_part};
pub(crate) use drains::{BeginDrain, Drain, DrainsUnderWay, FinishDrain, ListDrains, StopDrain, UnderWay};
pub use exclusive::{Exclusive, TakeExclusive};
pub(crate) use failing::{FailNode, Failing, Failure, FindFailure, Mover, UndoFailure};
pub(crate) use lookup::Lookup;
pub(crate) use moves::{Draining, Move, Moved, Target, User};
pub(crate) use nodes::{AddNode, Added, FindNode, ListNodes, Node, NodeChange, UpdateNode, Updated};
pub(crate) use purge::{CountReplaced, DropRows, FindReplaced};
pub(crate) use residents::{
    CountRows, FindResidents, Occupancy, Recount, RemoveNode, Removed, Resident, Unassign,
};
pub use schema::MIGRATIONS;
pub(crate) use services::{AddService, FindRotation, Rotate};
pub use settle::Policy;
pub(crate) use settle::{Asked, Placement, Served, Settle};
pub(crate) use shedding::{EndShedding, FindShedding, Order, Shed};
pub(crate) use users::{CountUsers, FindUser, UserName, UserRow};

/// Every statement, for the test that prepares each one on both engines.
pub static STATEMENTS: &[&[&store::Sql]] = &[
    buckets::STATEMENTS,
    carry::STATEMENTS,
    drains::STATEMENTS,
    exclusive::STATEMENTS,
    failing::STATEMENTS,
    lookup::STATEMENTS,
    moves::STATEMENTS,
    nodes::STATEMENTS,
    purge::STATEMENTS,
    residents::STATEMENTS,
    rooms::STATEMENTS,
    services::STATEMENTS,
    settle::STATEMENTS,
    shedding::STATEMENTS,
    users::STATEMENTS,
];

#[cfg(test)]
mod tests;
