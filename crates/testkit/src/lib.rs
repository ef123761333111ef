//! What only tests and benches need: temporary servers, free ports, made-up data.
//!
//! The outside world of the tests is the real thing: [`Postgres`] is a real cluster made by `initdb`, [`MariaDb`] a real
//! MariaDB, [`Moto`] a real SQS server over HTTP, [`Redis`] a real Redis, [`Nginx`], [`Caddy`] and [`Envoy`] real reverse
//! proxies, [`OpenIdProvider`] a real OpenID provider. Each listens on a free port of the loopback, keeps its files in a temporary
//! folder and is gone when its value is dropped, or when the process that holds it dies, however it dies.
//!
//! One cluster serves a whole test run: `./test` starts it by the `test-services` program and names it in
//! [`POSTGRES_URL`]; [`postgres_server`] uses that one, or starts one for the process. Each test then works in a
//! [`PostgresServer::fresh_database`] of its own. The same holds for [`mariadb_server`] and [`moto_endpoint`].
//!
//! What cannot be started is a panic with the reason: these are tests' tools, and a test without its server has nothing
//! to say.

pub mod data;

mod caddy;
mod envoy;
mod mariadb;
mod moto;
mod network;
mod nginx;
mod openid_provider;
mod port;
mod postgres;
mod programs;
mod progress;
mod redis;
mod rerun;
mod server;
mod supervised;
mod tls;
mod wait;

pub use caddy::Caddy;
pub use envoy::Envoy;
pub use mariadb::MariaDb;
pub use moto::Moto;
pub use network::{Cut, PostgresProxy};
pub use nginx::Nginx;
pub use openid_provider::{Login, OpenIdClient, OpenIdOptions, OpenIdProvider};
pub use port::free_port;
pub use postgres::{Fsync, Postgres, PostgresOptions};
pub use progress::Progress;
pub use redis::Redis;
pub use rerun::Rerun;
pub use server::{
    MARIADB_URL, MOTO_URL, MariaDbServer, POSTGRES_URL, PYTHON, PostgresServer, mariadb_server,
    moto_endpoint, postgres_server,
};
pub use tls::{Authority, Heard, MutualTls, Papers};
pub use wait::wait_until;
