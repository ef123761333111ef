//! The accounts' rows, as the ledger's transaction reads and writes them.

use crate::effects::account_of;
use crate::rules::Account;
use account::{AccountId, Mark, Millis, State, StateAt};
use serde::Serialize;
use std::collections::HashSet;
use store::{Row, RowSet, StoreError, Tx};

store::statements! {
    // A row from before these columns has the identity provider's word in its state.
    pub(crate) static LOAD = per_engine {
        sqlite:
            "select a.idp, a.subject, a.version, a.mark, a.credential_at, coalesce(a.told_state, a.state),
               coalesce(a.told_at, a.state_at), a.held_state, a.held_at
             from {each $1: idp text, subject text} as r
             join accounts a on a.idp = r.idp and a.subject = r.subject",
        postgres:
            "select a.idp, a.subject, a.version, a.mark, a.credential_at, coalesce(a.told_state, a.state),
               coalesce(a.told_at, a.state_at), a.held_state, a.held_at
             from {rows $1: idp text, subject text} as r cross join lateral
               (select * from accounts x where x.idp = r.idp and x.subject = r.subject limit 1) as a",
    };
    static SAVE = both(
        "insert into accounts (idp, subject, version, mark, credential_at, state, state_at, told_state, told_at,
           held_state, held_at, latest_event, first_seen_at, updated_at)
         select r.idp, r.subject, r.version, r.mark, r.credential_at, r.state, r.state_at, r.told_state, r.told_at,
           r.held_state, r.held_at, r.latest_event, $2, $2
         from {each $1: idp text, subject text, version bigint, mark bigint, credential_at bigint, state smallint,
               state_at bigint, told_state smallint, told_at bigint, held_state smallint, held_at bigint,
               latest_event bigint} as r where true
         on conflict (idp, subject) do update set
           version = excluded.version, mark = excluded.mark, credential_at = excluded.credential_at,
           state = excluded.state, state_at = excluded.state_at, told_state = excluded.told_state,
           told_at = excluded.told_at, held_state = excluded.held_state, held_at = excluded.held_at,
           latest_event = coalesce(excluded.latest_event, accounts.latest_event), updated_at = excluded.updated_at");
}

/// Reads accounts that are there.
pub(crate) async fn load(
    tx: &mut Tx<'_>,
    accounts: &[AccountId],
) -> Result<Vec<(AccountId, Account)>, StoreError> {
    let asked: HashSet<&AccountId> = accounts.iter().collect();
    tx.query(&LOAD, &[(&RowSet::of(asked)).into()], |row| Ok((account_of(row)?, kept(row)?))).await
}

fn kept(row: &Row<'_>) -> Result<Account, StoreError> {
    let register = |state: usize, at: usize| {
        Ok::<_, StoreError>(StateAt {
            state: State::from_code(row.int(state)?),
            at: Millis::new(row.int(at)?),
        })
    };
    Ok(Account {
        version: row.int(2)?,
        mark: Mark::at(Millis::new(row.int(3)?)),
        credential_at: Millis::new(row.int(4)?),
        told: register(5, 6)?,
        held: register(7, 8)?,
    })
}

/// An account as it is now.
pub(crate) struct Changed<'a> {
    pub(crate) id: &'a AccountId,
    pub(crate) account: &'a Account,
    /// The number of its latest event, unless that is the one there was, or it is not found by its number.
    pub(crate) latest_event: Option<i64>,
}

/// Writes accounts as they are now. Their state is what follows from both registers, so that whoever reads a row need
/// not know of them.
pub(crate) async fn save(tx: &mut Tx<'_>, changed: &[Changed<'_>], now: Millis) -> Result<(), StoreError> {
    #[derive(Serialize)]
    struct Written<'a> {
        idp: &'a str,
        subject: &'a str,
        version: i64,
        mark: Mark,
        credential_at: Millis,
        state: i64,
        state_at: Millis,
        told_state: i64,
        told_at: Millis,
        held_state: i64,
        held_at: Millis,
        latest_event: Option<i64>,
    }
    let rows = changed.iter().map(|Changed { id, account, latest_event }| Written {
        idp: id.idp.as_str(),
        subject: id.subject.as_str(),
        version: account.version,
        mark: account.mark,
        credential_at: account.credential_at,
        state: account.state().state.code(),
        state_at: account.state().at,
        told_state: account.told.state.code(),
        told_at: account.told.at,
        held_state: account.held.state.code(),
        held_at: account.held.at,
        latest_event: *latest_event,
    });
    tx.execute(&SAVE, &[(&RowSet::of(rows)).into(), now.into()]).await.map(drop)
}
