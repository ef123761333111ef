//! ID tokens of refreshes that could not be verified when they came: found when it is time, and settled.
//!
//! As with users, a claim is only a time, and an outcome counts while it is still that time: verifying twice does no harm.

use super::rows::{account, grant_id};
use super::{create, ids, settle};
use crate::upstream::Original;
use crate::{GrantId, Object};
use account::{AccountId, IdpId, Millis};
use serde::Serialize;
use std::time::Duration;
use store::{Operation, RowSet, StoreError, Tx};

/// How long a claim lasts: longer than keys are waited for.
const LEASE: Duration = Duration::from_mins(2);

store::statements! {
    pub(super) static CLAIM = both(
        "update grants set verify_at = $3
         where id in (select id from grants where idp = $1 and verify_at <= $2 order by verify_at limit $4
           {for_update_skip_locked})
         returning id, idp, subject, generation, id_token, access_token, claims, original");
    // Of a generation that is no more nothing counts.
    pub(super) static SETTLE = both(concat!(
        "update grants set claims = coalesce(r.claims, grants.claims),
           id_token = case when r.verify_at is null then null else grants.id_token end, verify_at = r.verify_at,
           updated_at = $2
         from ",
        few!("{rows $1: id text, generation bigint, lease bigint, claims text, verify_at bigint}"),
        " as r
         where grants.id = r.id and grants.generation = r.generation and grants.verify_at = r.lease and grants.state < 3
         returning grants.id"));
}

/// An ID token that is to be verified.
#[derive(Clone, Debug)]
pub(crate) struct Unverified {
    pub(crate) id: GrantId,
    pub(crate) account: AccountId,
    pub(crate) generation: i64,
    /// Sealed.
    pub(crate) id_token: String,
    /// Sealed; the one that came with it.
    pub(crate) access_token: String,
    /// As the last verified one had them.
    pub(crate) claims: Option<String>,
    /// What it is held against.
    pub(crate) original: Option<Original>,
    pub(crate) lease: Millis,
}

/// Claims those of an identity provider that are due.
pub(crate) struct ClaimSetAside {
    pub(crate) idp: IdpId,
    pub(crate) most: i64,
    pub(crate) now: Millis,
}

impl Operation for ClaimSetAside {
    const NAME: &'static str = "sessions.claim_set_aside";
    /// What an unanswered run claimed is due again when the lease ends.
    const RESOLVES_UNKNOWN: bool = true;
    type Output = Vec<Unverified>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Unverified>, StoreError> {
        let lease = self.now.plus(LEASE);
        let params = [self.idp.as_str().into(), self.now.into(), lease.into(), self.most.into()];
        tx.query(&CLAIM, &params, |row| {
            Ok(Unverified {
                id: grant_id(row.text(0)?)?,
                account: account(row.text(1)?, row.text(2)?)?,
                generation: row.int(3)?,
                id_token: row.opt_text(4)?.unwrap_or_default().to_owned(),
                access_token: row.opt_text(5)?.unwrap_or_default().to_owned(),
                claims: row.opt_text(6)?.map(str::to_owned),
                original: row.opt_text(7)?.and_then(|text| serde_json::from_str(text).ok()),
                lease,
            })
        })
        .await
    }
}

/// What came of verifying one.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    pub(crate) id: GrantId,
    pub(crate) account: AccountId,
    pub(crate) generation: i64,
    pub(crate) lease: Millis,
    /// What it says, where that is not what was said before.
    pub(crate) claims: Option<Object>,
    /// When it is tried again; else it is done with.
    pub(crate) verify_at: Option<Millis>,
}

/// Keeps what came of it.
pub(crate) struct SettleSetAside {
    pub(crate) judged: Vec<Judged>,
    pub(crate) now: Millis,
}

impl Operation for SettleSetAside {
    const NAME: &'static str = "sessions.settle_set_aside";
    /// A second run finds the leases used.
    const RESOLVES_UNKNOWN: bool = true;
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            id: &'a str,
            generation: i64,
            lease: Millis,
            claims: Option<String>,
            verify_at: Option<Millis>,
        }
        let accounts: Vec<AccountId> = self.judged.iter().map(|it| it.account.clone()).collect();
        tx.lock_accounts(&accounts).await?;
        let rows = RowSet::of(self.judged.iter().map(|it| Row {
            id: it.id.as_str(),
            generation: it.generation,
            lease: it.lease,
            claims: it.claims.as_ref().map(create::text),
            verify_at: it.verify_at,
        }));
        let params = [(&rows).into(), self.now.into()];
        let settled = tx.query(&SETTLE, &params, |row| Ok(row.text(0)?.to_owned())).await?;
        let has_news =
            |id: &&String| self.judged.iter().any(|it| it.id.as_str() == id.as_str() && it.claims.is_some());
        let news: Vec<&str> = settled.iter().filter(has_news).map(String::as_str).collect();
        if news.is_empty() { Ok(()) } else { settle::tell(tx, ids(news), self.now).await }
    }
}
