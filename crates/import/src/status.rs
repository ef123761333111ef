//! How an import stands, for those who only look.

use crate::Counted;
use account::Millis;
use serde::Serialize;
use store::{Operation, Row, Store, StoreError, Tx};

store::statements! {
    static STATUS = both(
        "select table_name, source, row_count, began_at, finished_at, sha256 from imports order by table_name");
}

/// How an import into this store stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// None was ever begun.
    None,
    /// One was begun and has not ended: nobody is served.
    UnderWay {
        /// Where from.
        source: String,
        /// Since when.
        began_at: Millis,
        /// What was copied of each table so far.
        copied: Vec<Copied>,
    },
    /// It has ended, and both sides were the same.
    Finished {
        /// Where from.
        source: String,
        /// When.
        finished_at: Millis,
        /// What was there then.
        tables: Vec<Counted>,
    },
}

/// How much of a table is copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// Which.
    pub table: String,
    /// How many rows.
    pub rows: u64,
}

/// How an import into this store stands.
pub async fn status(store: &Store) -> Result<Status, StoreError> {
    store.scan(Look).await
}

struct Look;

/// What is kept of one table.
struct Kept {
    table: String,
    source: String,
    rows: u64,
    began_at: Millis,
    finished_at: Option<Millis>,
    sha256: String,
}

impl Operation for Look {
    const NAME: &'static str = "import.status";
    type Output = Status;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Status, StoreError> {
        let kept = tx.query(&STATUS, &[], kept).await?;
        let Some(Kept { source, began_at, .. }) = kept.first() else { return Ok(Status::None) };
        let (source, began_at) = (source.clone(), *began_at);
        let ended: Option<Vec<_>> = kept.iter().map(|it| it.finished_at).collect();
        Ok(match ended.and_then(|ended| ended.into_iter().max()) {
            None => {
                Status::UnderWay { source, began_at, copied: kept.into_iter().map(Kept::so_far).collect() }
            }
            Some(finished_at) => {
                Status::Finished { source, finished_at, tables: kept.into_iter().map(Kept::whole).collect() }
            }
        })
    }
}

impl Kept {
    fn so_far(self) -> Copied {
        Copied { table: self.table, rows: self.rows }
    }

    fn whole(self) -> Counted {
        Counted { table: self.table, rows: self.rows, sha256: self.sha256 }
    }
}

fn kept(row: &Row<'_>) -> Result<Kept, StoreError> {
    Ok(Kept {
        table: row.text(0)?.to_owned(),
        source: row.text(1)?.to_owned(),
        rows: row.int(2)?.unsigned_abs(),
        began_at: Millis::new(row.int(3)?),
        finished_at: row.opt_int(4)?.map(Millis::new),
        sha256: row.opt_text(5)?.unwrap_or_default().to_owned(),
    })
}
