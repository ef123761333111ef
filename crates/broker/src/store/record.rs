//! Writing deliveries, inside the ledger's transaction.
//!
//! Invariant: of the pending rows of a line (one relying party, one account) exactly one is its head. Whoever changes
//! which rows of a line are pending holds the account's lock and leaves it so.

use super::rows::{About, event_type};
use crate::{ClientId, EventType};
use account::Millis;
use serde::Serialize;
use std::collections::BTreeSet;
use store::{Engine, RowSet, StoreError, Tx};

store::statements! {
    // The numbers of so many rows, drawn before they are written: to be told them by the insert costs SQLite a table of its
    // own for each row, and PostgreSQL tells them in no order.
    static NUMBERS = per_engine {
        sqlite: "select coalesce((select seq from sqlite_sequence where name = 'deliveries'), 0) + 1 where $1 > 0",
        // The sequence is looked up once, not once a row; and how many rows there are, which would be worth a plan of its own
        // each time, is not known to whoever makes the plan.
        postgres:
            "select nextval((select pg_get_serial_sequence('deliveries', 'id')::regclass))
             from generate_series(1, (select $1::bigint))",
    };
    pub(super) static INSERT = both(
        "insert into deliveries (id, client_id, idp, subject, version, part, kind, event_type, payload, jti, txn, iat,
           event_at, created_at, state, head, due_at, owner, fence, failures, reason, settled_at)
         select r.id, r.client_id, r.idp, r.subject, r.version, r.part, r.kind, r.event_type, r.payload, r.jti, r.txn, r.iat,
           r.event_at, r.created_at, r.state, r.head, r.due_at, r.owner, r.fence, 0, r.reason, r.settled_at
         from {each $1: id bigint, client_id text, idp text, subject text, version bigint, part smallint, kind text,
           event_type text, payload text, jti text, txn text, iat bigint, event_at bigint, created_at bigint,
           state smallint, head smallint, due_at bigint, owner text, fence bigint, reason text, settled_at bigint} as r");
    pub(super) static BUSY = both(
        "select r.at from {each $1: at bigint, client_id text, idp text, subject text} as r
         where exists (select 1 from deliveries d
           where d.client_id = r.client_id and d.idp = r.idp and d.subject = r.subject and d.state = 0)");
    // A deletion makes void what else was to be told of the account; what was not is told after it.
    pub(super) static VOID = both(
        "update deliveries set state = 4, reason = 'overtaken by the deletion', settled_at = $2, head = 0
         from {rows $1: client_id text, idp text, subject text} as r
         where deliveries.client_id = r.client_id and deliveries.idp = r.idp and deliveries.subject = r.subject
           and deliveries.state = 0
           and deliveries.kind in ('profile_change', 'primary_email_change', 'subscription_change', 'login')");
    pub(super) static STEP_BACK = both(
        "update deliveries set head = 0 from {rows $1: client_id text, idp text, subject text} as r
         where deliveries.client_id = r.client_id and deliveries.idp = r.idp and deliveries.subject = r.subject
           and deliveries.state = 0 and deliveries.head = 1");
    pub(super) static UNCLAIMED = both(
        "select d.id, d.client_id, d.idp, d.subject, d.event_type, d.payload
         from {rows $1: client_id text, idp text, subject text} as r
         join deliveries d on d.client_id = r.client_id and d.idp = r.idp and d.subject = r.subject and d.state = 0
         where d.owner is null order by d.id");
    pub(super) static TAKE_IN = both(
        "update deliveries set state = 4, reason = 'told together with a later one', settled_at = $2, head = 0
         from {rows $1: id bigint} as r where deliveries.id = r.id and deliveries.state = 0");
    pub(crate) static PROMOTE = per_engine {
        sqlite:
            "update deliveries set head = 1 where id = (
               select min(d.id) from {each $1: client_id text, idp text, subject text} as r
               join deliveries d on d.client_id = r.client_id and d.idp = r.idp and d.subject = r.subject and d.state = 0
               having max(d.head) = 0)",
        postgres:
            "update deliveries set head = 1 where id in (
               select min(d.id) from {each $1: client_id text, idp text, subject text} as r
               join deliveries d on d.client_id = r.client_id and d.idp = r.idp and d.subject = r.subject and d.state = 0
               group by d.client_id, d.idp, d.subject having max(d.head) = 0)",
    };
}

/// One line: what one relying party hears of one account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Line {
    pub(crate) client_id: ClientId,
    pub(crate) about: About,
}

#[derive(Serialize)]
struct LineRow<'a> {
    client_id: &'a str,
    idp: &'a str,
    subject: &'a str,
}

pub(crate) fn line_rows<'a>(lines: impl IntoIterator<Item = &'a Line>) -> RowSet {
    RowSet::of(lines.into_iter().map(|line| {
        let (idp, subject) = line.about.columns();
        LineRow { client_id: line.client_id.as_str(), idp, subject }
    }))
}

