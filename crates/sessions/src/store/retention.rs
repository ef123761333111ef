//! What is old goes, in chunks; and what is measured.

use account::Millis;
use store::{Lease, Operation, Sql, StoreError, Tx};

/// How many rows go at once.
pub(crate) const CHUNK: i64 = 500;

store::statements! {
    pub(crate) static OLD_SESSIONS = both(
        "delete from sessions where id in (select id from sessions where state = 1 and ended_at < $1 limit $2)");
    pub(crate) static OLD_GRANTS = both(
        "delete from grants where id in (select id from grants where state = 3 and ended_at < $1 limit $2)");
    pub(crate) static OLD_REVOCATIONS = both(
        "delete from session_revocations where id in
           (select id from session_revocations where state <> 0 and settled_at < $1 limit $2)");
    pub(crate) static OLD_ACTS = both(
        "delete from session_acts where id in (select id from session_acts where at < $1 limit $2)");
    // The last one stays: positions go on from it.
    pub(crate) static OLD_CHANGES = both(
        "delete from session_changes where position in
           (select position from session_changes where at < $1 and position < (select max(position) from session_changes)
            limit $2)");
    pub(crate) static LEFT_TOUCHES = both(
        "delete from session_touches where session_id in
           (select t.session_id from session_touches t where t.touched_at < $1
              and not exists (select 1 from sessions s where s.id = t.session_id and s.state = 0) limit $2)");
    static OVERDUE = both(
        "select count(*), coalesce(min(next_attempt_at), 0) from (select next_attempt_at from grants
           where idp = $1 and state < 2 and owner is null and next_attempt_at <= $2 order by next_attempt_at limit 10000)
           as some_of_them");
}

/// Deletes a chunk of what is older, while the lease is held.
pub(crate) struct DropChunk {
    pub(crate) sql: &'static Sql,
    pub(crate) before: Millis,
    pub(crate) lease: Lease,
    pub(crate) now: Millis,
}

impl Operation for DropChunk {
    const NAME: &'static str = "sessions.drop_chunk";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = u64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        if !self.lease.still_held(tx, self.now).await? {
            return Ok(0);
        }
        tx.execute(self.sql, &[self.before.into(), CHUNK.into()]).await
    }
}

/// How many grants of an identity provider are overdue (counted up to ten thousand), and since when the first is.
pub(crate) struct ReadOverdue {
    pub(crate) idp: account::IdpId,
    pub(crate) now: Millis,
}

impl Operation for ReadOverdue {
    const NAME: &'static str = "sessions.overdue";
    type Output = (i64, Millis);

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(i64, Millis), StoreError> {
        let params = [self.idp.as_str().into(), self.now.into()];
        tx.query_one(&OVERDUE, &params, |row| Ok((row.int(0)?, Millis::new(row.int(1)?)))).await
    }
}
