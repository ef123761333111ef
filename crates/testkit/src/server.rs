//! One server for many tests.

use crate::{Fsync, MariaDb, Moto, Postgres, mariadb};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Error, NoTls};

/// The environment variable with a superuser's URL of the cluster that all test processes share.
pub const POSTGRES_URL: &str = "HIGHWATER_TEST_POSTGRES";

/// The environment variable with the URL of the MariaDB that all test processes share.
pub const MARIADB_URL: &str = "HIGHWATER_TEST_MARIADB";

/// The environment variable with the endpoint of the SQS server that all test processes share.
pub const MOTO_URL: &str = "HIGHWATER_TEST_MOTO";

/// The environment variable with the Python interpreter that has `requirements.txt` installed.
pub const PYTHON: &str = "HIGHWATER_TEST_PYTHON";

/// A cluster to make databases in: the shared one, or one of this process.
#[derive(Debug)]
pub struct PostgresServer {
    url: String,
    _own: Option<Postgres>,
}

/// The cluster of this test run: the one that [`POSTGRES_URL`] names, else one started now for this process.
///
/// It may serve other tests at the same time: who wants to stop or crash one starts its own [`Postgres`].
pub fn postgres_server() -> &'static PostgresServer {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    let own = || {
        let own = Postgres::options().fsync(Fsync::Off).start();
        PostgresServer { url: own.url(), _own: Some(own) }
    };
    SERVER.get_or_init(|| {
        std::env::var(POSTGRES_URL).map_or_else(|_| own(), |url| PostgresServer { url, _own: None })
    })
}

/// A MariaDB to make databases in: the shared one, or one of this process.
#[derive(Debug)]
pub struct MariaDbServer {
    url: String,
    _own: Option<MariaDb>,
}

/// The MariaDB of this test run: the one that [`MARIADB_URL`] names, else one started now for this process.
///
/// It may serve other tests at the same time: who wants to stop one starts its own [`MariaDb`].
pub fn mariadb_server() -> &'static MariaDbServer {
    static SERVER: OnceLock<MariaDbServer> = OnceLock::new();
    let own = || {
        let own = MariaDb::start();
        MariaDbServer { url: own.url(), _own: Some(own) }
    };
    SERVER.get_or_init(|| {
        std::env::var(MARIADB_URL).map_or_else(|_| own(), |url| MariaDbServer { url, _own: None })
    })
}

impl MariaDbServer {
    /// Makes an empty database, in the field's character set, and returns its URL. It lives as long as the server.
    pub fn fresh_database(&self) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        // An earlier process may have had our id.
        self.run(&format!("drop database if exists {name}; create database {name} character set utf8"));
        format!("{}/{name}", self.url)
    }

    /// Runs some SQL as `root`; what it answers, a line for each row, columns between tabs. In a database: `use NAME; …`.
    pub fn run(&self, sql: &str) -> String {
        let (_, port) = self.url.rsplit_once(':').expect("its URL ends with a port");
        mariadb::run_sql(&["--host=127.0.0.1", &format!("--port={port}")], sql)
    }
}

/// The endpoint of this test run's SQS server: the one that [`MOTO_URL`] names, else one started now for this process.
pub fn moto_endpoint() -> &'static str {
    static SERVER: OnceLock<(String, Option<Moto>)> = OnceLock::new();
    let own = || {
        let own = Moto::start();
        (own.endpoint(), Some(own))
    };
    let (endpoint, _) =
        SERVER.get_or_init(|| std::env::var(MOTO_URL).map_or_else(|_| own(), |url| (url, None)));
    endpoint
}

impl PostgresServer {
    /// The superuser's URL of its maintenance database.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes an empty database and returns its URL. It lives as long as the cluster.
    pub async fn fresh_database(&self) -> String {
        fresh_database(&self.url).await
    }
}

impl Postgres {
    /// Makes an empty database in this cluster and returns its URL.
    pub async fn fresh_database(&self) -> String {
        fresh_database(&self.url()).await
    }
}

async fn fresh_database(server: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    loop {
        let name = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        match run(server, &format!("create database {name}")).await {
            Ok(()) => return with_database(server, &name),
            // An earlier process had our id, or another of this process copies the template right now.
            Err(error) if is_passing(&error) => {}
            Err(error) => panic!("no database could be made: {error:?}"),
        }
    }
}

fn is_passing(error: &Error) -> bool {
    matches!(error.code(), Some(&(SqlState::DUPLICATE_DATABASE | SqlState::OBJECT_IN_USE)))
}

/// Runs `sql` on a connection of its own.
async fn run(url: &str, sql: &str) -> Result<(), Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let work = async {
        let done = client.batch_execute(sql).await;
        drop(client); // ends the connection
        done
    };
    // A connection that is lost says so in the answer to what was asked on it.
    let (done, _) = tokio::join!(work, connection);
    done
}

fn with_database(url: &str, name: &str) -> String {
    let (server, _) = url.rsplit_once('/').expect("a server's URL ends with a database");
    format!("{server}/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_takes_the_place_of_the_maintenance_one() {
        assert_eq!(
            with_database("postgres://postgres@127.0.0.1:5/postgres", "a"),
            "postgres://postgres@127.0.0.1:5/a"
        );
    }
}
