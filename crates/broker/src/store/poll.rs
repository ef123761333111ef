//! Deliveries to those who ask for them (RFC 8936): the heads of their lines, until each is acknowledged.

use super::receipts;
use super::record::{Line, promote};
use super::rows::{AFTER_COLUMNS, About, Delivery, columns, delivery};
use crate::delivery::Terminal;
use crate::{ClientId, meters};
use account::{AccountId, Millis};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use store::{Operation, RowSet, StoreError, Tx};

store::statements! {
    pub(super) static READ = both(concat!("select ", columns!(""), ", owner is not null from deliveries
         where client_id = $1 and state = 0 and head = 1 order by due_at, id limit $2"));
    pub(super) static WHOSE = both(
        "select d.id, d.idp, d.subject, d.jti, d.kind, d.created_at, d.event_at from {rows $2: jti text} as r
         join deliveries d on d.client_id = $1 and d.jti = r.jti and d.state = 0 and d.owner is null");
    pub(super) static FREE = both(
        "update deliveries set owner = null from {rows $1: id bigint} as r
         where deliveries.id = r.id and deliveries.state = 0");
    pub(super) static END = both(
        "update deliveries set state = r.state, head = 0, reason = r.reason, settled_at = $2, owner = null
         from {rows $1: id bigint, state smallint, reason text} as r
         where deliveries.id = r.id and deliveries.state = 0 returning deliveries.id");
    pub(super) static LOG = both(
        "insert into delivery_attempts (delivery, at, duration_ms, outcome, detail)
         select r.id, $2, 0, r.outcome, r.reason from {rows $1: id bigint, outcome text, reason text} as r");
}

/// Reads what may go to a relying party now, oldest first.
pub(crate) struct ReadHeads {
    pub(crate) client_id: ClientId,
    pub(crate) limit: i64,
}

/// What may go, and whether somebody has claimed it: its relying party was sent to until a moment ago.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) delivery: Delivery,
    pub(crate) is_claimed: bool,
}

impl Operation for ReadHeads {
    const NAME: &'static str = "broker.poll";
    type Output = Vec<Head>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Head>, StoreError> {
        let params = [self.client_id.as_str().into(), self.limit.into()];
        tx.query(&READ, &params, |row| {
            Ok(Head { delivery: delivery(row)?, is_claimed: row.bool(AFTER_COLUMNS)? })
        })
        .await
    }
}

/// Takes deliveries from who has claimed them, so that they can be acknowledged: only what nobody has is found by its
/// token. An outcome of that claim counts all the same, by its fence.
pub(crate) struct Free(pub(crate) Vec<i64>);

impl Operation for Free {
    const NAME: &'static str = "broker.free";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Row {
            id: i64,
        }
        let rows = RowSet::of(self.0.iter().map(|id| Row { id: *id }));
        tx.execute(&FREE, &[(&rows).into()]).await.map(drop)
    }
}

/// A pending row that its relying party named.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    id: i64,
    line: Line,
    kind: String,
    created_at: Millis,
    event_at: Millis,
}

/// Finds pending rows by their tokens' ids: apart from [`Acknowledge`], because locks come first in a transaction.
/// Another relying party's tokens are not found.
pub(crate) struct FindNamed {
    pub(crate) client_id: ClientId,
    pub(crate) tokens: Vec<String>,
}

impl Operation for FindNamed {
    const NAME: &'static str = "broker.find_named";
    type Output = BTreeMap<String, Named>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            jti: &'a str,
        }
        let rows = RowSet::of(self.tokens.iter().map(|jti| Row { jti }));
        let found = tx
            .query(&WHOSE, &[self.client_id.as_str().into(), (&rows).into()], |row| {
                let about = About::from_columns(row.text(1)?, row.text(2)?)?;
                let line = Line { client_id: self.client_id.clone(), about };
                let (created_at, event_at) = (Millis::new(row.int(5)?), Millis::new(row.int(6)?));
                let kind = row.text(4)?.to_owned();
                Ok((row.text(3)?.to_owned(), Named { id: row.int(0)?, line, kind, created_at, event_at }))
            })
            .await?;
        Ok(found.into_iter().collect())
    }
}

/// Ends rows as their relying party said: taken, or refused with an error.
pub(crate) struct Acknowledge {
    pub(crate) named: BTreeMap<String, Named>,
    /// What it said is wrong, by token.
    pub(crate) errors: BTreeMap<String, String>,
    pub(crate) now: Millis,
}

impl Operation for Acknowledge {
    const NAME: &'static str = "broker.acknowledge";
    const RESOLVES_UNKNOWN: bool = true;
    /// How many were ended by it.
    type Output = usize;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<usize, StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            id: i64,
            state: i64,
            outcome: &'a str,
            reason: Option<&'a str>,
        }
        let accounts: Vec<AccountId> =
            self.named.values().filter_map(|it| it.line.about.account().cloned()).collect();
        tx.lock_accounts(&accounts).await?;
        let rows = |only: Option<&BTreeSet<i64>>| {
            let named = self.named.iter().filter(|(_, it)| only.is_none_or(|ids| ids.contains(&it.id)));
            RowSet::of(named.map(|(jti, it)| {
                let how = self.how(jti);
                let reason = self.errors.get(jti).map(String::as_str);
                Row { id: it.id, state: how.code(), outcome: how.as_str(), reason }
            }))
        };
        let ended = tx.query(&END, &[(&rows(None)).into(), self.now.into()], |row| row.int(0)).await?;
        let ended: BTreeSet<i64> = ended.into_iter().collect();
        let lines: BTreeSet<&Line> =
            self.named.values().filter(|it| ended.contains(&it.id)).map(|it| &it.line).collect();
        promote(tx, &lines).await?;
        let deletions = self.named.iter().filter(|(_, it)| ended.contains(&it.id) && it.kind == "delete");
        let closed = deletions.map(|(jti, _)| (jti.clone(), self.how(jti), self.errors.get(jti).cloned()));
        receipts::close(tx, closed, self.now).await?;
        tx.execute(&LOG, &[(&rows(Some(&ended))).into(), self.now.into()]).await?;
        let taken =
            self.named.iter().filter(|(jti, it)| ended.contains(&it.id) && !self.errors.contains_key(*jti));
        let taken: Vec<Named> = taken.map(|(_, it)| it.clone()).collect();
        let now = self.now;
        tx.after_commit(move || {
            for Named { line, created_at, event_at, .. } in taken {
                meters::arrived(&line.client_id, created_at, event_at, now);
            }
        });
        Ok(ended.len())
    }
}

impl Acknowledge {
    fn how(&self, jti: &str) -> Terminal {
        if self.errors.contains_key(jti) { Terminal::Rejected } else { Terminal::Delivered }
    }
}
