//! Keeps upstream sessions: refreshes their tokens before they run out, loses none to a hiccup, ends them with their
//! account.
//!
//! A *grant* is what an identity provider gave for one login: an access token, a refresh token. *Sessions* are what a
//! service lets its users do with it; several may share a grant. Every node claims grants that are due, presents each
//! refresh token once, and commits what came of it conditionally on the claim; so a process may die or sleep at any point.
//! Nothing but the identity provider's own word, its own end, an account event or somebody's will ends a session: an outage
//! never does.
//!
//! ```text
//! login ──▶ grant, session ──▶ due ─▶ claim ─▶ one POST ─▶ settle ─▶ due again …
//! service ▶ live access token ─▶ kept? handed out : the same claim, for one
//! event ──▶ consequence ─▶ sessions end, grants end, revocations are put down ─▶ told, until heard
//! watch ◀── changes, in the order of the commits
//! ```

mod access;
mod capability;
mod consequence;
mod feed;
mod health;
mod http;
mod ids;
mod journal;
mod lanes;
mod login;
mod meters;
pub mod rules;
mod sealing;
mod settings;
mod store;
mod touches;
pub mod upstream;
mod worker;

pub use crate::store::find::IdpTrouble;
pub use crate::store::rows::{Claims, GrantView, LastError, Object, SessionState, SessionView, UserInfoView};
pub use crate::store::{MIGRATIONS, STATEMENTS};
pub use access::{Live, NoToken};
pub use capability::Sessions;
pub use consequence::{CAPABILITY, EndLogins};
pub use health::Finding;
pub use ids::{GrantId, InvalidId, SessionId};
pub use rules::{GrantState, Reason};
pub use settings::{IdpSettings, InvalidSettings, Settings};

#[cfg(test)]
mod tests;
