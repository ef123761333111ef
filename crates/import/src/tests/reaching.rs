//! Reaching the source: nobody there, nobody let in, TLS.

use super::*;
use crate::{Secret, Tls};
use testkit::{Authority, MariaDb, free_port};

async fn refused(address: &str) -> String {
    let [test, _] = engines(TABLES).await;
    let address = Address::parse(address).expect("an address");
    crate::import(&test.store, &address, &mut |_| ()).await.expect_err("it is refused").to_string()
}

#[tokio::test]
async fn who_is_not_there_or_lets_nobody_in_is_told_without_the_password() {
    let source = Source::new();
    let at = source.url.strip_prefix("mysql://root@").expect("its user is root");
    let (server, database) = at.split_once('/').expect("a database");
    source.run(&format!(
        "create or replace user reader_{database}@'%' identified by 'hunter2'; grant select on {database}.* to reader_{database}@'%'"
    ));
    let user = format!("reader_{database}");
    let nobody = free_port();
    for (address, why) in [
        (format!("mysql://root:hunter2@127.0.0.1:{nobody}/x"), "cannot be reached"),
        (format!("mysql://{user}:hunter3@{at}"), "lets nobody in: Access denied"),
        (format!("mysql://{user}@{at}"), "lets nobody in: Access denied"),
        (format!("mysql://{user}:hunter2@{server}/mysql"), "lets nobody in: Access denied"),
        (format!("mysql://root@{server}/nowhere"), "there is no such database"),
    ] {
        let said = refused(&address).await;
        assert!(said.contains(why) && !said.contains("hunter"), "{said}");
    }
    let [test, _] = engines(TABLES).await;
    let address = Address::parse(&format!("mysql://{user}:wrong@{at}")).expect("an address");
    let right = address.with_password(Secret::new("hunter2"));
    crate::import(&test.store, &right, &mut |_| ()).await.expect("reading is enough");
    same(&source, &test).await;
}

#[tokio::test]
async fn tls_is_spoken_with_whom_the_right_authority_vouches_for() {
    let authority = Authority::new();
    let server = MariaDb::by_tls(&authority.papers("localhost"));
    server.run(&format!(
        "create database field character set utf8; use field; {FIELD}
        create user reader@'%' identified by 'x'; grant select on field.* to reader@'%'"
    ));
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, authority: &Authority| {
        let path = folder.path().join(name);
        std::fs::write(&path, authority.certificate()).expect("the folder is ours");
        Tls::Authorities(path)
    };
    let (right, wrong) = (file("right.pem", &authority), file("wrong.pem", &Authority::new()));
    let by = |host: &str, tls: &Tls| {
        let address = Address::parse(&format!("mysql://reader:x@{host}:{}/field", server.port()));
        address.expect("an address").with_tls(tls.clone())
    };
    let [test, _] = engines(TABLES).await;
    for (address, why) in [
        (by("localhost", &Tls::Off), "does it want TLS (--tls)?"),
        (by("localhost", &wrong), "invalid peer certificate"),
        (by("localhost", &Tls::System), "UnknownIssuer"),
        (by("127.0.0.1", &right), "not valid for name"),
        (by("localhost", &Tls::Authorities(folder.path().join("none.pem"))), "none.pem cannot be read"),
    ] {
        let error = crate::import(&test.store, &address, &mut |_| ()).await.expect_err("not so");
        assert!(error.to_string().contains(why), "{error}");
    }
    let report = crate::import(&test.store, &by("localhost", &right), &mut |_| ()).await;
    assert_eq!(report.expect("it is imported").tables[2].rows, 5);
}
