//! Account events in.
//!
//! A source hands over messages: a queue, a file, a signed event over HTTP. Each message is [decoded](decode) into
//! an account event, or is junk with a reason. Events go to the ledger, junk to its dead letters, both in batches;
//! only when they are committed is the source told so. Nothing here knows what an event means to whom: that is the
//! ledger's and the capabilities' matter.

pub mod decode;
mod junk;
mod remit;
pub mod set;

pub use junk::{Junk, Note, Oddity, Reason};
pub use remit::{Authority, Remit};
