//! What several processes remember of bearer tokens together: Redis or Valkey.
//!
//! [`Tier`] is a [`verify::SharedTier`] on a server, plain or by TLS, or on a cluster. It never makes a check wait for longer
//! than one answer may take: while there is no connection every operation says so at once, and [`Tier::keep_connected`],
//! which runs in the background, looks for one. What is kept is sealed by `verify` before it comes here.
//!
//! ```text
//! highwater:f:{NAME}   facts, sealed       NAME is a key's id and a keyed hash; in braces, so that a cluster has all
//! highwater:n:{NAME}   a no, sealed        three in one place
//! highwater:l:{NAME}   who asks right now, or what came of it
//! ```

mod commands;
mod line;
mod probe;
mod settings;
mod tier;

pub use probe::probe;
pub use settings::{InvalidSettings, Password, Secret, Settings};
pub use tier::Tier;
