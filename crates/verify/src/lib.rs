//! Is this bearer token good, and what does it say? Facts, remembered; no store.
//!
//! [`Verifier::facts`] takes a token and gives [`Facts`]: whose it is, what it grants, when it was born and when it
//! ends. A JWT is verified here, with its identity provider's keys; any other token is asked about, where the identity
//! provider allows that.
//!
//! What is remembered are facts, never verdicts: that a scope suffices, that an account may act, that a grant lies
//! above the account's high-water mark is judged for every request anew. A fact is not given out past the token's own
//! end, nor once the key that proved it has been withdrawn, nor once something happened to the account
//! ([`Verifier::account_changed`]). [`Verifier::check`] takes a [`Freshness`]: how old facts may be, whether stale ones
//! will do while the identity provider cannot be asked, how long to wait.
//!
//! A [`Gate`] is the whole check of a request: it reads the `Authorization` header, finds the [`Policy`]'s [`Rule`] for the
//! method and the path, checks the token, and judges scopes, client, sign-in and the account's [`Record`]. What it does not
//! let through is a [`Rejection`], which knows its HTTP status, its challenge (RFC 6750, RFC 9470) and its words.
//!
//! With the feature `tower`, `BearerLayer` puts a gate before an axum service.
//!
//! With a [`Shared`] tier, what the identity provider says is known to every process of the house once one of them has asked.
//! This crate brings none: whoever has a store implements [`SharedTier`] for it.
//!
//! A [`CheckError`] says whose fault it is: [`CheckError::Refused`] is the token's (401), [`CheckError::Unavailable`]
//! is trouble at the identity provider (503 with `Retry-After`). The second never comes of a token alone.
//!
//! ```
//! # use account::{IdpId, Millis};
//! # use jose::{Algorithm, SigningKey};
//! # use idp::{IdpConfig, Idps};
//! # use verify::{CheckError, Settings, Verifier};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! # let key = SigningKey::generate(Algorithm::EdDsa)?;
//! # let claims = serde_json::json!({"sub": "u", "exp": 2_000, "scope": "profile", "fxa-generation": 1_234});
//! # let token = key.sign_claims("at+jwt", &claims)?;
//! let mut config = IdpConfig::new(IdpId::new("idp")?, "https://accounts.example", "accounts.example");
//! config.primary_jwk = Some(key.jwk().clone());
//! let verifier = Verifier::new(Idps::new(&[config])?, &Settings::default());
//!
//! let facts = verifier.facts(&token, Millis::from_seconds(1_000)).await?;
//! assert!(facts.scopes.grants("profile:email"));
//! assert_eq!(facts.birth(), account::Birth::exactly(Millis::new(1_234)));
//!
//! let outcome = verifier.facts("nonsense", Millis::from_seconds(1_000)).await;
//! assert!(matches!(outcome, Err(CheckError::Refused(_))));
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(example()).expect("it holds");
//! ```

mod answer;
mod authorization;
mod check_error;
mod claims;
mod derived;
mod errands;
mod facts;
mod flights;
mod freshness;
mod gate;
mod judging;
#[cfg(feature = "tower")]
mod layer;
mod learning;
mod lives;
mod memory;
mod meters;
mod numeric_date;
mod policy;
mod record;
mod rejection;
mod scopes;
mod settings;
mod shared;
mod sight;
mod span;
mod verifier;
mod words;

pub use answer::{Answer, How};
pub use authorization::{BadAuthorization, bearer_token};
pub use check_error::{CheckError, Refusal};
#[cfg(test)]
pub(crate) use claims::Claims;
pub use derived::Derived;
pub use facts::{Facts, Source};
pub use freshness::Freshness;
pub use gate::{Gate, Pass, Request};
pub use judging::{AfterChange, Judgement, judge};
#[cfg(feature = "tower")]
pub use layer::{BearerLayer, BearerService};
pub use learning::Asking;
pub use lives::NewVersion;
pub use numeric_date::NumericDate;
pub use policy::{InvalidPolicy, Policy, PolicyConfig, RouteConfig, Rule};
pub use record::{NoRecords, Place, Record, Records};
pub use rejection::Rejection;
pub use scopes::Scopes;
pub use settings::Settings;
pub use shared::{Claimed, Kept, Kind, MAX_KEPT, Shared, SharedSecret, SharedTier, TierDown, Value};
pub use sight::Sight;
pub use verifier::{Options, Verifier};
