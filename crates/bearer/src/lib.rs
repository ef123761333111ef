//! Answers reverse proxies, services and clients: is this bearer token good, whose is it, and has anything happened to
//! that account since?
//!
//! The token is checked by [`verify`], from memory as a rule. What the ledger knows of the account is judged with it for
//! every request: a disabled or deleted account is refused at once, a token from before the account's high-water mark is
//! refused or asked about again. A [`Follower`] reads the ledger's feed, so that what is remembered of an account ends
//! with the account's next event.
//!
//! ```text
//! proxy ──▶ /verify ─────┐                       ┌─▶ facts (verify) ─▶ rules ─▶ identity headers, or a refusal
//! service ▶ /introspect ─┼─▶ token ─▶ record ────┤
//! client ─▶ /api/v1/terms-accepted-user/ ────────┴─▶ the same, then an account of its own here, once
//! feed ───▶ Follower ─▶ what is remembered ends
//! ```

pub mod adapters;
mod capability;
mod check;
mod consequence;
mod follower;
mod http;
mod meters;
mod opening;
mod profile;
mod records;
mod refusal;
mod settings;
mod signing;
mod store;

pub use crate::store::{MIGRATIONS, STATEMENTS};
pub use capability::{Bearer, CAPABILITY};
pub use follower::{Finding, Follower, Hears, Word};
pub use records::Ledgered;
pub use refusal::{Refusal, Wire};
pub use settings::{AccountSettings, InvalidSettings, Settings};
pub use signing::{CannotSign, Signs};

#[cfg(test)]
mod tests;
