//! A temporary MariaDB, from its start to its end.

use std::net::TcpStream;
use testkit::{Authority, MariaDb, mariadb_server};

#[test]
fn it_keeps_what_was_committed_over_a_kill_and_is_gone_when_dropped() {
    let mut mariadb = MariaDb::start();
    mariadb.run("create database kept; create table kept.words as select 'here' as word");
    mariadb.kill();
    mariadb.start_again();
    assert_eq!(mariadb.run("select word from kept.words"), "here\n");
    let data = mariadb.run("select @@datadir").trim().to_owned();
    assert!(std::path::Path::new(&data).exists());
    let port = mariadb.port();
    drop(mariadb);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(!std::path::Path::new(&data).exists());
}

#[test]
fn one_with_papers_speaks_tls() {
    let mariadb = MariaDb::by_tls(&Authority::new().papers("localhost"));
    assert_eq!(mariadb.run("select @@have_ssl, @@require_secure_transport"), "YES\t1\n");
}

#[test]
fn databases_are_apart_and_have_the_fields_character_set() {
    let server = mariadb_server();
    let (one, two) = (server.fresh_database(), server.fresh_database());
    assert_ne!(one, two);
    let name = |url: &str| url.rsplit('/').next().map(str::to_owned).expect("a database");
    server.run(&format!("use {}; create table mine (a int)", name(&one)));
    assert_eq!(server.run(&format!("use {}; show tables", name(&two))), "");
    let set = server.run(&format!("use {}; select @@character_set_database", name(&one)));
    assert!(set.starts_with("utf8"), "{set}");
}
