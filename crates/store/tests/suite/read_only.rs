//! A PostgreSQL that can only be read: after a failover, or because it protects itself.

use crate::tables::{Counter, Increment, MIGRATIONS};
use std::time::Duration;
use store::StoreError;
use store::testing::postgres;
use testkit::wait_until;
use tokio_postgres::NoTls;

/// As a failover leaves it behind: whoever was connected talks to a server that can only be read, and who connects anew
/// reaches one that can be written.
#[tokio::test]
async fn a_server_that_can_only_be_read_is_an_outage_and_its_connections_are_let_go() {
    let test = postgres(&[MIGRATIONS]).await;
    let (client, connection) = tokio_postgres::connect(&test.settings.url, NoTls).await.expect("connected");
    let scene = async {
        let name: String = client.query_one("select current_database()", &[]).await.expect("asked").get(0);
        let only_read = async |only: &str| {
            let set = format!("alter database \"{name}\" set default_transaction_read_only = {only}");
            client.batch_execute(&set).await.expect("set");
        };
        let cut = "select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()";
        only_read("on").await;
        client.simple_query(cut).await.expect("cut");
        // Connections of now know only reading, and keep to that.
        test.store.read(&Counter("one")).await.expect("it can be read");
        let error = test.store.run(Increment("one")).await.expect_err("it cannot be written");
        assert!(matches!(error, StoreError::ReadOnly { .. }) && error.is_outage(), "{error}");

        let connected = "select count(*) from pg_stat_activity
            where datname = current_database() and application_name = 'highwater'";
        let nobody = async || client.query_one(connected, &[]).await.expect("asked").get::<_, i64>(0) == 0;
        wait_until("every connection is let go, the readers' too", Duration::from_secs(10), nobody).await;

        only_read("off").await;
        test.store.run(Increment("one")).await.expect("on a connection of its own");
        assert_eq!(test.store.read(&Counter("one")).await.expect("read"), 1);
        drop(client);
    };
    let ((), _) = tokio::join!(scene, connection);
}
