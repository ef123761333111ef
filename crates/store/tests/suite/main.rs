//! The shared suite of the store: what holds on both engines is tested on both, what only one of them can do to us is
//! done to that one.

mod groups;
mod tables;
mod writers;
