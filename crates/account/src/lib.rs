//! Who an account is, its high-water mark, and what can happen to it.
//!
//! A leaf: values and the pure rules between them; no clock, no I/O. Everything that trusts an account speaks in
//! these words: an [`AccountId`] names it, an [`AccountEvent`] says what happened to it and when, its [`Mark`] is
//! the time below which nothing that was granted counts any more, and its [`State`] says whether it may act at all.

mod event;
mod id;
mod mark;
mod state;
mod time;

pub use event::{AccountEvent, Change, DeleteReason, EventKind, Login, Profile, Subscription};
pub use id::{AccountId, IdpId, InvalidId, Subject};
pub use mark::{Birth, Mark, Standing};
pub use state::{State, StateAt};
pub use time::Millis;
