//! Ending: sessions, and with the last of a login its grant. In the same transaction watchers are told and the revocation
//! of its tokens is put down.

use super::acts::{self, Actor};
use super::rows::{account, grant_id, session_id};
use super::settle::Attempted;
use super::{changes, ids};
use crate::{GrantId, Reason, SessionId};
use account::{AccountId, IdpId, Millis};
use serde::Serialize;
use std::collections::BTreeSet;
use store::{Operation, RowSet, Sql, StoreError, Tx, Value};

store::statements! {
    pub(super) static BY_ID = both(
        "update sessions set state = 1, reason = $2, ended_at = $3, updated_at = $3, version = version + 1
         where id = $1 and state = 0 and cast($4 as bigint) > 0 returning id, grant_id");
    pub(super) static BY_GRANT = both(
        "update sessions set state = 1, reason = $2, ended_at = $3, updated_at = $3, version = version + 1
         where grant_id = $1 and state = 0 and cast($4 as bigint) > 0 returning id, grant_id");
    pub(super) static BY_ACCOUNT = both(
        "update sessions set state = 1, reason = $2, ended_at = $3, updated_at = $3, version = version + 1
         where id in (select id from sessions where idp = $1 and subject = $5 and state = 0 and born_at <= $6
           order by id limit $4)
         returning id, grant_id");
    pub(super) static BY_SID = both(
        "update sessions set state = 1, reason = $2, ended_at = $3, updated_at = $3, version = version + 1
         where id in (select id from sessions where idp = $1 and sid = $5 and state = 0 order by id limit $4)
         returning id, grant_id");
    pub(super) static EXPIRED = both(concat!(
        "update sessions set state = 1, reason = $2, ended_at = $3, updated_at = $3, version = version + 1
         from ",
        few!("{rows $1: id text}"),
        " as r
         where sessions.id = r.id and sessions.state = 0 and sessions.expires_at <= $3 and cast($4 as bigint) > 0
         returning sessions.id, sessions.grant_id"));
    pub(super) static RETIRED = both(concat!(
        "update sessions set state = 1, reason = $2, ended_at = $3, updated_at = $3, version = version + 1
         from ",
        few!("{rows $1: id text}"),
        " as r join grants g on g.id = r.id
         where sessions.grant_id = r.id and g.state = 2 and sessions.state = 0 and cast($4 as bigint) > 0
         returning sessions.id, sessions.grant_id"));
    // An outcome counts only while the claim is its own.
    static MINE = both("select 1 from grants where id = $1 and fence = $2 and state < 3 and owner is not null {for_update}");
    // Those whose last session has ended.
    pub(super) static LAST_ONES = both(concat!(
        "select g.id from ",
        few!("{rows $1: id text}"),
        " as r join grants g on g.id = r.id
         where g.state < 3 and not exists (select 1 from sessions s where s.grant_id = g.id and s.state = 0)"));
    // What is sealed goes over as it is: it is sealed for the grant and the generation. What has run out needs no revoking.
    static REVOKE = both(concat!(
        "insert into session_revocations (grant_id, generation, idp, token, access_token, state, failures, next_attempt_at,
           fence, created_at)
         select g.id, g.generation, g.idp, g.refresh_token, g.access_token, 0, 0, $2, 0, $2
         from ",
        few!("{rows $1: id text}"),
        " as r join grants g on g.id = r.id
         where g.state < 3 and (g.refresh_token is not null
           or (g.access_token is not null and (g.expires_at is null or g.expires_at > $2)))
         on conflict (grant_id, generation) do nothing"));
    static END = both(concat!(
        "update grants set state = 3, reason = $2, ended_at = $3, updated_at = $3, access_token = null,
           refresh_token = null, dpop_key = null, id_token = null, verify_at = null, next_attempt_at = null, owner = null
         from ",
        few!("{rows $1: id text}"),
        " as r where grants.id = r.id and grants.state < 3 returning grants.id"));
    static REVOKE_ORPHANS = both(
        "insert into session_revocations (grant_id, generation, idp, token, access_token, state, failures, next_attempt_at,
           fence, created_at)
         select r.id, r.generation, r.idp, r.token, r.access_token, 0, 0, $2, 0, $2
         from {rows $1: id text, generation bigint, idp text, token text, access_token text} as r
         where true on conflict (grant_id, generation) do nothing");
    static COUNT = both(
        "select count(*) from (select 1 from sessions where idp = $1 and subject = $2 and state = 0 and born_at <= $3
           limit $4) as some_of_them");
    pub(super) static FIND_EXPIRED = both(
        "select id, idp, subject from sessions where state = 0 and expires_at <= $1 order by expires_at limit $2");
    pub(super) static FIND_RUN_OUT = both(
        "select g.id, g.idp, g.subject, g.reason from grants g
         where g.idp = $1 and g.state = 2 and (g.expires_at <= $2 or (g.expires_at is null and g.issued_at <= $3))
           and exists (select 1 from sessions s where s.grant_id = g.id and s.state = 0) limit $4");
    static ACCOUNT_OF = both("select idp, subject from sessions where id = $1");
    static ACCOUNTS_OF_SID = both(
        "select distinct idp, subject from sessions where idp = $1 and sid = $2 and state = 0 limit 100");
}

/// Which sessions end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EndBy {
    /// This one.
    Session(SessionId),
    /// Those of a grant, by the outcome of a claim.
    Claim { grant: GrantId, fence: i64 },
    /// Those of an account's logins that are as old as this, or older.
    Account { account: AccountId, born_by: Millis },
    /// Those of a login, as its identity provider names it.
    Sid { idp: IdpId, sid: String },
    /// These, if their time is over.
    Expired(Vec<SessionId>),
    /// Those of these grants, if they are refreshed no more.
    Retired(Vec<GrantId>),
}

/// How much was ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) sessions: usize,
    pub(crate) grants: usize,
}

/// Ends up to `limit` sessions, in a transaction that has their account's lock.
pub(crate) async fn end(
    tx: &mut Tx<'_>,
    by: &EndBy,
    reason: Reason,
    now: Millis,
    limit: i64,
) -> Result<Ended, StoreError> {
    if let EndBy::Claim { grant, fence } = by {
        let mine = tx.query_opt(&MINE, &[grant.as_str().into(), (*fence).into()], |_| Ok(())).await?;
        if mine.is_none() {
            return Ok(Ended::default());
        }
    }
    let ended = end_sessions(tx, by, reason, now, limit).await?;
    let sessions: Vec<&SessionId> = ended.iter().map(|(id, _)| id).collect();
    changes::append(tx, &sessions, now).await?;
    let grants: BTreeSet<&str> = ended.iter().filter_map(|(_, grant)| grant.as_deref()).collect();
    let grants = end_grants(tx, &grants, by, reason, now).await?;
    count_after_commit(tx, reason, sessions.len());
    Ok(Ended { sessions: sessions.len(), grants })
}

fn count_after_commit(tx: &mut Tx<'_>, reason: Reason, sessions: usize) {
    if sessions > 0 {
        tx.after_commit(move || {
            metrics::counter!("sessions.ended", "reason" => reason.as_str()).increment(sessions as u64);
        });
    }
}

async fn end_sessions(
    tx: &mut Tx<'_>,
    by: &EndBy,
    reason: Reason,
    now: Millis,
    limit: i64,
) -> Result<Vec<(SessionId, Option<String>)>, StoreError> {
    let rows;
    let (sql, which, more): (&'static Sql, Value<'_>, Vec<Value<'_>>) = match by {
        EndBy::Session(id) => (&BY_ID, id.as_str().into(), vec![]),
        EndBy::Claim { grant, .. } => (&BY_GRANT, grant.as_str().into(), vec![]),
        EndBy::Account { account, born_by } => (
            &BY_ACCOUNT,
            account.idp.as_str().into(),
            vec![account.subject.as_str().into(), (*born_by).into()],
        ),
        EndBy::Sid { idp, sid } => (&BY_SID, idp.as_str().into(), vec![sid.into()]),
        EndBy::Expired(sessions) => {
            rows = ids(sessions.iter().map(SessionId::as_str));
            (&EXPIRED, (&rows).into(), vec![])
        }
        EndBy::Retired(grants) => {
            rows = ids(grants.iter().map(GrantId::as_str));
            (&RETIRED, (&rows).into(), vec![])
        }
    };
    let mut params = vec![which, reason.as_str().into(), now.into(), limit.into()];
    params.extend(more);
    tx.query(sql, &params, |row| Ok((session_id(row.text(0)?)?, row.opt_text(1)?.map(str::to_owned)))).await
}

/// A grant whose identity provider says that it is no more ends even when no session was left, and is not revoked.
async fn end_grants(
    tx: &mut Tx<'_>,
    grants: &BTreeSet<&str>,
    by: &EndBy,
    reason: Reason,
    now: Millis,
) -> Result<usize, StoreError> {
    let claimed = match by {
        EndBy::Claim { grant, .. } => Some(grant.as_str()),
        _ => None,
    };
    let candidates = ids(grants.iter().copied().chain(claimed));
    if candidates.is_empty() {
        return Ok(0);
    }
    let last = tx.query(&LAST_ONES, &[(&candidates).into()], |row| Ok(row.text(0)?.to_owned())).await?;
    if last.is_empty() {
        return Ok(0);
    }
    let rows = ids(last.iter().map(String::as_str));
    if reason != Reason::RefusedByIdp {
        tx.execute(&REVOKE, &[(&rows).into(), now.into()]).await?;
    }
    let params = [(&rows).into(), reason.as_str().into(), now.into()];
    Ok(tx.query(&END, &params, |_| Ok(())).await?.len())
}

/// Puts down that the tokens of these attempts are to be revoked: their grants have ended meanwhile.
pub(super) async fn revoke_later(
    tx: &mut Tx<'_>,
    orphans: &[&Attempted],
    now: Millis,
) -> Result<(), StoreError> {
    #[derive(Serialize)]
    struct Row<'a> {
        id: &'a str,
        generation: i64,
        idp: &'a str,
        token: &'a str,
        access_token: &'a str,
    }
    let rows: Vec<Row<'_>> = orphans
        .iter()
        .filter_map(|it| {
            let new = it.renewal.as_ref()?;
            let (id, idp) = (it.id.as_str(), it.account.idp.as_str());
            let (token, access_token) = (&*new.refresh_token, &*new.access_token);
            Some(Row { id, generation: it.generation + 1, idp, token, access_token })
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    tx.execute(&REVOKE_ORPHANS, &[(&RowSet::of(rows)).into(), now.into()]).await.map(drop)
}

/// How many sessions an event would end, counted up to `limit`.
pub(crate) async fn how_many(
    tx: &mut Tx<'_>,
    account: &AccountId,
    born_by: Millis,
    limit: i64,
) -> Result<i64, StoreError> {
    let params = [account.idp.as_str().into(), account.subject.as_str().into(), born_by.into(), limit.into()];
    tx.query_one(&COUNT, &params, |row| row.int(0)).await
}

/// Ends sessions, in a transaction of its own.
pub(crate) struct End {
    pub(crate) by: EndBy,
    pub(crate) reason: Reason,
    /// Whose they are; locked first. For a login that its identity provider names, they are looked up.
    pub(crate) accounts: Vec<AccountId>,
    /// Who asked for it, if somebody did.
    pub(crate) actor: Option<Actor>,
    pub(crate) now: Millis,
    pub(crate) limit: i64,
}

impl Operation for End {
    const NAME: &'static str = "sessions.end";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = Ended;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Ended, StoreError> {
        tx.lock_accounts(&self.accounts).await?;
        let ended = end(tx, &self.by, self.reason, self.now, self.limit).await?;
        if let Some(actor) = &self.actor {
            let session = match &self.by {
                EndBy::Session(id) => Some(id),
                _ => None,
            };
            acts::ended(tx, actor, session, &self.accounts, ended.sessions, self.now).await?;
        }
        Ok(ended)
    }
}

/// Whose a session is.
pub(crate) struct AccountOf(pub(crate) SessionId);

impl Operation for AccountOf {
    const NAME: &'static str = "sessions.account_of";
    type Output = Option<AccountId>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<AccountId>, StoreError> {
        tx.query_opt(&ACCOUNT_OF, &[self.0.as_str().into()], |row| account(row.text(0)?, row.text(1)?)).await
    }
}

/// Whose the sessions of a login are, as its identity provider names it.
pub(crate) struct AccountsOfSid {
    pub(crate) idp: IdpId,
    pub(crate) sid: String,
}

impl Operation for AccountsOfSid {
    const NAME: &'static str = "sessions.accounts_of_sid";
    type Output = Vec<AccountId>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<AccountId>, StoreError> {
        let params = [self.idp.as_str().into(), (&self.sid).into()];
        tx.query(&ACCOUNTS_OF_SID, &params, |row| account(row.text(0)?, row.text(1)?)).await
    }
}

/// A grant that is refreshed no more and whose access token has run out.
pub(crate) struct RunOut {
    pub(crate) id: GrantId,
    pub(crate) account: AccountId,
    pub(crate) reason: Reason,
}

/// Finds those of an identity provider.
pub(crate) struct FindRunOut {
    pub(crate) idp: IdpId,
    pub(crate) now: Millis,
    /// One whose end was not told has run out when it came by then.
    pub(crate) issued_by: Millis,
    pub(crate) limit: i64,
}

impl Operation for FindRunOut {
    const NAME: &'static str = "sessions.find_run_out";
    type Output = Vec<RunOut>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let params = [self.idp.as_str().into(), self.now.into(), self.issued_by.into(), self.limit.into()];
        tx.query(&FIND_RUN_OUT, &params, |row| {
            Ok(RunOut {
                id: grant_id(row.text(0)?)?,
                account: account(row.text(1)?, row.text(2)?)?,
                reason: row.opt_text(3)?.and_then(Reason::named).unwrap_or(Reason::LostReply),
            })
        })
        .await
    }
}

/// Finds sessions whose time is over.
pub(crate) struct FindExpired {
    pub(crate) now: Millis,
    pub(crate) limit: i64,
}

impl Operation for FindExpired {
    const NAME: &'static str = "sessions.find_expired";
    type Output = Vec<(SessionId, AccountId)>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        tx.query(&FIND_EXPIRED, &[self.now.into(), self.limit.into()], |row| {
            Ok((session_id(row.text(0)?)?, account(row.text(1)?, row.text(2)?)?))
        })
        .await
    }
}
