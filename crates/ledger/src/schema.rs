use store::Migration;

/// The ledger's tables.
pub static MIGRATIONS: &[Migration] = &[
    Migration::both(
        "ledger 0001 accounts",
        "create table accounts (
            idp varchar(64) not null,
            subject varchar(255) not null,
            version bigint not null,        -- of its latest event; rises by one
            mark bigint not null,           -- ms; whatever was granted at or below it is refused
            credential_at bigint not null,  -- ms; the latest change of its password
            state smallint not null,        -- 0 active, 1 disabled, 2 deleted
            state_at bigint not null,       -- ms; the event time of the change that set the state
            first_seen_at bigint not null,
            updated_at bigint not null,
            primary key (idp, subject)
        );
        create index accounts_state on accounts (state, updated_at);",
    ),
    Migration::per_engine(
        "ledger 0002 events",
        // SQLite has one writer: its commits are in the order of its inserts, so the row's number is its position.
        "create table events (
            position integer primary key autoincrement,
            idp text not null, subject text not null, version bigint not null,
            kind text not null, at bigint not null, received_at bigint not null,
            source text not null, change text not null, mark bigint not null, state smallint not null
        );
        create unique index events_account on events (idp, subject, version);
        create table feed (epoch text not null, heartbeat_at bigint not null);
        insert into feed values (lower(hex(randomblob(16))), 0);",
        // PostgreSQL commits in any order: a position is given after the commit, by whoever holds the sequencer's lock.
        "create table events (
            id bigint generated always as identity primary key,
            position bigint,
            idp varchar(64) not null, subject varchar(255) not null, version bigint not null,
            kind varchar(32) not null, at bigint not null, received_at bigint not null,
            source varchar(64) not null, change text not null, mark bigint not null, state smallint not null
        );
        create unique index events_position on events (position) where position is not null;
        create index events_unplaced on events (id) where position is null;
        create unique index events_account on events (idp, subject, version);
        create table feed (epoch text not null, heartbeat_at bigint not null);
        insert into feed values (replace(gen_random_uuid()::text, '-', ''), 0);",
    ),
    Migration::both(
        "ledger 0003 receipts",
        "create table receipts (
            source varchar(64) not null,
            message_id varchar(255) not null,
            received_at bigint not null,
            primary key (source, message_id)
        );
        create index receipts_age on receipts (received_at);",
    ),
    Migration::both(
        "ledger 0004 effects",
        "create table capabilities (name varchar(32) primary key);
        create table effects (
            idp varchar(64) not null,
            subject varchar(255) not null,
            version bigint not null,
            capability varchar(32) not null,
            state smallint not null,        -- 0 pending; 1 done, as versions before 0008 left it
            attempts integer not null,
            next_attempt_at bigint not null,
            error text,
            primary key (idp, subject, version, capability)
        );
        create index effects_pending on effects (capability, next_attempt_at) where state = 0;
        create index effects_owed on effects (idp, subject, capability, version) where state = 0;",
    ),
    Migration::both(
        "ledger 0005 dead letters",
        "create table dead_letters (
            id {identity},
            source varchar(64) not null,
            message_id varchar(255) not null,
            reason varchar(64) not null,
            detail text not null,
            body {bytes} not null,
            received_at bigint not null
        );
        create unique index dead_letters_message on dead_letters (source, message_id);",
    ),
    Migration::both(
        "ledger 0006 tombstones",
        "create table tombstones (
            account varchar(64) primary key, -- a keyed hash: the account itself is forgotten
            deleted_at bigint not null,
            expires_at bigint not null
        );
        create index tombstones_expiry on tombstones (expires_at);",
    ),
    // Two registers: what identity providers say of an account, and what operators do. `state` and `state_at` are what
    // follows from both.
    Migration::both(
        "ledger 0007 operators' holds",
        "alter table accounts add column told_state smallint;
        alter table accounts add column told_at bigint;
        alter table accounts add column held_state smallint not null default 0; -- 1: an operator holds it disabled
        alter table accounts add column held_at bigint not null default 0;",
    ),
    // What retention looks for, and no more: an account that lives is in no index but its key's, and an event of it
    // changes none. (The time of the deletion stays as it is; `updated_at` does not.) On SQLite receipts are numbered in
    // the order they came in, so the oldest are found without an index.
    Migration::per_engine(
        "ledger 0008 less to write for an event",
        "drop index accounts_state;
        create index accounts_deleted on accounts (state_at) where state = 2;
        drop index receipts_age;",
        "drop index accounts_state;
        create index accounts_deleted on accounts (state_at) where state = 2;",
    ),
    // Whoever looks for an account's event looks for its latest, or for one that is owed. So these say where it is (on SQLite
    // its position), and the ledger's largest index, in which each event had a place of its own, is not needed. On PostgreSQL
    // nodes of two versions may run side by side: there these stay empty, and the index is what is looked in.
    Migration::per_engine(
        "ledger 0009 events are found by their numbers",
        "alter table accounts add column latest_event bigint;
        update accounts set latest_event = (select v.position from events v
          where v.idp = accounts.idp and v.subject = accounts.subject and v.version = accounts.version);
        alter table effects add column event bigint;
        update effects set event = (select v.position from events v
          where v.idp = effects.idp and v.subject = effects.subject and v.version = effects.version);
        drop index events_account;",
        "alter table accounts add column latest_event bigint;
        alter table effects add column event bigint;",
    ),
];
