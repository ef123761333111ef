use account::{AccountId, Mark, Millis, State};
use store::{PointRead, Row, Rows, Sql, StoreError, Tx, Value};
use verify::Record;

store::statements! {
    static RECORD = both(
        "select a.version, a.mark, a.state, t.deleted_at
         from (select 1 as one) as one
         left join accounts a on a.idp = $1 and a.subject = $2
         left join tombstones t on t.account = $3");
}

/// What is on record of an account: one indexed statement.
pub(crate) struct ReadRecord<'a> {
    pub account: &'a AccountId,
    /// Its hash, by [`ledger::Tombstones::hash`].
    pub tombstone: &'a str,
}

impl PointRead for ReadRecord<'_> {
    const NAME: &'static str = "bearer.record";
    type Output = Record;

    fn sql(&self) -> &'static Sql {
        &RECORD
    }

    fn params(&self) -> impl AsRef<[Value<'_>]> + Send {
        [self.account.idp.as_str().into(), self.account.subject.as_str().into(), self.tombstone.into()]
    }

    fn read(&self, rows: Rows<'_>) -> Result<Record, StoreError> {
        Ok(rows.first(record)?.unwrap_or_default())
    }
}

/// The same inside a transaction, which has the account's lock.
pub(crate) async fn locked(
    tx: &mut Tx<'_>,
    account: &AccountId,
    tombstone: &str,
) -> Result<Record, StoreError> {
    let params = [account.idp.as_str().into(), account.subject.as_str().into(), tombstone.into()];
    tx.query_one(&RECORD, &params, record).await
}

/// One that was deleted and forgotten may come back: what was granted before the deletion is refused, and nothing else.
fn record(row: &Row<'_>) -> Result<Record, StoreError> {
    let at = |column| Ok::<_, StoreError>(Mark::at(Millis::new(row.opt_int(column)?.unwrap_or_default())));
    Ok(match row.opt_int(0)? {
        Some(version) => Record { version, mark: at(1)?, state: State::from_code(row.int(2)?) },
        None => Record { version: 0, mark: at(3)?, state: State::Active },
    })
}
