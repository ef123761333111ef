//! HTTP towards others, with manners; the only place that builds an HTTP client.
//!
//! Whoever talks to the outside says how patient it is ([`Manners`]) and gets a [`Client`] that keeps to it: it never
//! follows a redirect, it gives up connecting and gives up altogether when it said it would, it reads no more of an
//! answer than it said it would, it keeps connections open for the next request, and it says who it is.
//!
//! What went wrong is an [`OutboundError`] that says what the caller can do about it, and names the other side but
//! neither the path nor anything that was sent or received, so that it can be logged.

mod answer;
mod client;
mod error;
mod papers;
mod reach;

pub use answer::Answer;
pub use client::{Client, Manners, Request};
pub use error::{CannotBuild, OutboundError};
pub use http::{HeaderMap, StatusCode, header};
pub use papers::Papers;
pub use reach::Reach;
pub use url::Url;
