//! Users: what the identity provider says of each, looked at now and then by itself.
//!
//! Looking twice does no harm, so a claim is only a time: a user that is looked at is due again when it ends, and an outcome
//! counts while it is still that time.

use super::rows::{account, count, grant_id, session_id};
use super::settle::TROUBLE;
use super::{changes, create, ids};
use crate::{GrantId, Object};
use account::{AccountId, IdpId, Millis};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use store::{Operation, RowSet, StoreError, Tx};

/// How long a claim lasts: longer than a request takes.
const LEASE: Duration = Duration::from_mins(2);

store::statements! {
    pub(super) static CLAIM = both(
        "update session_users set next_fetch_at = $3
         where idp = $1 and subject in (
           select subject from session_users where idp = $1 and next_fetch_at <= $2
           order by next_fetch_at limit $4 {for_update_skip_locked})
         returning idp, subject, failures, claims");
    // Of a user's grants one that is refreshed, and of those the one whose token lives longest.
    pub(super) static BEST = both(concat!(
        "select r.subject, (
           select g.id from grants g where g.idp = $2 and g.subject = r.subject and g.state < 3
             and g.access_token is not null and (g.expires_at is null or g.expires_at > $3)
           order by g.state, g.expires_at desc limit 1)
         from ",
        few!("{rows $1: subject text}"),
        " as r"));
    pub(super) static RIGHTS = both(concat!(
        "select g.subject, g.id, g.generation, g.access_token,
           case when g.token_type = 'Bearer' then null else g.dpop_key end from ",
        few!("{rows $1: id text}"),
        " as r join grants g on g.id = r.id where g.access_token is not null"));
    // Nobody is logged in any more: what was said of the user goes.
    pub(super) static FORGET = both(concat!(
        "delete from session_users where idp = $2 and subject in (
           select r.subject from ",
        few!("{rows $1: subject text}"),
        " as r
           where not exists (select 1 from sessions s where s.idp = $2 and s.subject = r.subject and s.state = 0))
         returning subject"));
    pub(super) static SETTLE = both(concat!(
        "update session_users set claims = coalesce(r.claims, session_users.claims),
           fetched_at = coalesce(r.fetched_at, session_users.fetched_at), next_fetch_at = r.next_fetch_at,
           failures = r.failures, error_text = coalesce(r.error_text, session_users.error_text),
           error_at = case when r.error_text is null then session_users.error_at else $2 end
         from ",
        few!("{rows $1: idp text, subject text, lease bigint, claims text, fetched_at bigint, next_fetch_at bigint,
           failures integer, error_text text}"),
        " as r
         where session_users.idp = r.idp and session_users.subject = r.subject and session_users.next_fetch_at = r.lease
         returning session_users.subject"));
    pub(super) static SESSIONS_OF = both(concat!(
        "update sessions set version = sessions.version + 1, updated_at = $2
         from ",
        few!("{rows $1: idp text, subject text}"),
        " as r
         where sessions.idp = r.idp and sessions.subject = r.subject and sessions.state = 0 returning sessions.id"));
    // Whose access token is not taken is refreshed, unless that was just tried, or has failed already.
    pub(super) static HURRY = both(concat!(
        "update grants set next_attempt_at = $2 from ",
        few!("{rows $1: id text, generation bigint}"),
        " as r
         where grants.id = r.id and grants.generation = r.generation and grants.state < 2 and grants.owner is null
           and grants.failures = 0 and coalesce(grants.last_attempt_at, 0) <= $3
         returning grants.id"));
    // After a while without a token that lived there is one again.
    pub(super) static WAKE = both(concat!(
        "update session_users set
           next_fetch_at = case when session_users.failures = 0 then $2 else session_users.next_fetch_at end
         from ",
        few!("{rows $1: idp text, subject text}"),
        " as r
         where session_users.idp = r.idp and session_users.subject = r.subject"));
    static OVERDUE = both(
        "select count(*), coalesce(min(next_fetch_at), 0) from (select next_fetch_at from session_users
           where idp = $1 and next_fetch_at <= $2 order by next_fetch_at limit 10000) as some_of_them");
}

/// A user who is to be looked at.
#[derive(Clone, Debug)]
pub(crate) struct DueUser {
    pub(crate) account: AccountId,
    pub(crate) failures: u32,
    /// As they were said last.
    pub(crate) claims: Option<String>,
    pub(crate) lease: Millis,
    /// By what right; none: no access token of theirs lives.
    pub(crate) right: Option<Right>,
}

/// An access token, sealed, and the key that it is bound to.
#[derive(Clone, Debug)]
pub(crate) struct Right {
    pub(crate) grant: GrantId,
    pub(crate) generation: i64,
    pub(crate) access_token: String,
    pub(crate) dpop_key: Option<String>,
}

/// Claims users who are due, the longest due first.
pub(crate) struct ClaimUsers {
    pub(crate) idp: IdpId,
    pub(crate) most: usize,
    pub(crate) now: Millis,
}

impl Operation for ClaimUsers {
    const NAME: &'static str = "sessions.claim_users";
    /// Who an unanswered run claimed is due again when the lease ends.
    const RESOLVES_UNKNOWN: bool = true;
    type Output = Vec<DueUser>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<DueUser>, StoreError> {
        let (idp, lease) = (self.idp.as_str(), self.now.plus(LEASE));
        let most = i64::try_from(self.most).unwrap_or(i64::MAX);
        let params = [idp.into(), self.now.into(), lease.into(), most.into()];
        let mut due = tx
            .query(&CLAIM, &params, |row| {
                Ok(DueUser {
                    account: account(row.text(0)?, row.text(1)?)?,
                    failures: count(row.int(2)?),
                    claims: row.opt_text(3)?.map(str::to_owned),
                    lease,
                    right: None,
                })
            })
            .await?;
        if !due.is_empty() {
            self.find_rights(tx, &mut due).await?;
            self.forget(tx, &mut due).await?;
        }
        Ok(due)
    }
}

#[derive(Serialize)]
struct Subject<'a> {
    subject: &'a str,
}

fn subjects<'a>(users: impl Iterator<Item = &'a DueUser>) -> RowSet {
    RowSet::of(users.map(|it| Subject { subject: it.account.subject.as_str() }))
}

impl ClaimUsers {
    async fn find_rights(&self, tx: &mut Tx<'_>, due: &mut [DueUser]) -> Result<(), StoreError> {
        let rows = subjects(due.iter());
        let params = [(&rows).into(), self.idp.as_str().into(), self.now.into()];
        let best = tx.query(&BEST, &params, |row| Ok(row.opt_text(1)?.map(str::to_owned))).await?;
        let rows = ids(best.iter().flatten().map(String::as_str));
        let found = tx
            .query(&RIGHTS, &[(&rows).into()], |row| {
                let right = Right {
                    grant: grant_id(row.text(1)?)?,
                    generation: row.int(2)?,
                    access_token: row.text(3)?.to_owned(),
                    dpop_key: row.opt_text(4)?.map(str::to_owned),
                };
                Ok((row.text(0)?.to_owned(), right))
            })
            .await?;
        let mut found: BTreeMap<String, Right> = found.into_iter().collect();
        for it in due {
            it.right = found.remove(it.account.subject.as_str());
        }
        Ok(())
    }

    async fn forget(&self, tx: &mut Tx<'_>, due: &mut Vec<DueUser>) -> Result<(), StoreError> {
        if due.iter().all(|it| it.right.is_some()) {
            return Ok(());
        }
        let rows = subjects(due.iter().filter(|it| it.right.is_none()));
        let params = [(&rows).into(), self.idp.as_str().into()];
        let gone = tx.query(&FORGET, &params, |row| Ok(row.text(0)?.to_owned())).await?;
        due.retain(|it| !gone.iter().any(|subject| subject == it.account.subject.as_str()));
        Ok(())
    }
}

/// What came of looking at a user.
#[derive(Clone, Debug)]
pub(crate) struct Looked {
    pub(crate) account: AccountId,
    pub(crate) lease: Millis,
    /// When something was told.
    pub(crate) fetched_at: Option<Millis>,
    /// What was told, where it is not what was told before.
    pub(crate) claims: Option<Object>,
    pub(crate) next_fetch_at: Millis,
    pub(crate) failures: u32,
    pub(crate) error: Option<String>,
    /// The grant, and its generation, whose access token was not taken.
    pub(crate) refused: Option<(GrantId, i64)>,
}

/// Keeps what came of looking.
pub(crate) struct SettleUsers {
    pub(crate) looked: Vec<Looked>,
    /// A grant that was tried later than this is not hurried.
    pub(crate) tried_by: Millis,
    pub(crate) now: Millis,
}

impl Operation for SettleUsers {
    const NAME: &'static str = "sessions.settle_users";
    /// A second run finds the leases used.
    const RESOLVES_UNKNOWN: bool = true;
    /// How many grants are to be refreshed now.
    type Output = usize;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<usize, StoreError> {
        let accounts: Vec<AccountId> = self.looked.iter().map(|it| it.account.clone()).collect();
        tx.lock_accounts(&accounts).await?;
        let rows = RowSet::of(self.looked.iter().map(Looked::row));
        let params = [(&rows).into(), self.now.into()];
        let kept = tx.query(&SETTLE, &params, |row| Ok(row.text(0)?.to_owned())).await?;
        let has_news = |it: &&Looked| {
            it.claims.is_some() && kept.iter().any(|subject| subject == it.account.subject.as_str())
        };
        self.tell(tx, self.looked.iter().filter(has_news)).await?;
        self.note_trouble(tx).await?;
        self.hurry(tx).await
    }
}

#[derive(Serialize)]
struct Row<'a> {
    idp: &'a str,
    subject: &'a str,
    lease: Millis,
    claims: Option<String>,
    fetched_at: Option<Millis>,
    next_fetch_at: Millis,
    failures: u32,
    error_text: Option<&'a str>,
}

impl Looked {
    fn row(&self) -> Row<'_> {
        Row {
            idp: self.account.idp.as_str(),
            subject: self.account.subject.as_str(),
            lease: self.lease,
            claims: self.claims.as_ref().map(create::text),
            fetched_at: self.fetched_at,
            next_fetch_at: self.next_fetch_at,
            failures: self.failures,
            error_text: self.error.as_deref(),
        }
    }
}

impl SettleUsers {
    /// Those who watch hear of a user whose claims have changed by each of their sessions.
    async fn tell(
        &self,
        tx: &mut Tx<'_>,
        changed: impl Iterator<Item = &Looked> + Send,
    ) -> Result<(), StoreError> {
        let rows = accounts(changed.map(|it| &it.account));
        if rows.is_empty() {
            return Ok(());
        }
        let params = [(&rows).into(), self.now.into()];
        let sessions = tx.query(&SESSIONS_OF, &params, |row| session_id(row.text(0)?)).await?;
        changes::append(tx, &sessions.iter().collect::<Vec<_>>(), self.now).await
    }

    async fn note_trouble(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let Some((it, text)) = self.looked.iter().find_map(|it| Some((it, it.error.as_ref()?))) else {
            return Ok(());
        };
        let params = [it.account.idp.as_str().into(), "userinfo".into(), text.into(), self.now.into()];
        tx.execute(&TROUBLE, &params).await.map(drop)
    }

    async fn hurry(&self, tx: &mut Tx<'_>) -> Result<usize, StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            id: &'a str,
            generation: i64,
        }
        let refused = self.looked.iter().filter_map(|it| it.refused.as_ref());
        let rows =
            RowSet::of(refused.map(|(id, generation)| Row { id: id.as_str(), generation: *generation }));
        if rows.is_empty() {
            return Ok(0);
        }
        let params = [(&rows).into(), self.now.into(), self.tried_by.into()];
        Ok(tx.query(&HURRY, &params, |_| Ok(())).await?.len())
    }
}

/// Accounts, as rows.
pub(super) fn accounts<'a>(accounts: impl Iterator<Item = &'a AccountId>) -> RowSet {
    #[derive(Serialize)]
    struct Row<'a> {
        idp: &'a str,
        subject: &'a str,
    }
    RowSet::of(accounts.map(|it| Row { idp: it.idp.as_str(), subject: it.subject.as_str() }))
}

/// How many users of an identity provider are overdue (counted up to ten thousand), and since when the first is.
pub(crate) struct ReadOverdueUsers {
    pub(crate) idp: IdpId,
    pub(crate) now: Millis,
}

impl Operation for ReadOverdueUsers {
    const NAME: &'static str = "sessions.overdue_users";
    type Output = (i64, Millis);

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(i64, Millis), StoreError> {
        let params = [self.idp.as_str().into(), self.now.into()];
        tx.query_one(&OVERDUE, &params, |row| Ok((row.int(0)?, Millis::new(row.int(1)?)))).await
    }
}
