//! The outbox of revocations: grants whose tokens identity providers are still to be told of.

use super::rows::{count, grant_id};
use crate::GrantId;
use account::{IdpId, Millis};
use serde::Serialize;
use std::time::Duration;
use store::{Operation, RowSet, StoreError, Tx};

/// How long a claim lasts. Revoking twice does no harm: an unknown token is revoked (RFC 7009 section 2.2).
pub(crate) const LEASE: Duration = Duration::from_mins(2);

/// How one stands.
pub(crate) const PENDING: i64 = 0;
pub(crate) const DONE: i64 = 1;
/// A dead letter: why stays with it, its tokens do not.
pub(crate) const GIVEN_UP: i64 = 2;

store::statements! {
    pub(super) static CLAIM = both(
        "update session_revocations set fence = $3, next_attempt_at = $4
         where id in (select id from session_revocations where idp = $1 and state = 0 and next_attempt_at <= $2
           order by next_attempt_at limit $5 {for_update_skip_locked})
         returning id, grant_id, generation, idp, token, access_token, failures, fence, created_at");
    static SETTLE = both(
        "update session_revocations set state = r.state, failures = r.failures, next_attempt_at = r.next_attempt_at,
           error_text = r.error_text, token = case when r.state = 0 then token else null end,
           access_token = case when r.state = 0 then access_token else null end,
           settled_at = case when r.state = 0 then null else cast($2 as bigint) end
         from {rows $1: id bigint, fence bigint, state smallint, failures integer, next_attempt_at bigint, error_text text}
           as r
         where session_revocations.id = r.id and session_revocations.fence = r.fence and session_revocations.state = 0
         returning session_revocations.idp, session_revocations.state");
    static DEPTH = both(
        "select count(*), coalesce(min(created_at), 0) from session_revocations where state = 0");
}

/// One that is to be told.
#[derive(Clone, Debug)]
pub(crate) struct Revocation {
    pub(crate) id: i64,
    pub(crate) grant: GrantId,
    pub(crate) generation: i64,
    pub(crate) idp: IdpId,
    /// Sealed; none where there never was one.
    pub(crate) refresh_token: Option<String>,
    /// Sealed; for those who take no refresh token back.
    pub(crate) access_token: Option<String>,
    pub(crate) failures: u32,
    pub(crate) fence: i64,
    pub(crate) created_at: Millis,
}

/// Claims those that are due.
pub(crate) struct ClaimRevocations {
    pub(crate) idp: IdpId,
    pub(crate) most: u32,
    pub(crate) now: Millis,
}

impl Operation for ClaimRevocations {
    const NAME: &'static str = "sessions.claim_revocations";
    /// What an unanswered run claimed is due again when the lease ends.
    const RESOLVES_UNKNOWN: bool = true;
    type Output = Vec<Revocation>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Revocation>, StoreError> {
        let fence = tx.next_fence().await?;
        let params = [
            self.idp.as_str().into(),
            self.now.into(),
            fence.into(),
            self.now.plus(LEASE).into(),
            i64::from(self.most).into(),
        ];
        tx.query(&CLAIM, &params, |row| {
            Ok(Revocation {
                id: row.int(0)?,
                grant: grant_id(row.text(1)?)?,
                generation: row.int(2)?,
                idp: IdpId::new(row.text(3)?).map_err(|error| super::broken(&error))?,
                refresh_token: row.opt_text(4)?.map(str::to_owned),
                access_token: row.opt_text(5)?.map(str::to_owned),
                failures: count(row.int(6)?),
                fence: row.int(7)?,
                created_at: Millis::new(row.int(8)?),
            })
        })
        .await
    }
}

/// What became of one.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Told {
    pub(crate) id: i64,
    pub(crate) fence: i64,
    /// [`PENDING`], [`DONE`] or [`GIVEN_UP`].
    pub(crate) state: i64,
    pub(crate) failures: u32,
    pub(crate) next_attempt_at: Millis,
    pub(crate) error_text: Option<String>,
}

/// Settles them.
pub(crate) struct SettleRevocations {
    pub(crate) told: Vec<Told>,
    pub(crate) now: Millis,
}

impl Operation for SettleRevocations {
    const NAME: &'static str = "sessions.settle_revocations";
    const RESOLVES_UNKNOWN: bool = true;
    /// The identity provider of each that was given up.
    type Output = Vec<String>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<String>, StoreError> {
        let rows = RowSet::of(&self.told);
        let params = [(&rows).into(), self.now.into()];
        let settled = tx.query(&SETTLE, &params, |row| Ok((row.text(0)?.to_owned(), row.int(1)?))).await?;
        Ok(settled.into_iter().filter(|(_, state)| *state == GIVEN_UP).map(|(idp, _)| idp).collect())
    }
}

/// How much is pending, and since when.
pub(crate) struct ReadDepth;

impl Operation for ReadDepth {
    const NAME: &'static str = "sessions.revocations_depth";
    type Output = (i64, Millis);

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(i64, Millis), StoreError> {
        tx.query_one(&DEPTH, &[], |row| Ok((row.int(0)?, Millis::new(row.int(1)?)))).await
    }
}
