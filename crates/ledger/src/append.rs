//! Writing events, inside the ledger's transaction.

use crate::SourceId;
use crate::consequence::News;
use crate::effects::account_of;
use crate::tombstones::json;
use account::{AccountId, Millis};
use serde::Serialize;
use std::collections::HashMap;
use store::{Engine, Row, StoreError, Tx};

store::statements! {
    // To be told the numbers by the insert costs SQLite a table of its own for each row: there they are drawn first.
    static NEXT = per_engine {
        sqlite: "select coalesce((select seq from sqlite_sequence where name = 'events'), 0) + 1",
        postgres: "select 0::bigint",
    };
    static APPEND = per_engine {
        sqlite:
            "insert into events (position, idp, subject, version, kind, at, received_at, source, change, mark, state)
             select r.number, r.idp, r.subject, r.version, r.kind, r.at, $2, r.source, r.change, r.mark, r.state
             from {each $1: number bigint, idp text, subject text, version bigint, kind text, at bigint, source text,
                   change text, mark bigint, state smallint} as r",
        postgres:
            "insert into events (idp, subject, version, kind, at, received_at, source, change, mark, state)
             select r.idp, r.subject, r.version, r.kind, r.at, $2, r.source, r.change, r.mark, r.state
             from {each $1: idp text, subject text, version bigint, kind text, at bigint, source text, change text,
                   mark bigint, state smallint} as r
             returning idp, subject, version, id",
    };
}

/// Writes events and where each came from; their numbers, in the same order.
pub(crate) async fn append(
    tx: &mut Tx<'_>,
    news: &[News],
    sources: &[&SourceId],
    now: Millis,
) -> Result<Vec<i64>, StoreError> {
    #[derive(Serialize)]
    struct Written<'a> {
        number: i64,
        idp: &'a str,
        subject: &'a str,
        version: i64,
        kind: &'static str,
        at: i64,
        source: &'a str,
        change: String,
        mark: i64,
        state: i64,
    }
    if news.is_empty() {
        return Ok(Vec::new());
    }
    let first = match tx.engine() {
        Engine::Sqlite => tx.query_one(&NEXT, &[], |row| row.int(0)).await?,
        Engine::Postgres => 0, // they come from the column's sequence
    };
    let rows = (first..).zip(news).zip(sources).map(|((number, news), source)| Written {
        number,
        idp: news.account.idp.as_str(),
        subject: news.account.subject.as_str(),
        version: news.version,
        kind: news.change.kind().as_str(),
        at: news.at.get(),
        source: source.as_str(),
        change: serde_json::to_string(&news.change).expect("a change always serialises"),
        mark: news.mark.get(),
        state: news.state.code(),
    });
    let rows = json(rows);
    let params = [(&rows).into(), now.into()];
    match tx.engine() {
        Engine::Sqlite => {
            tx.execute(&APPEND, &params).await?;
            Ok((first..).take(news.len()).collect())
        }
        Engine::Postgres => numbers(&tx.query(&APPEND, &params, told).await?.into_iter().collect(), news),
    }
}

/// An event's number, by its account and version: in which order PostgreSQL tells them is not promised.
type Told = ((AccountId, i64), i64);

fn told(row: &Row<'_>) -> Result<Told, StoreError> {
    Ok(((account_of(row)?, row.int(2)?), row.int(3)?))
}

fn numbers(told: &HashMap<(AccountId, i64), i64>, news: &[News]) -> Result<Vec<i64>, StoreError> {
    let of = |news: &News| told.get(&(news.account.clone(), news.version)).copied();
    let missing = || StoreError::Statement { reason: "an event was written without a number".into() };
    news.iter().map(of).collect::<Option<_>>().ok_or_else(missing)
}
