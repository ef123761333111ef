use account::{AccountId, Mark, Millis, State};
use store::{PointRead, Row, Rows, Sql, StoreError, Tx, Value};
use verify::{Place, Record};

store::statements! {
    static RECORD = both(
        "select a.version, a.mark, a.state, t.deleted_at
         from (select 1 as one) as one
         left join accounts a on a.idp = $1 and a.subject = $2
         left join tombstones t on t.account = $3");
    // And where its latest event is. One that is kept no longer was before all that are; one that nothing is known of, not
    // even its deletion, had none.
    static PLACED_RECORD = per_engine {
        sqlite: placed!("e.position = a.latest_event"),
        postgres: placed!("e.idp = a.idp and e.subject = a.subject and e.version = a.version"),
    };
}

macro_rules! placed {
    ($latest:literal) => {
        concat!(
            "select a.version, a.mark, a.state, t.deleted_at, f.epoch,
               case when a.version is null and t.deleted_at is null then 0
                    when e.version is null then
                      (select coalesce(min(position), 1) - 1 from events where position is not null)
                    else e.position end
             from feed f
             left join accounts a on a.idp = $1 and a.subject = $2
             left join tombstones t on t.account = $3
             left join events e on ",
            $latest
        )
    };
}
use placed;

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

/// The same, and where the account's latest event is in the feed, in one view of the store.
pub(crate) struct ReadPlacedRecord<'a> {
    pub account: &'a AccountId,
    /// Its hash, by [`ledger::Tombstones::hash`].
    pub tombstone: &'a str,
}

impl PointRead for ReadPlacedRecord<'_> {
    const NAME: &'static str = "bearer.placed_record";
    type Output = (Record, Option<Place>);

    fn sql(&self) -> &'static Sql {
        &PLACED_RECORD
    }

    fn params(&self) -> impl AsRef<[Value<'_>]> + Send {
        [self.account.idp.as_str().into(), self.account.subject.as_str().into(), self.tombstone.into()]
    }

    fn read(&self, rows: Rows<'_>) -> Result<Self::Output, StoreError> {
        let placed = rows.first(|row| {
            // None: it has committed, and nobody has given it a position yet.
            let place = match row.opt_int(5)? {
                Some(position) => Some(Place { epoch: row.text(4)?.into(), position }),
                None => None,
            };
            Ok((record(row)?, place))
        })?;
        Ok(placed.unwrap_or_default())
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
