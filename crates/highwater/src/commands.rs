//! What each command does: a request or a few, and how its answer is shown.

pub(crate) mod account;
pub(crate) mod bucket;
pub(crate) mod check;
pub(crate) mod deliveries;
pub(crate) mod events;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod keys;
pub(crate) mod migrate;
pub(crate) mod node;
mod progress;
pub(crate) mod purge;
pub(crate) mod rp;
pub(crate) mod service;
pub(crate) mod sessions;
pub(crate) mod shed;
pub(crate) mod simulate;
pub(crate) mod token;
mod trial;
pub(crate) mod user;
