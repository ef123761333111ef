//! The ledger on real stores: every test on both engines.

mod admin;
mod applying;
mod consequences;
mod crash;
mod feed;
mod forgetting;
mod letters;
mod model;
mod numbers;
mod sharing;
mod statements;
mod tailing;
mod told;
mod trouble;
