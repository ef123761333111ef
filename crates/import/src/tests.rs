//! Imports from a real MariaDB, whose databases are made by SQL as the field's migrations leave them, into both engines.

mod copying;
mod operating;
mod reaching;
mod refusing;
mod resuming;

use crate::{Address, ImportError, Progress, Report};
use store::testing::{TestStore, engines, prepare_all};
use store::{Migration, Operation, Sql, Store, StoreError, Tx};
use testkit::MariaDbServer;

const TABLES: &[&[Migration]] = &[tokenserver::MIGRATIONS, crate::MIGRATIONS];

/// The field's tables on MySQL, after all of its migrations, and some years of use in them: a service that is not the
/// first, a node with a trailing slash, a user with two keys, one who was deleted, one who never said when the keys
/// changed, one whose node is gone; loads that nobody believes; and the number of a row that was purged.
const FIELD: &str = "
    create table services (id int not null auto_increment, service varchar(30) default null,
        pattern varchar(128) default null, primary key (id), unique key service (service))
        engine=InnoDB default charset=utf8;
    create table nodes (id bigint not null auto_increment, service int not null, node varchar(64) not null,
        available int not null, current_load int not null, capacity int not null, downed int not null,
        backoff int not null, primary key (id), unique key unique_idx (service, node))
        engine=InnoDB default charset=utf8;
    create table users (uid bigint not null auto_increment, service int not null, email varchar(255) not null,
        generation bigint not null, client_state varchar(32) not null, created_at bigint not null,
        replaced_at bigint default null, nodeid bigint not null, keys_changed_at bigint default null,
        primary key (uid), key lookup_idx (email, service, created_at), key replaced_at_idx (service, replaced_at),
        key node_idx (nodeid)) engine=InnoDB auto_increment=4 default charset=utf8;
    insert into services (id, service, pattern) values (1, 'queuey-1.0', null), (2, 'sync-1.5', '{node}/1.5/{uid}');
    insert into nodes (id, service, node, available, current_load, capacity, downed, backoff) values
        (800, 2, 'https://Sync-1.example/', 50, -2, 100, 0, 0), (801, 2, 'https://sync-2.example', 0, 7, 100, 1, 0);
    insert into users (service, email, generation, client_state, created_at, replaced_at, nodeid, keys_changed_at)
    values (2, 'two@accounts.example', 100, 'aaaa', 1000, 2000, 800, 100),
        (2, 'two@accounts.example', 200, 'bb', 2000, null, 800, 200),
        (2, 'gone@accounts.example', 9223372036854775807, '', 1000, 3000, 800, null),
        (2, 'silent@accounts.example', 100, 'aaaa', 1000, null, 801, null),
        (2, 'été@accounts.example', 0, 'A\"b\\\\c', 0, null, 7, 0);
    insert into users (uid, service, email, generation, client_state, created_at, nodeid)
        values (9000, 2, 'purged@accounts.example', 1, '', 1, 800);
    delete from users where uid = 9000;";

/// A database of the field on the shared MariaDB.
struct Source {
    server: &'static MariaDbServer,
    url: String,
}

impl Source {
    fn new() -> Self {
        let source = Self::empty();
        source.run(FIELD);
        source
    }

    fn empty() -> Self {
        let server = testkit::mariadb_server();
        Self { server, url: server.fresh_database() }
    }

    /// With so many users more, from number 9 on, on nodes that are and are not there.
    fn with_users(users: u32) -> Self {
        let source = Self::new();
        source.run(&format!(
            "insert into users select seq + 8, 2, concat(seq, '@accounts.example'), seq, hex(seq), seq * 1000, if(seq % 5, null, seq * 2000),
                798 + seq % 4, if(seq % 3, seq, null) from seq_1_to_{users};"
        ));
        source
    }

    fn database(&self) -> &str {
        self.url.rsplit('/').next().expect("it ends with the database")
    }

    fn run(&self, sql: &str) -> String {
        self.server.run(&format!("set names utf8; use {}; {sql}", self.database()))
    }

    fn address(&self) -> Address {
        Address::parse(&self.url).expect("an address")
    }

    /// Every row of a table, a line each.
    fn rows(&self, table: &str) -> Vec<String> {
        let columns = match table {
            "services" => "id, coalesce(service, '-'), coalesce(pattern, '-')",
            "nodes" => "id, service, node, available, current_load, capacity, downed, backoff",
            _ => "uid, service, email, generation, client_state, created_at, coalesce(replaced_at, '-'), nodeid,
                coalesce(keys_changed_at, '-')",
        };
        // Its client escapes what it prints, unless told to leave it.
        let lines =
            self.run(&format!("select hex(concat_ws('|', {columns})) from {table} order by 1 * 0, 1"));
        let mut lines: Vec<String> = lines
            .lines()
            .map(|line| String::from_utf8(hex::decode(line).expect("hex")).expect("text"))
            .collect();
        lines.sort();
        lines
    }
}

/// Every row of a table here, in the same words.
async fn rows(store: &Store, table: &str) -> Vec<String> {
    static SERVICES: Sql = Sql::both(
        "select cast(id as text) || '|' || coalesce(service, '-') || '|' || coalesce(pattern, '-') from services",
    );
    static NODES: Sql = Sql::both(
        "select cast(id as text) || '|' || cast(service as text) || '|' || node || '|' || cast(available as text)
            || '|' || cast(current_load as text) || '|' || cast(capacity as text) || '|' || cast(downed as text)
            || '|' || cast(backoff as text) from nodes",
    );
    static USERS: Sql = Sql::both(
        "select cast(uid as text) || '|' || cast(service as text) || '|' || email || '|' || cast(generation as text)
            || '|' || client_state || '|' || cast(created_at as text) || '|' || coalesce(cast(replaced_at as text), '-')
            || '|' || cast(nodeid as text) || '|' || coalesce(cast(keys_changed_at as text), '-') from users",
    );
    let sql = match table {
        "services" => &SERVICES,
        "nodes" => &NODES,
        _ => &USERS,
    };
    let mut rows = store.run(Ask(sql)).await.expect("the store answers");
    rows.sort();
    rows
}

/// Runs a statement and answers the first column of its rows, as text.
struct Ask(&'static Sql);

impl Operation for Ask {
    const NAME: &'static str = "test.ask";
    type Output = Vec<String>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        tx.query(self.0, &[], |row| Ok(row.opt_text(0)?.unwrap_or_default().to_owned())).await
    }
}

async fn same(source: &Source, test: &TestStore) {
    for table in ["services", "nodes", "users"] {
        assert_eq!(rows(&test.store, table).await, source.rows(table), "{table} on {:?}", test.engine());
    }
}

async fn import(test: &TestStore, source: &Source) -> Result<Report, ImportError> {
    crate::import(&test.store, &source.address(), &mut |_| ()).await
}

/// Runs an import until it tells of something, and no further: then it is dropped where it is.
async fn import_until(test: &TestStore, source: &Source, is_it: impl Fn(Progress) -> bool + Sync) {
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let address = source.address();
    let mut tell = |progress| {
        if is_it(progress) {
            told.send(()).expect("somebody listens");
        }
    };
    tokio::select! {
        biased;
        _ = heard.recv() => {}
        done = crate::import(&test.store, &address, &mut tell) => panic!("it ended before: {done:?}"),
    }
}

#[tokio::test]
async fn every_statement_is_taken_by_both_engines() {
    prepare_all(TABLES, crate::STATEMENTS).await;
}
