//! The shared suite of the store: what holds on both engines is tested on both, what only one of them can do to us is
//! done to that one.

mod afterwards;
mod again;
mod callers;
mod crash;
mod errors;
mod groups;
mod leases;
mod locks;
mod migrations;
mod outage;
mod owner;
mod read_only;
mod sets;
mod signals;
mod stale;
mod statements;
mod tables;
mod unanswered;
mod views;
mod writers;
