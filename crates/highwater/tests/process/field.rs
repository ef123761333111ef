//! A Tokenserver database of the field, on a real MariaDB.

use testkit::MariaDbServer;

const TABLES: &str = "
    create table services (id int not null auto_increment primary key, service varchar(30) unique, pattern varchar(128))
        engine=InnoDB;
    create table nodes (id bigint not null auto_increment primary key, service int not null, node varchar(64) not null,
        available int not null, current_load int not null, capacity int not null, downed int not null,
        backoff int not null, unique key unique_idx (service, node)) engine=InnoDB;
    create table users (uid bigint not null auto_increment primary key, service int not null, email varchar(255) not null,
        generation bigint not null, client_state varchar(32) not null, created_at bigint not null,
        replaced_at bigint, nodeid bigint not null, keys_changed_at bigint, key lookup_idx (email, service, created_at),
        key replaced_at_idx (service, replaced_at), key node_idx (nodeid)) engine=InnoDB auto_increment=4;
    insert into services (id, service, pattern) values (2, 'sync-1.5', '{node}/1.5/{uid}');";

/// One of those databases.
pub(crate) struct Field {
    server: &'static MariaDbServer,
    pub(crate) url: String,
}

impl Field {
    /// With the field's tables, and what that SQL puts in them.
    pub(crate) fn new(sql: &str) -> Self {
        let server = testkit::mariadb_server();
        let field = Self { server, url: server.fresh_database() };
        field.run(TABLES);
        field.run(sql);
        field
    }

    pub(crate) fn run(&self, sql: &str) -> String {
        self.server.run(&format!("use {}; {sql}", self.database()))
    }

    /// The name of the database.
    pub(crate) fn database(&self) -> &str {
        self.url.rsplit('/').next().expect("it ends with the database")
    }

    /// Where it is: `HOST:PORT/DATABASE`.
    pub(crate) fn place(&self) -> &str {
        self.url.strip_prefix("mysql://root@").expect("its user is root")
    }
}
