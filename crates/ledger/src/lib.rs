//! The account ledger.
//!
//! Every account event passes through one short transaction ([`Ledger::apply`]): the account is locked, the event is
//! recognised if it was seen before, its mark and state are moved, the event is appended, and each capability's part is
//! carried out at once when it is small, else owed by an effect row. When it has committed, the mark is the enforcement:
//! everything that trusts the account reads it. The [`Feed`] then tells every node, in one order.
//!
//! ```text
//! event ─▶ lock ─▶ seen? ─▶ mark, state ─▶ append ─▶ effects ─▶ COMMIT ─▶ feed
//! ```

mod accounts;
mod append;
mod apply;
mod capability;
mod consequence;
mod dead_letters;
mod effects;
mod feed;
mod http;
mod owe;
#[cfg(test)]
mod planning;
mod problem;
mod receipts;
mod received;
mod retention;
mod rules;
mod schema;
mod sequencer;
mod standing;
mod tombstones;
mod turns;

pub use apply::{Applied, Ledger, LedgerError, committed};
pub use capability::{Capability, Role, Worker};
pub use consequence::{CarryOut, Consequence, News, Outcome, ToTell};
pub use dead_letters::{DeadLetter, KeptLetter};
pub use effects::PendingEffects;
pub use feed::{Cursor, Feed, FeedError, FeedEvent, Page, Tail};
pub use problem::Problem;
pub use received::{Received, SourceId};
pub use retention::Retention;
pub use rules::Account;
pub use schema::MIGRATIONS;
pub use standing::{ReadStanding, Standing};
pub use tombstones::Tombstones;

/// Every statement of the ledger, for the test that prepares each one on both engines.
pub static STATEMENTS: &[&[&store::Sql]] = &[
    accounts::STATEMENTS,
    append::STATEMENTS,
    apply::STATEMENTS,
    dead_letters::STATEMENTS,
    effects::STATEMENTS,
    feed::STATEMENTS,
    owe::STATEMENTS,
    receipts::STATEMENTS,
    retention::STATEMENTS,
    sequencer::STATEMENTS,
    standing::STATEMENTS,
    tombstones::STATEMENTS,
];
