//! The root key, the keys derived from it, and callers' tokens, kept hashed.
//!
//! One secret is configured: the root key. Every other key is derived from it for one purpose (HKDF-SHA-256), so
//! that none is ever used for two things. Callers of the service and admin listeners prove themselves with tokens
//! that are shown once and kept as keyed hashes only, or with certificates. What seals much (tokens of sessions) is
//! rotated: [`DataKeys`].

mod callers;
mod certificate_name;
mod cipher;
pub mod data_keys;
mod root;

pub use callers::{Caller, Callers, Listener, MIGRATIONS, NewCaller, NoSuchCertificate, UnknownCaller};
pub use certificate_name::{CertificateName, InvalidCertificateName};
pub use cipher::{Cipher, NotSealedHere};
pub use data_keys::{CannotOpen, DataKeyView, DataKeys, NoDataKey};
pub use root::{InvalidRootKey, Purpose, RootKey};

/// Every statement of this crate, for the test that prepares each one on both engines.
pub static STATEMENTS: &[&[&store::Sql]] = &[callers::STATEMENTS, data_keys::STATEMENTS];
