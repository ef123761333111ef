//! The whole process, as an operator meets it: the built binary, its exit codes, its sockets, signals and kills.

mod changing;
mod checking;
mod commands;
mod docs;
mod doors;
mod events;
mod faults;
mod house;
mod http;
mod lives;
mod mistakes;
mod operating;
mod queue;
mod registering;
mod secrets;
mod sharing;
mod telling;
mod trials;
mod two_sources;
mod world;
