//! Tells every relying party, once, in order, by signed Security Event Tokens.
//!
//! When an account changes, each relying party (RP) that should know gets a Security Event Token (SET, RFC 8417), and
//! Highwater knows, and can show, that it got it. Who must be told is decided by pure rules over the change, the
//! logins remembered of the account and the registry of relying parties; one delivery for each is written by the very
//! transaction that commits the event. Workers claim deliveries, sign, send and settle them; a relying party that is
//! dead or slow delays nobody else.
//!
//! ```text
//! news ─▶ routing ─▶ vocabulary ─▶ deliveries, one a row ─▶ claim ─▶ sign ─▶ send ─▶ verdict ─▶ settle
//!           │                        (the ledger's transaction)                         └─ again, later
//!        logins, registry
//! ```

mod breaker;
mod delivery;
mod event_type;
mod routing;
mod rp;
mod schedule;
mod token_bucket;
mod verdict;
mod vocabulary;

pub use breaker::{Admission, Breaker};
pub use delivery::{Effect, Next, Terminal, after};
pub use event_type::EventType;
pub use routing::{Recipient, Registry, Selection, recipients};
pub use rp::{
    ClientId, Config, Format, InvalidClientId, InvalidConfig, RelyingParty, Secret, Secrets,
    SigningAlgorithm, Status, Stream, Vocabulary,
};
pub use schedule::RetryPolicy;
pub use token_bucket::TokenBucket;
pub use verdict::{Reply, Verdict, judge};
pub use vocabulary::{Telling, merged, tellings};
