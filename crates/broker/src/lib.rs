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

mod access_tokens;
mod capability;
mod capability_list;
mod clients;
pub mod conformance;
mod consequence;
mod delivery;
mod event_type;
mod format;
mod handover;
mod health;
mod http;
mod import;
mod lanes;
pub mod listen;
mod merge_patch;
mod meters;
mod plan;
mod receiver_tokens;
mod redact;
mod registrations;
mod routing;
mod rp;
mod schedule;
mod settings;
mod signer;
pub mod simulate;
mod snapshot;
mod store;
mod token;
mod trial;
mod verdict;
mod vocabulary;
mod worker;

pub use crate::store::list::{AttemptView, DeliveryView};
pub use crate::store::logins::RememberedLogin;
pub use crate::store::receipts::DeletionReceipt;
pub use crate::store::{MIGRATIONS, STATEMENTS};
pub use capability::Broker;
pub use capability_list::CapabilityList;
pub use consequence::{CAPABILITY, WriteDeliveries};
pub use delivery::{Effect, Next, Terminal, after};
pub use event_type::EventType;
pub use health::Finding;
pub use registrations::Absent;
pub use routing::{Recipient, Registry, Selection, recipients};
pub use rp::{
    ClientId, Config, Format, InvalidClientId, InvalidConfig, OauthClient, RelyingParty, Secret, Secrets,
    SigningAlgorithm, Status, Stream, Vocabulary,
};
pub use schedule::RetryPolicy;
pub use settings::{InvalidSettings, Settings};
pub use signer::{CannotSign, Haste, KeyView, Signer, TokenType};
pub use trial::{FreshTrialKey, InvalidTrial, Trial, TrialKeys, unknown_subject};
pub use verdict::{Reply, Verdict, judge};
pub use vocabulary::{Telling, merged, tellings};

#[cfg(test)]
mod tests;
