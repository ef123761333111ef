//! Is this bearer token good, and what does it say? Facts, remembered; no store.
//!
//! [`Verifier::facts`] takes a token and gives [`Facts`]: whose it is, what it grants, when it was born and when it
//! ends. A JWT is verified here, with its identity provider's keys; any other token is asked about, where the identity
//! provider allows that.
//!
//! What is remembered are facts, never verdicts: that a scope suffices, that an account may act, that a grant lies
//! above the account's high-water mark is judged by the caller, for every request anew. A fact is not given out past
//! the token's own end, nor once the key that proved it has been withdrawn.
//!
//! A [`CheckError`] says whose fault it is: [`CheckError::Refused`] is the token's (401), [`CheckError::Unavailable`]
//! is trouble at the identity provider (503 with `Retry-After`). The second never comes of a token alone.

mod check_error;
mod claims;
mod facts;
mod flights;
mod memory;
mod numeric_date;
mod scopes;
mod settings;
mod verifier;

pub use check_error::{CheckError, Refusal};
pub use facts::{Facts, Source};
pub use numeric_date::NumericDate;
pub use scopes::Scopes;
pub use settings::Settings;
pub use verifier::Verifier;
