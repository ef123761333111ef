//! What several processes remember together, and how they ask once for all of them.
//!
//! A verifier may be given a [`SharedTier`] beside its own memory: a store of a few kilobytes for each name, each with an
//! end, such as Redis or Valkey. What the identity provider says is kept there for every process, and while one of them asks
//! about a token, the others wait for what it hears. The tier never sees a token, an account or a fact: names are
//! keyed hashes, values are sealed ([`SharedSecret`]). It is trusted for nothing but memory. What it loses is asked anew;
//! when it is away, each process goes on by itself.
//!
//! No word of the identity provider's from before an event of the account counts after it, whichever process knows of the
//! event already: a value says how much of the feed its writer had heard of before it asked, and whoever reads it asks
//! the store where the account's latest event is ([`Records::placed_record`](crate::Records::placed_record)).

mod claim;
mod meters;
mod sealing;
mod way;
mod written;

pub use sealing::SharedSecret;

pub(crate) use claim::{Claim, Failures};
pub(crate) use meters::Lookups;
pub(crate) use way::{Known, Search, Together, Via, Wanted, Way};

use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;

/// The most bytes that are ever kept under one name. What is longer was not written by a verifier.
pub const MAX_KEPT: usize = 8192;

/// A memory that several processes have in common. Every operation answers soon, or with [`TierDown`] as soon.
pub trait SharedTier: Send + Sync + 'static {
    /// What is kept under a name.
    fn look<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Kept, TierDown>>;

    /// Makes `flight` the name's flight for `term`, unless there is one (or its last words); which one that is, `None` when
    /// it is this one now. Then looks: what a flight kept before it left is seen by whoever comes after it.
    fn claim<'a>(
        &'a self,
        name: &'a str,
        flight: &'a str,
        term: Duration,
    ) -> BoxFuture<'a, Result<Claimed, TierDown>>;

    /// Lets `flight` go on for `term` from now, if it is the name's flight.
    fn hold<'a>(
        &'a self,
        name: &'a str,
        flight: &'a str,
        term: Duration,
    ) -> BoxFuture<'a, Result<(), TierDown>>;

    /// Keeps a value under a name, and then lets `flight` leave. A no takes the place of facts.
    fn keep<'a>(
        &'a self,
        name: &'a str,
        value: Value<'a>,
        flight: &'a str,
    ) -> BoxFuture<'a, Result<(), TierDown>>;

    /// Lets `flight` leave, if it is the name's flight; for `term` its last words, if there are any, stand in its place.
    fn leave<'a>(
        &'a self,
        name: &'a str,
        flight: &'a str,
        last_words: &'a [u8],
        term: Duration,
    ) -> BoxFuture<'a, Result<(), TierDown>>;

    /// What is wrong with it, in a few words; `None` while it works.
    fn trouble(&self) -> Option<String>;
}

/// What is kept under a name; at most [`MAX_KEPT`] bytes each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Sealed facts.
    pub facts: Option<Vec<u8>>,
    /// A sealed no.
    pub no: Option<Vec<u8>>,
}

/// Whose a name's flight is, or its last words, `None` when it is the one who asks; and what is kept.
pub type Claimed = (Option<Vec<u8>>, Kept);

/// Something to be kept.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    /// What it is.
    pub kind: Kind,
    /// It, sealed.
    pub sealed: &'a [u8],
    /// How long it is kept.
    pub life: Duration,
}

/// What something kept is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What a token says.
    Facts,
    /// That the identity provider says no.
    No,
}

/// The tier cannot be reached, or does not do what it should. Nothing follows from it but that each process is on its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shared tier is not there")]
pub struct TierDown;

/// A tier, and the secrets that what is in it is named and sealed under.
#[derive(Clone)]
pub struct Shared {
    /// The tier.
    pub tier: Arc<dyn SharedTier>,
    /// The secret that everything is written under; the same in every process.
    pub secret: SharedSecret,
    /// Secrets that others may still write under, or will soon: what was written under them is read too.
    pub other_secrets: Vec<SharedSecret>,
}
