//! What goes by itself, in small chunks: what is too old, and what is pending for nobody.

use super::receipts;
use super::record::{Line, promote};
use super::registry::client_id;
use super::rows::About;
use crate::ClientId;
use crate::delivery::Terminal;
use account::{AccountId, Millis};
use serde::Serialize;
use std::collections::BTreeSet;
use store::{Operation, RowSet, Sql, StoreError, Tx};

/// So many rows at once, so that nobody waits for them.
pub(crate) const CHUNK: i64 = 500;

store::statements! {
    pub(crate) static OLD_ATTEMPTS = per_engine {
        sqlite: "delete from delivery_attempts where id in (select id from delivery_attempts where at < $1 limit $2)",
        postgres: "delete from delivery_attempts where id = any (array(select id from delivery_attempts where at < $1 limit $2))",
    };
    // A stretch of what has ended, from where the last one ended: nothing is looked at twice.
    pub(super) static ENDED = both(
        "select settled_at, id, attempt_at is not null from deliveries where state <> 0 and settled_at >= $1 and settled_at < $2
           and (settled_at > $1 or id > $3) order by settled_at, id limit $4");
    // One at a time: a set would be planned as a scan of a table that PostgreSQL knows nothing of yet.
    pub(super) static FORGET_ATTEMPT = both(
        "update deliveries set attempt_at = null, attempt_ms = null, attempt_status = null
         where id = $1 and state <> 0");
    pub(crate) static OLD_DELIVERIES = per_engine {
        sqlite:
            "delete from deliveries where id in (select id from deliveries where state <> 0 and settled_at < $1 limit $2)",
        postgres:
            "delete from deliveries where id = any (array(select id from deliveries where state <> 0 and settled_at < $1 limit $2))",
    };
    pub(crate) static OLD_LOGINS = per_engine {
        sqlite: "delete from rp_logins where rowid in (select rowid from rp_logins where last_at < $1 limit $2)",
        postgres: "delete from rp_logins where ctid = any (array(select ctid from rp_logins where last_at < $1 limit $2))",
    };
    // Heads that nobody has tried since long, oldest first; what they held back comes with the next chunk. A claimed row
    // is due in the future. What is about the stream itself (due at 1) is left alone.
    pub(super) static PENDING = both(
        "select id, client_id, idp, subject, jti, kind from deliveries
         where client_id = $1 and state = 0 and head = 1 and due_at > 1 and due_at < $2
         order by due_at, id limit $3");
    // A deletion is not among those that a bound drops.
    pub(super) static PENDING_CHANGES = both(
        "select id, client_id, idp, subject, jti, kind from deliveries
         where client_id = $1 and state = 0 and head = 1 and due_at > 1 and due_at < $2 and kind <> 'delete'
         order by due_at, id limit $3");
    pub(super) static HOW_MANY = both("select count(*) from deliveries where client_id = $1 and state = 0");
    pub(super) static STRANGERS = both(
        "select distinct d.client_id from deliveries d where d.state = 0
           and not exists (select 1 from relying_parties p where p.client_id = d.client_id) limit $1");
    pub(super) static END = both(
        "update deliveries set state = $2, head = 0, reason = $3, settled_at = $4
         from {rows $1: id bigint} as r
         where deliveries.id = r.id and deliveries.state = 0 returning deliveries.id");
}

/// Drops a chunk of what is older.
pub(crate) struct DropChunk {
    pub(crate) sql: &'static Sql,
    pub(crate) before: Millis,
}

impl Operation for DropChunk {
    const NAME: &'static str = "broker.retention";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = u64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        tx.execute(self.sql, &[self.before.into(), CHUNK.into()]).await
    }
}

/// How far what has ended was looked through: a time of settlement, and a row's number.
pub(crate) type Reached = (Millis, i64);

/// Forgets the attempts that are part of rows which ended before then, from where the last chunk ended.
pub(crate) struct ForgetAttempts {
    pub(crate) from: Reached,
    pub(crate) before: Millis,
}

impl Operation for ForgetAttempts {
    const NAME: &'static str = "broker.forget_attempts";
    const RESOLVES_UNKNOWN: bool = true;
    /// Where this chunk ended; `None` when there is no more.
    type Output = Option<Reached>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<Reached>, StoreError> {
        let (settled_at, id) = self.from;
        let params = [settled_at.into(), self.before.into(), id.into(), CHUNK.into()];
        let read = |row: &store::Row<'_>| Ok(((Millis::new(row.int(0)?), row.int(1)?), row.bool(2)?));
        let ended: Vec<(Reached, bool)> = tx.query(&ENDED, &params, read).await?;
        for ((_, id), _) in ended.iter().filter(|(_, has_attempt)| *has_attempt) {
            tx.execute(&FORGET_ATTEMPT, &[(*id).into()]).await?;
        }
        Ok(ended.last().map(|(reached, _)| *reached))
    }
}

/// Which pending rows of a relying party are to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Everything.
    All,
    /// Everything but deletions.
    Changes,
}

/// Finds pending rows: apart from [`EndPending`], because locks come first in a transaction.
pub(crate) struct FindPending {
    pub(crate) client_id: ClientId,
    pub(crate) which: Which,
    pub(crate) due_before: Millis,
    pub(crate) limit: i64,
}

/// Pending rows that are to be ended.
pub(crate) struct Found(Vec<Row>);

struct Row {
    id: i64,
    line: Line,
    jti: String,
    is_deletion: bool,
}

impl Found {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Operation for FindPending {
    const NAME: &'static str = "broker.find_pending";
    type Output = Found;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Found, StoreError> {
        let sql = match self.which {
            Which::All => &PENDING,
            Which::Changes => &PENDING_CHANGES,
        };
        let params = [self.client_id.as_str().into(), self.due_before.into(), self.limit.min(CHUNK).into()];
        let rows = tx.query(sql, &params, |row| {
            let about = About::from_columns(row.text(2)?, row.text(3)?)?;
            Ok(Row {
                id: row.int(0)?,
                line: Line { client_id: client_id(row.text(1)?)?, about },
                jti: row.text(4)?.to_owned(),
                is_deletion: row.text(5)? == "delete",
            })
        });
        Ok(Found(rows.await?))
    }
}

/// Ends pending rows without telling them.
pub(crate) struct EndPending {
    pub(crate) found: Found,
    pub(crate) how: Terminal,
    pub(crate) reason: &'static str,
    pub(crate) now: Millis,
}

impl Operation for EndPending {
    const NAME: &'static str = "broker.end_pending";
    const RESOLVES_UNKNOWN: bool = true;
    /// How many were ended.
    type Output = usize;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<usize, StoreError> {
        #[derive(Serialize)]
        struct Id {
            id: i64,
        }
        let accounts: Vec<AccountId> =
            self.found.0.iter().filter_map(|it| it.line.about.account().cloned()).collect();
        tx.lock_accounts(&accounts).await?;
        let ids = RowSet::of(self.found.0.iter().map(|it| Id { id: it.id }));
        let params = [(&ids).into(), self.how.code().into(), self.reason.into(), self.now.into()];
        let ended: BTreeSet<i64> = tx.query(&END, &params, |row| row.int(0)).await?.into_iter().collect();
        let rows: Vec<&Row> = self.found.0.iter().filter(|it| ended.contains(&it.id)).collect();
        promote(tx, &rows.iter().map(|it| &it.line).collect()).await?;
        let deletions = rows.iter().filter(|it| it.is_deletion);
        let closed = deletions.map(|it| (it.jti.clone(), self.how, Some(self.reason.to_owned())));
        receipts::close(tx, closed, self.now).await?;
        Ok(ended.len())
    }
}

/// How much is pending for a relying party.
pub(crate) struct CountPending(pub(crate) ClientId);

impl Operation for CountPending {
    const NAME: &'static str = "broker.count_pending";
    type Output = i64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<i64, StoreError> {
        tx.query_one(&HOW_MANY, &[self.0.as_str().into()], |row| row.int(0)).await
    }
}

/// Who has something pending and is no relying party any more.
pub(crate) struct FindStrangers;

impl Operation for FindStrangers {
    const NAME: &'static str = "broker.find_strangers";
    type Output = Vec<ClientId>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        tx.query(&STRANGERS, &[CHUNK.into()], |row| client_id(row.text(0)?)).await
    }
}
