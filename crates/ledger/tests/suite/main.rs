//! The ledger on real stores: every test on both engines.

mod applying;
mod consequences;
mod feed;
mod model;
mod tailing;
mod told;
