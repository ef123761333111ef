//! Account events in.
//!
//! A source hands over messages: a queue, a file, a signed event over HTTP. Each message is [decoded](decode) into
//! an account event, or is junk with a reason. Events go to the ledger, junk to its dead letters, both in batches
//! ([`Pump`]); only when they are committed is the source told so. Nothing here knows what an event means to whom:
//! that is the ledger's and the capabilities' matter.

mod admin;
mod backoff;
mod capability;
pub mod decode;
mod door;
mod health;
mod http;
mod junk;
mod meters;
mod pump;
mod remit;
pub mod set;
mod settings;
pub mod sources;
#[cfg(test)]
mod testing;

pub use capability::{Ingest, capability};
pub use health::{Health, SourceState};
pub use junk::{Junk, Note, Oddity, Reason};
pub use meters::Freshness;
pub use pump::{IngestSummary, Message, Pump, Sink};
pub use remit::{Authority, Remit};
pub use settings::{InvalidSettings, Settings, Webhook};
