//! Answers reverse proxies and services: is this bearer token good, and whose is it?
//!
//! A proxy asks about each request before it passes it on ([`adapters`]), a service asks about a token, a client comes for
//! the first time and gets an account.

pub mod adapters;