/// Which of the lines have something pending.
pub(crate) async fn busy<'a>(
    tx: &mut Tx<'_>,
    lines: &BTreeSet<&'a Line>,
) -> Result<BTreeSet<&'a Line>, StoreError> {
    #[derive(Serialize)]
    struct Row<'a> {
        at: usize,
        client_id: &'a str,
        idp: &'a str,
        subject: &'a str,
    }
    if lines.is_empty() {
        return Ok(BTreeSet::new());
    }
    let lines: Vec<&Line> = lines.iter().copied().collect();
    let rows = RowSet::of(lines.iter().enumerate().map(|(at, line)| {
        let (idp, subject) = line.about.columns();
        Row { at, client_id: line.client_id.as_str(), idp, subject }
    }));
    let found = tx.query(&BUSY, &[(&rows).into()], |row| row.int(0)).await?;
    Ok(found.into_iter().filter_map(|at| lines.get(usize::try_from(at).ok()?).copied()).collect())
}

/// Makes way for a deletion: undelivered profile and subscription changes of the lines are discarded, and what is
/// left of them waits.
pub(crate) async fn make_way(
    tx: &mut Tx<'_>,
    lines: &BTreeSet<&Line>,
    now: Millis,
) -> Result<(), StoreError> {
    if lines.is_empty() {
        return Ok(());
    }
    let rows = line_rows(lines.iter().copied());
    tx.execute(&VOID, &[(&rows).into(), now.into()]).await?;
    tx.execute(&STEP_BACK, &[(&rows).into()]).await.map(drop)
}

/// A pending row that nobody is sending.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unclaimed {
    pub(crate) id: i64,
    pub(crate) line: Line,
    pub(crate) event_type: EventType,
    pub(crate) payload: String,
}

/// What nobody is sending of these lines, in order.
pub(crate) async fn unclaimed(
    tx: &mut Tx<'_>,
    lines: &BTreeSet<&Line>,
) -> Result<Vec<Unclaimed>, StoreError> {
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    let rows = line_rows(lines.iter().copied());
    tx.query(&UNCLAIMED, &[(&rows).into()], |row| {
        let client_id = super::registry::client_id(row.text(1)?)?;
        let about = About::from_columns(row.text(2)?, row.text(3)?)?;
        Ok(Unclaimed {
            id: row.int(0)?,
            line: Line { client_id, about },
            event_type: event_type(row.text(4)?)?,
            payload: row.text(5)?.to_owned(),
        })
    })
    .await
}

/// Ends rows that are told together with a later one.
pub(crate) async fn take_in(tx: &mut Tx<'_>, ids: &[i64], now: Millis) -> Result<(), StoreError> {
    #[derive(Serialize)]
    struct Row {
        id: i64,
    }
    if ids.is_empty() {
        return Ok(());
    }
    let rows = RowSet::of(ids.iter().map(|id| Row { id: *id }));
    tx.execute(&TAKE_IN, &[(&rows).into(), now.into()]).await.map(drop)
}

/// A row to write.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct NewRow<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) idp: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) version: i64,
    pub(crate) part: i64,
    pub(crate) kind: &'a str,
    pub(crate) event_type: &'a str,
    pub(crate) payload: &'a str,
    pub(crate) jti: &'a str,
    pub(crate) txn: &'a str,
    pub(crate) iat: i64,
    pub(crate) event_at: Millis,
    pub(crate) created_at: Millis,
    pub(crate) state: i64,
    pub(crate) head: i64,
    pub(crate) due_at: Millis,
    pub(crate) owner: Option<&'a str>,
    pub(crate) fence: i64,
    pub(crate) reason: Option<&'a str>,
    pub(crate) settled_at: Option<Millis>,
}

/// Writes rows; their ids, in the same order.
pub(crate) async fn insert(tx: &mut Tx<'_>, rows: &[NewRow<'_>]) -> Result<Vec<i64>, StoreError> {
    #[derive(Serialize)]
    struct Numbered<'a> {
        id: i64,
        #[serde(flatten)]
        row: &'a NewRow<'a>,
    }
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids = numbers(tx, rows.len()).await?;
    let numbered = ids.iter().zip(rows).map(|(id, row)| Numbered { id: *id, row });
    tx.execute(&INSERT, &[(&RowSet::of(numbered)).into()]).await?;
    Ok(ids)
}

/// The numbers of the next so many rows, rising.
async fn numbers(tx: &mut Tx<'_>, count: usize) -> Result<Vec<i64>, StoreError> {
    let wanted = i64::try_from(count).unwrap_or(i64::MAX);
    let drawn = tx.query(&NUMBERS, &[wanted.into()], |row| row.int(0)).await?;
    Ok(match (tx.engine(), drawn.first()) {
        // There is one writer: what follows its last number is free.
        (Engine::Sqlite, Some(first)) => (*first..).take(count).collect(),
        _ => drawn,
    })
}

/// Gives lines without a head their first pending row for one; how many got one.
pub(crate) async fn promote(tx: &mut Tx<'_>, lines: &BTreeSet<&Line>) -> Result<u64, StoreError> {
    if lines.is_empty() {
        return Ok(0);
    }
    tx.execute(&PROMOTE, &[(&line_rows(lines.iter().copied())).into()]).await
}
