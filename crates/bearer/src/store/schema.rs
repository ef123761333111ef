use store::Migration;

/// The accounts that came here themselves. Whether they may act is the ledger's to say.
pub static MIGRATIONS: &[Migration] = &[Migration::both(
    "bearer 0001 accounts",
    "create table bearer_accounts (
        idp varchar(64) not null,
        subject varchar(255) not null,
        email varchar(320) not null,
        locale varchar(64),
        profile_at bigint not null,     -- ms; how old the e-mail address and the locale are
        created_at bigint not null,
        primary key (idp, subject)
    );",
)];
