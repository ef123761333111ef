//! A temporary cluster, from its start to its end.

use std::net::TcpStream;
use testkit::Postgres;
use tokio_postgres::{Error, NoTls, SimpleQueryMessage};

/// Runs `sql` on a connection of its own; the first value of what it answers, if it answers anything.
async fn ask(url: &str, sql: &str) -> Result<Option<String>, Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let answer = async {
        let messages = client.simple_query(sql).await;
        drop(client);
        messages
    };
    let (messages, _) = tokio::join!(answer, connection);
    let value = messages?.into_iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    Ok(value)
}

async fn answer(url: &str, sql: &str) -> String {
    ask(url, sql).await.expect("it answers").expect("with a value")
}

#[tokio::test]
async fn it_waits_for_the_disk_and_is_gone_when_dropped() {
    let postgres = Postgres::start();
    assert_eq!(answer(&postgres.url(), "show fsync").await, "on");
    let data = answer(&postgres.url(), "show data_directory").await;
    let port = postgres.port();
    drop(postgres);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(!std::path::Path::new(&data).exists());
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_crash_and_after_a_restart() {
    let mut postgres = Postgres::start();
    let url = postgres.fresh_database().await;
    ask(&url, "create table kept as select 'here' as word").await.expect("it is made");
    postgres.crash();
    assert!(ask(&url, "select 'up'").await.is_err());
    postgres.start_again();
    assert_eq!(answer(&url, "select word from kept").await, "here");
    postgres.restart();
    assert_eq!(answer(&url, "select word from kept").await, "here");
}

#[tokio::test]
async fn databases_are_apart() {
    let server = testkit::postgres_server();
    let (one, two) = tokio::join!(server.fresh_database(), server.fresh_database());
    assert_ne!(one, two);
    ask(&one, "create table mine (a int)").await.expect("it is made");
    let there = "select coalesce(to_regclass('mine')::text, 'nothing')";
    assert_eq!(answer(&one, there).await, "mine");
    assert_eq!(answer(&two, there).await, "nothing");
}
