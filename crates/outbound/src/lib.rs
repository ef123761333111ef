//! HTTP towards others, with manners; the only place that builds an HTTP client.
//!
//! Whoever talks to the outside says how patient it is ([`Manners`]) and gets a [`Client`] that keeps to it: it never
//! follows a redirect, it gives up connecting and gives up altogether when it said it would, it reads no more of an
//! answer than it said it would, it keeps connections open for the next request, and it says who it is.
//!
//! Manners that outlive a request are values of their own: a [`Breaker`] spares whoever fails, a [`TokenBucket`] bounds
//! how many requests begin.
//!
//! What went wrong is an [`OutboundError`] that says what the caller can do about it, and names the other side but
//! neither the path nor anything that was sent or received, so that it can be logged.

mod answer;
mod breaker;
mod client;
mod error;
mod papers;
mod reach;
mod token_bucket;

pub use answer::Answer;
pub use breaker::{Admission, Breaker, BreakerRules, Spread};
pub use client::{Client, Manners, Request};
pub use error::{CannotBuild, OutboundError, Stage};
pub use http::{HeaderMap, StatusCode, header};
pub use papers::Papers;
pub use reach::Reach;
pub use token_bucket::{Rate, TokenBucket};
pub use url::{Url, form_urlencoded};
