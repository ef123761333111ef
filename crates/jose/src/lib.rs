//! JSON Web Keys and signatures: read keys, verify, sign. Thin over aws-lc-rs.
//!
//! A key is parsed once, when it is read ([`Jwk`]), and held parsed, so that verifying costs the arithmetic of the
//! signature and nothing else. A key knows its one [`Algorithm`]: what a token's header says is compared with it and
//! never chooses it, so algorithms cannot be confused, and `none` and the symmetric ones do not exist here.
//!
//! * [`Jwk`], [`JwkSet`]: public keys as identity providers publish them (RFC 7517); an odd key in a set is skipped.
//! * [`PublicKey`]: verifies RS256, ES256 and EdDSA with Ed25519 (RFC 7518 section 3, RFC 8037).
//! * [`Compact`], [`Header`]: a JWS taken apart (RFC 7515 section 7.1), nothing trusted yet.
//! * [`SigningKey`]: generates, signs, and goes out and comes in as a private JWK.
//!
//! ```
//! use jose::{Algorithm, Compact, SigningKey};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = SigningKey::generate(Algorithm::Es256)?.with_kid("2024-a");
//! let token = key.sign_payload("at+jwt", br#"{"sub":"u"}"#)?;
//!
//! let token = Compact::split(&token)?;
//! let header = token.header()?;
//! assert_eq!(header.kid.as_deref(), Some("2024-a"));
//! token.verify(&header, key.jwk().public_key())?;
//! # Ok(())
//! # }
//! ```

mod algorithm;
mod base64url;
mod compact;
mod der;
mod jwk;
mod jwk_set;
mod object;
mod public_key;
mod signing_key;
mod thumbprint;

pub use algorithm::Algorithm;
pub use base64url::{is_base64url, to_base64url};
pub use compact::{Compact, Header, MAX_HEADER, MAX_TOKEN, Malformed};
pub use jwk::{Jwk, JwkError};
pub use jwk_set::{JwkSet, JwkSetError, MAX_KEYS, MAX_SET, SkippedKey};
pub use object::from_object;
pub use public_key::{BadSignature, PublicKey};
pub use signing_key::{SigningKey, SigningKeyError};
pub use thumbprint::Thumbprint;
