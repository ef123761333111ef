//! Writing events, inside the ledger's transaction.

use crate::SourceId;
use crate::consequence::News;
use account::Millis;
use serde::Serialize;
use store::{Engine, RowSet, StoreError, Tx};

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
                   mark bigint, state smallint} as r",
    };
}

/// Writes events and where each came from; their numbers, in the same order, where they are found by them: not on
/// PostgreSQL, where nodes of a version before look in the index by account and version.
pub(crate) async fn append(
    tx: &mut Tx<'_>,
    news: &[News],
    sources: &[&SourceId],
    now: Millis,
) -> Result<Vec<Option<i64>>, StoreError> {
    #[derive(Serialize)]
    struct Written<'a> {
        number: Option<i64>,
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
    let numbers: Vec<Option<i64>> = match tx.engine() {
        Engine::Sqlite => {
            let first = tx.query_one(&NEXT, &[], |row| row.int(0)).await?;
            (first..).map(Some).take(news.len()).collect()
        }
        Engine::Postgres => vec![None; news.len()],
    };
    let rows = numbers.iter().zip(news).zip(sources).map(|((number, news), source)| Written {
        number: *number,
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
    tx.execute(&APPEND, &[(&RowSet::of(rows)).into(), now.into()]).await?;
    Ok(numbers)
}
