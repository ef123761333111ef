//! The ledger on real stores: every test on both engines.

mod applying;
mod consequences;
mod model;
mod told;
