use store::Migration;

/// The tables of sessions. No column holds a token that can be read: those of `grants` and `session_revocations` are
/// sealed, and nothing else ever has one.
pub static MIGRATIONS: &[Migration] = &[
    // A grant is due when it may be claimed. A claim is the intent: with it the refresh token counts as presented.
    Migration::both(
        "sessions 0001 grants",
        "create table grants (
            id varchar(36) primary key,
            idp varchar(64) not null,
            subject varchar(255) not null,
            sid varchar(255),               -- the identity provider's own name of the login
            born_at bigint not null,        -- ms; auth_time, else when it came here
            state smallint not null,        -- 0 live, 1 suspect, 2 retired, 3 ended
            reason varchar(32),
            generation bigint not null,     -- rises with each set of tokens
            rotations bigint not null,      -- how many of them brought another refresh token
            access_token text,              -- sealed
            refresh_token text,             -- sealed
            scope text,
            claims text,                    -- JSON; of the last ID token
            original text,                  -- JSON; what those of refreshes are held against
            issued_at bigint not null,      -- ms; when these tokens came
            expires_at bigint,              -- ms; the access token's end, if it was told
            next_attempt_at bigint,         -- ms; absent: not until somebody uses it
            owner varchar(36),              -- who has claimed it
            fence bigint not null,
            presented_at bigint,            -- ms; its refresh token's first presentation, unless its outcome is known
            last_attempt_at bigint,
            failures integer not null,      -- since the last refresh
            unknowns integer not null,      -- presentations with no known outcome
            error_class varchar(16),
            error_text varchar(200),
            error_at bigint,
            used_at bigint not null,        -- ms; coarse
            created_at bigint not null,
            updated_at bigint not null,
            ended_at bigint
        );
        create index grants_due on grants (idp, next_attempt_at)
            where state < 2 and owner is null and next_attempt_at is not null;
        create index grants_claimed on grants (owner) where owner is not null;
        create index grants_account on grants (idp, subject);
        create index grants_ended on grants (ended_at) where state = 3;
        create table session_refreshers (owner varchar(36) primary key, alive_until bigint not null);",
    ),
    Migration::both(
        "sessions 0002 sessions",
        "create table sessions (
            id varchar(36) primary key,
            grant_id varchar(36),
            idp varchar(64) not null,
            subject varchar(255) not null,
            sid varchar(255),
            born_at bigint not null,
            state smallint not null,        -- 0 live, 1 ended
            reason varchar(32),
            claims text not null,           -- JSON; as they were said at the login
            data text not null,             -- JSON; the service's own
            version bigint not null,
            created_at bigint not null,
            updated_at bigint not null,
            expires_at bigint not null,
            ended_at bigint
        );
        create index sessions_grant on sessions (grant_id) where state = 0;
        create index sessions_account on sessions (idp, subject, id);
        create index sessions_sid on sessions (idp, sid, id) where sid is not null;
        create index sessions_expiry on sessions (expires_at) where state = 0;
        create index sessions_ended on sessions (ended_at) where state = 1;
        create table session_touches (session_id varchar(36) primary key, touched_at bigint not null);
        create table session_users (
            idp varchar(64) not null,
            subject varchar(255) not null,
            claims text,                    -- JSON; as user info has them
            fetched_at bigint,
            next_fetch_at bigint,
            failures integer not null,
            error_text varchar(200),
            error_at bigint,
            primary key (idp, subject)
        );
        create index session_users_due on session_users (idp, next_fetch_at) where next_fetch_at is not null;",
    ),
    // What is left to be said to identity providers: these refresh tokens are not needed any more.
    Migration::both(
        "sessions 0003 revocations",
        "create table session_revocations (
            id {identity},
            grant_id varchar(36) not null,
            generation bigint not null,     -- with the grant's id, what it is sealed for
            idp varchar(64) not null,
            token text,                     -- sealed; gone when it is settled
            state smallint not null,        -- 0 pending, 1 done, 2 given up
            failures integer not null,
            next_attempt_at bigint not null,
            fence bigint not null,
            error_text varchar(200),
            created_at bigint not null,
            settled_at bigint
        );
        create unique index session_revocations_token on session_revocations (grant_id, generation);
        create index session_revocations_due on session_revocations (idp, next_attempt_at) where state = 0;
        create index session_revocations_settled on session_revocations (settled_at) where state <> 0;",
    ),
    // Which sessions have changed, in the order of the commits; how they are now is read from themselves.
    Migration::per_engine(
        "sessions 0004 changes",
        "create table session_changes (
            position integer primary key autoincrement,
            session_id text not null,
            at bigint not null
        );
        create index session_changes_age on session_changes (at);
        create table session_feed (epoch text not null);
        insert into session_feed values (lower(hex(randomblob(16))));",
        "create table session_changes (
            id bigint generated always as identity primary key,
            position bigint,
            session_id varchar(36) not null,
            at bigint not null
        );
        create unique index session_changes_position on session_changes (position) where position is not null;
        create index session_changes_unplaced on session_changes (id) where position is null;
        create index session_changes_age on session_changes (at);
        create table session_feed (epoch text not null);
        insert into session_feed values (replace(gen_random_uuid()::text, '-', ''));",
    ),
    Migration::both(
        "sessions 0005 identity providers",
        "create table session_idps (
            idp varchar(64) primary key,
            error_class varchar(16) not null,
            error_text varchar(200) not null,
            error_at bigint not null
        );",
    ),
    // Codes that were presented, each once, and what came of it. Rows live for an hour.
    Migration::both(
        "sessions 0006 codes",
        "create table session_codes (
            hash varchar(64) primary key,   -- keyed; of the code and its identity provider
            idp varchar(64) not null,
            request varchar(64) not null,   -- keyed; of all that was presented
            attempt varchar(36) not null,   -- who presented it
            state smallint not null,        -- 0 presented, 1 tokens came and wait, 2 a session came of it, 3 lost
            presented_at bigint not null,
            session_id varchar(36),
            grant_id varchar(36),           -- whose the tokens are to be
            access_token text,              -- sealed, as are the next three
            refresh_token text,
            id_token text,
            dpop_key text,
            scope text,
            issued_at bigint,
            expires_at bigint
        );
        create index session_codes_age on session_codes (presented_at);
        alter table grants add column dpop_key text;    -- sealed",
    ),
    // For identity providers that take no refresh token back.
    Migration::both(
        "sessions 0007 access tokens to revoke",
        "alter table session_revocations add column access_token text;   -- sealed; gone when it is settled",
    ),
    // Grants that are refreshed no more, by the end of their access tokens.
    Migration::both(
        "sessions 0008 retired grants",
        "create index grants_retired on grants (idp, expires_at) where state = 2;",
    ),
    // ID tokens of refreshes whose keys could not be had.
    Migration::both(
        "sessions 0009 id tokens set aside",
        "alter table grants add column id_token text;    -- sealed; gone when it is known what it is worth
        alter table grants add column verify_at bigint; -- ms
        create index grants_set_aside on grants (idp, verify_at) where verify_at is not null;",
    ),
    // Absent: by whether there is a key.
    Migration::both(
        "sessions 0010 token types",
        "alter table grants add column token_type varchar(8);   -- Bearer or DPoP
        alter table session_codes add column token_type varchar(8);",
    ),
    // What somebody did to sessions by asking for it.
    Migration::both(
        "sessions 0011 acts",
        "create table session_acts (
            id {identity},
            at bigint not null,
            act varchar(16) not null,       -- end, refresh
            actor varchar(16) not null,     -- service, operator, idp
            name varchar(320) not null,
            session_id varchar(36),
            idp varchar(64) not null,
            subject varchar(255),
            sessions bigint not null
        );
        create index session_acts_session on session_acts (session_id, id) where session_id is not null;
        create index session_acts_account on session_acts (idp, subject, id);
        create index session_acts_age on session_acts (at);",
    ),
];
