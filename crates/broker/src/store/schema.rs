use store::Migration;

/// The broker's tables.
pub static MIGRATIONS: &[Migration] = &[
    Migration::both(
        "broker 0001 relying parties",
        "create table relying_parties (
            client_id varchar(64) primary key,
            config text not null,            -- JSON; nothing secret
            secrets {bytes} not null,        -- JSON, sealed
            status smallint not null,        -- 0 enabled, 1 paused, 2 disabled
            status_reason varchar(200),
            status_at bigint not null,
            created_at bigint not null,
            updated_at bigint not null
        );
        create table rp_health (
            client_id varchar(64) primary key,
            failing_since bigint             -- ms; null while it takes what it gets
        );
        create table rp_tokens (
            hash varchar(64) primary key,       -- keyed
            client_id varchar(64) not null,
            scopes varchar(100) not null,
            created_at bigint not null,
            expires_at bigint
        );
        create index rp_tokens_client on rp_tokens (client_id);
        create table fetched_capabilities (client_id varchar(64) primary key, capabilities text not null);
        -- A word that is another one after every change of what routing reads.
        create table broker_registry (revision varchar(36) not null);
        insert into broker_registry values ('none yet');",
    ),
    Migration::both(
        "broker 0002 logins",
        "create table rp_logins (
            idp varchar(64) not null,
            subject varchar(255) not null,
            client_id varchar(64) not null,
            first_at bigint not null,
            last_at bigint not null,
            primary key (idp, subject, client_id)
        );
        create index rp_logins_age on rp_logins (last_at);
        create table unsubscribed_subjects (
            client_id varchar(64) not null,
            idp varchar(64) not null,
            subject varchar(255) not null,
            effective_at bigint not null,    -- ms; until then events still go out
            primary key (idp, subject, client_id)
        );",
    ),
    // A line is what one relying party hears of one account. Its head is the one pending row that may go; the others
    // wait for it. A row is due when it may be claimed: a claim moves `due_at` to the end of its lease.
    Migration::both(
        "broker 0003 deliveries",
        "create table deliveries (
            id {identity},
            client_id varchar(64) not null,
            idp varchar(64) not null,        -- empty: about the stream, and `subject` is its id
            subject varchar(255) not null,
            version bigint not null,         -- of the event in the account's life
            part smallint not null,          -- of what that event tells this relying party
            kind varchar(32) not null,       -- of the change
            event_type varchar(120) not null,
            payload text not null,           -- JSON
            jti varchar(36) not null,
            txn varchar(36) not null,
            iat bigint not null,             -- seconds
            event_at bigint not null,        -- ms; the change time
            created_at bigint not null,
            state smallint not null,         -- 0 pending, 1 delivered, 2 exhausted, 3 rejected, 4 discarded
            head smallint not null,
            due_at bigint not null,
            owner varchar(36),
            fence bigint not null,
            failures integer not null,
            reason varchar(200),
            settled_at bigint
        );
        create unique index deliveries_event on deliveries (idp, subject, version, client_id, part);
        create index deliveries_due on deliveries (client_id, due_at, id) where state = 0 and head = 1;
        create index deliveries_line on deliveries (client_id, idp, subject, id) where state = 0;
        create index deliveries_jti on deliveries (client_id, jti) where state = 0;
        create index deliveries_rp on deliveries (client_id, id);
        create index deliveries_settled on deliveries (settled_at) where state <> 0;
        create table delivery_attempts (
            id {identity},
            delivery bigint not null,
            at bigint not null,
            duration_ms bigint not null,
            status integer,                  -- absent: there was no answer
            outcome varchar(16) not null,
            detail varchar(200),
            answer text
        );
        create index delivery_attempts_delivery on delivery_attempts (delivery, id);
        create index delivery_attempts_age on delivery_attempts (at);",
    ),
    Migration::both(
        "broker 0004 deletion receipts",
        "create table deletion_receipts (
            account varchar(64) not null,       -- a keyed hash: the account itself is forgotten
            client_id varchar(64) not null,
            jti varchar(36) not null,
            requested_at bigint not null,
            state smallint not null,
            settled_at bigint,
            reason varchar(200),
            primary key (account, client_id, jti)
        );
        create index deletion_receipts_jti on deletion_receipts (jti);",
    ),
    Migration::both(
        "broker 0005 signing keys",
        "create table signing_keys (
            kid varchar(256) primary key,
            algorithm varchar(8) not null,
            state smallint not null,         -- 0 next, 1 current, 2 retired
            private_jwk {bytes} not null,    -- sealed
            created_at bigint not null,
            changed_at bigint not null
        );",
    ),
    Migration::both(
        "broker 0006 relying parties of files",
        "alter table relying_parties add column origin smallint not null default 0;  -- 0 operators, 1 a file",
    ),
    Migration::both(
        "broker 0007 deletions that have ended",
        "create index deliveries_deletions on deliveries (settled_at) where kind = 'delete' and state <> 0;",
    ),
    // Most deliveries are handed over when they are made, and taken at the first attempt, without a word. Those are in no
    // index that only others are looked for by, and that attempt is part of their row: it is written anyhow. What was not
    // told can be replayed; what nobody has claimed can be fetched, and is acknowledged by its `jti`.
    Migration::both(
        "broker 0008 less to write for a delivery",
        "alter table deliveries add column attempt_at bigint;    -- null: its attempts are in rows of their own
        alter table deliveries add column attempt_ms bigint;
        alter table deliveries add column attempt_status integer;
        drop index deliveries_rp;
        create index deliveries_untold on deliveries (client_id, id) where state > 1;
        drop index deliveries_jti;
        create index deliveries_jti on deliveries (client_id, jti) where state = 0 and owner is null;",
    ),
];
