//! The whole process, as an operator meets it: the built binary, its exit codes, its sockets, signals and kills.

mod certificates;
mod changing;
mod checking;
mod coming;
mod commands;
mod docs;
mod doors;
mod events;
mod faults;
mod house;
mod http;
mod keeping;
mod lives;
mod mistakes;
mod operating;
mod queue;
mod registering;
mod secrets;
mod services;
mod sharing;
mod telling;
mod trials;
mod two_sources;
mod world;
