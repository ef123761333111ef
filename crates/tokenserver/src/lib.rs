//! Assigns users to service nodes and mints Hawk tokens; Mozilla's Tokenserver, on the wire.
//!
//! A client comes with an access token of its identity provider and the id of the key it encrypts under. It leaves with
//! the URL of the node its data is on and a token that node takes. Which row serves it is decided by pure rules over
//! the user's rows and what the ledger knows of the account: a password changed a moment ago refuses the devices
//! that still have the old one, before any row was touched. In the usual case nothing is written.
//!
//! ```text
//! request ─▶ facts (verify) ─▶ rows and mark, one read ─▶ rules ─▶ token ─▶ answer
//!                                                           └─▶ a change: gathered, one transaction
//! ```

mod admin;
mod assign;
mod capability;
mod client_state;
mod consequence;
mod drain;
mod email;
mod exchange;
mod grant;
mod guard;
mod hawk;
mod http;
mod json;
mod meters;
mod purge;
mod refusal;
mod request;
mod rules;
mod secret;
mod secrets;
mod service;
mod settings;
mod shedding;
mod store;
mod token;
mod user_agent;

pub use crate::store::{Exclusive, MIGRATIONS, Policy, STATEMENTS, TakeExclusive};
pub use capability::{CAPABILITY, capability};
pub use client_state::ClientState;
pub use consequence::CarryIntoRows;
pub use exchange::Tokenserver;
pub use refusal::{ClientStateFault, Refusal, Wire};
pub use rules::{InvalidNodeUrl, InvalidPattern, InvalidServiceName, NodeUrl};
pub use secret::Secret;
pub use settings::{InvalidSettings, NewUserSettings, ServiceSettings, Settings};
pub use shedding::Shedding;
pub use token::{Claims, HashedIds, Hasher, Minter, Salt, Token};

#[cfg(test)]
mod tests;
