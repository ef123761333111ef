//! When timing was changed while grants wait: each is due anew by what holds now. Only when it was changed; otherwise what
//! an attempt has put down stands.

use super::rows::grant_id;
use crate::GrantId;
use account::{IdpId, Millis};
use serde::Serialize;
use store::{Operation, RowSet, StoreError, Tx};

/// How many are looked at in one transaction.
const CHUNK: i64 = 500;

store::statements! {
    // Those that failed wait as their failures say.
    pub(super) static WAITING = both(
        "select id, idp, generation, issued_at, expires_at from grants
         where id > $1 and state = 0 and owner is null and failures = 0 and next_attempt_at is not null
         order by id limit $2");
    pub(super) static RESPREAD = both(concat!(
        "update grants set next_attempt_at = r.next_attempt_at
         from ",
        few!("{rows $1: id text, generation bigint, next_attempt_at bigint}"),
        " as r
         where grants.id = r.id and grants.generation = r.generation and grants.state = 0 and grants.owner is null
           and grants.failures = 0 and grants.next_attempt_at is not null"));
}

/// A grant that waits.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) id: GrantId,
    pub(crate) idp: IdpId,
    pub(crate) generation: i64,
    pub(crate) issued_at: Millis,
    pub(crate) expires_at: Option<Millis>,
}

/// Finds those that wait, in the order of their ids.
pub(crate) struct FindWaiting {
    pub(crate) after: String,
}

impl Operation for FindWaiting {
    const NAME: &'static str = "sessions.find_waiting";
    type Output = Vec<Waiting>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Waiting>, StoreError> {
        tx.query(&WAITING, &[(&self.after).into(), CHUNK.into()], |row| {
            Ok(Waiting {
                id: grant_id(row.text(0)?)?,
                idp: IdpId::new(row.text(1)?).map_err(|error| super::broken(&error))?,
                generation: row.int(2)?,
                issued_at: Millis::new(row.int(3)?),
                expires_at: row.opt_int(4)?.map(Millis::new),
            })
        })
        .await
    }
}

/// Puts down when they are due.
#[derive(Clone)]
pub(crate) struct Respread(pub(crate) Vec<(GrantId, i64, Millis)>);

impl Operation for Respread {
    const NAME: &'static str = "sessions.respread";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = u64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            id: &'a str,
            generation: i64,
            next_attempt_at: Millis,
        }
        let rows = RowSet::of(self.0.iter().map(|(id, generation, next_attempt_at)| Row {
            id: id.as_str(),
            generation: *generation,
            next_attempt_at: *next_attempt_at,
        }));
        tx.execute(&RESPREAD, &[(&rows).into()]).await
    }
}
