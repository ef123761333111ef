//! Settling: what came of attempts, many in one transaction. Every outcome is conditional on its claim.

use super::end::{EndBy, end, revoke_later};

use super::rows::{Object, session_id};
use super::{changes, create, ids, users};
use crate::rules::{GrantState, Next};
use crate::upstream::TokenType;
use crate::{GrantId, Reason, meters};
use account::{AccountId, Millis};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use store::{Operation, RowSet, StoreError, Tx};

store::statements! {
    pub(super) static RENEW = both(concat!(
        "update grants set generation = grants.generation + 1, rotations = grants.rotations + r.rotated,
           access_token = r.access_token, refresh_token = r.refresh_token,
           dpop_key = coalesce(r.dpop_key, grants.dpop_key), token_type = coalesce(r.token_type, grants.token_type),
           scope = coalesce(r.scope, grants.scope),
           claims = coalesce(r.claims, grants.claims), id_token = r.id_token, verify_at = r.verify_at, issued_at = $2,
           expires_at = r.expires_at,
           next_attempt_at = r.next_attempt_at, state = 0, reason = null, owner = null, presented_at = null, failures = 0,
           unknowns = 0, updated_at = $2
         from ",
        few!("{rows $1: id text, fence bigint, generation bigint, rotated bigint, access_token text, refresh_token text,
           dpop_key text, token_type text, scope text, claims text, id_token text, verify_at bigint, expires_at bigint,
           next_attempt_at bigint}"),
        " as r
         where grants.id = r.id and grants.fence = r.fence and grants.generation = r.generation and grants.state < 3
           and grants.owner is not null
         returning grants.id"));
    // The reply that was given up as lost came after all, and nobody has presented anything since.
    static RENEW_LATE = both(concat!(
        "update grants set generation = grants.generation + 1, rotations = grants.rotations + r.rotated,
           access_token = r.access_token, refresh_token = r.refresh_token,
           dpop_key = coalesce(r.dpop_key, grants.dpop_key), token_type = coalesce(r.token_type, grants.token_type),
           scope = coalesce(r.scope, grants.scope),
           claims = coalesce(r.claims, grants.claims), id_token = r.id_token, verify_at = r.verify_at, issued_at = $2,
           expires_at = r.expires_at,
           next_attempt_at = r.next_attempt_at, state = 0, reason = null, presented_at = null, failures = 0, unknowns = 0,
           updated_at = $2
         from ",
        few!("{rows $1: id text, fence bigint, generation bigint, rotated bigint, access_token text, refresh_token text,
           dpop_key text, token_type text, scope text, claims text, id_token text, verify_at bigint, expires_at bigint,
           next_attempt_at bigint}"),
        " as r
         where grants.id = r.id and grants.fence = r.fence and grants.generation = r.generation and grants.owner is null
           and (grants.state = 1 or (grants.state = 2 and grants.reason = 'lost_reply'))
         returning grants.id"));
    static ENDED = both(concat!(
        "select g.id from ",
        few!("{rows $1: id text}"),
        " as r join grants g on g.id = r.id where g.state = 3"));
    pub(super) static PUT_OFF = both(concat!(
        "update grants set state = r.state, reason = r.reason, failures = r.failures, unknowns = r.unknowns,
           presented_at = r.presented_at, next_attempt_at = r.next_attempt_at, owner = null,
           error_class = coalesce(r.error_class, grants.error_class), error_text = coalesce(r.error_text, grants.error_text),
           error_at = case when r.error_class is null then grants.error_at else $2 end, updated_at = $2
         from ",
        few!("{rows $1: id text, fence bigint, state smallint, reason text, failures integer, unknowns integer,
           presented_at bigint, next_attempt_at bigint, error_class text, error_text text}"),
        " as r
         where grants.id = r.id and grants.fence = r.fence and grants.state < 3 and grants.owner is not null
         returning grants.id"));
    pub(super) static SESSIONS_OF = both(concat!(
        "update sessions set version = sessions.version + 1, updated_at = $2
         from ",
        few!("{rows $1: id text}"),
        " as r where sessions.grant_id = r.id and sessions.state = 0 returning sessions.id"));
    pub(super) static TROUBLE = both(
        "insert into session_idps (idp, error_class, error_text, error_at) values ($1, $2, $3, $4)
         on conflict (idp) do update set error_class = excluded.error_class, error_text = excluded.error_text,
           error_at = excluded.error_at where session_idps.error_at <= excluded.error_at");
}

/// One attempt and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Attempted {
    pub(crate) id: GrantId,
    pub(crate) account: AccountId,
    pub(crate) fence: i64,
    pub(crate) generation: i64,
    pub(crate) next: Next,
    /// The new tokens, where there are any.
    pub(crate) renewal: Option<Renewal>,
    pub(crate) failures: u32,
    pub(crate) unknowns: u32,
    /// Since when it is in doubt, if it is.
    pub(crate) presented_at: Option<Millis>,
    /// No access token lived when it was made.
    pub(crate) had_lapsed: bool,
    /// What went wrong: its kind, and in words.
    pub(crate) error: Option<(Cow<'static, str>, String)>,
}

/// New tokens, sealed for the next generation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Renewal {
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    /// The key that they are bound to, if they are.
    pub(crate) dpop_key: Option<String>,
    #[serde(default)]
    pub(crate) token_type: Option<TokenType>,
    pub(crate) rotated: bool,
    pub(crate) scope: Option<String>,
    /// Those of the ID token, where they are others than before.
    pub(crate) claims: Option<Object>,
    /// One that cannot be verified yet …
    #[serde(default)]
    pub(crate) id_token: Option<String>,
    /// … and when that is tried again.
    #[serde(default)]
    pub(crate) verify_at: Option<Millis>,
    pub(crate) expires_at: Option<Millis>,
}

/// Settles attempts.
pub(crate) struct Settle {
    pub(crate) attempts: Vec<Attempted>,
    pub(crate) now: Millis,
}

/// What settling led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Renewed in time.
    pub(crate) renewed: usize,
    /// Renewed by a reply that had been given up.
    pub(crate) late: usize,
    /// Of no use any more: somebody else has renewed the grant, or it is gone.
    pub(crate) dropped: usize,
    /// Brought tokens for a grant that had ended meanwhile: they are revoked.
    pub(crate) orphaned: usize,
    /// To be refreshed no more.
    pub(crate) retired: usize,
    /// Sessions that ended by it.
    pub(crate) ended: usize,
}

impl Settled {
    /// Both together.
    pub(crate) fn add(&mut self, other: &Self) {
        self.renewed += other.renewed;
        self.late += other.late;
        self.dropped += other.dropped;
        self.orphaned += other.orphaned;
        self.retired += other.retired;
        self.ended += other.ended;
    }
}

impl Operation for Settle {
    const NAME: &'static str = "sessions.settle";
    /// A second run finds the claims used; what it would revoke is there already.
    const RESOLVES_UNKNOWN: bool = true;
    type Output = Settled;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Settled, StoreError> {
        let accounts: Vec<AccountId> = self.attempts.iter().map(|it| it.account.clone()).collect();
        tx.lock_accounts(&accounts).await?;
        let mut settled = self.renew(tx).await?;
        settled.retired = put_off(tx, &self.attempts, self.now).await?;
        settled.ended = self.end(tx).await?;
        self.note_trouble(tx).await?;
        Ok(settled)
    }
}

#[derive(Serialize)]
struct Renewed<'a> {
    id: &'a str,
    fence: i64,
    generation: i64,
    rotated: i64,
    access_token: &'a str,
    refresh_token: &'a str,
    dpop_key: Option<&'a str>,
    token_type: Option<&'static str>,
    scope: Option<&'a str>,
    claims: Option<String>,
    id_token: Option<&'a str>,
    verify_at: Option<Millis>,
    expires_at: Option<Millis>,
    next_attempt_at: Millis,
}

/// As its row is to be when it is put off, retired, or left in doubt.
#[derive(Serialize)]
struct PutOff<'a> {
    id: &'a str,
    fence: i64,
    state: i64,
    reason: Option<&'static str>,
    failures: u32,
    unknowns: u32,
    presented_at: Option<Millis>,
    next_attempt_at: Option<Millis>,
    error_class: Option<&'a str>,
    error_text: Option<&'a str>,
}

impl Attempted {
    /// What came of it, in a word.
    pub(crate) fn outcome(&self) -> &str {
        match (&self.renewal, &self.error) {
            (Some(_), _) => "renewed",
            (None, Some((class, _))) => class,
            (None, None) => "unsent",
        }
    }

    fn renewed(&self) -> Option<Renewed<'_>> {
        let (Next::Renewed(next_attempt_at), Some(new)) = (self.next, &self.renewal) else { return None };
        Some(Renewed {
            id: self.id.as_str(),
            fence: self.fence,
            generation: self.generation,
            rotated: i64::from(new.rotated),
            access_token: &new.access_token,
            refresh_token: &new.refresh_token,
            dpop_key: new.dpop_key.as_deref(),
            token_type: new.token_type.map(TokenType::as_str),
            scope: new.scope.as_deref(),
            claims: new.claims.as_ref().map(create::text),
            id_token: new.id_token.as_deref(),
            verify_at: new.verify_at,
            expires_at: new.expires_at,
            next_attempt_at,
        })
    }

    fn put_off(&self) -> Option<PutOff<'_>> {
        let (state, reason, next_attempt_at) = match self.next {
            Next::Again(at) => (GrantState::Live, None, Some(at)),
            Next::Doubtful(at) => (GrantState::Suspect, None, Some(at)),
            Next::Rest => (GrantState::Live, None, None),
            Next::Retired(reason) => (GrantState::Retired, Some(reason.as_str()), None),
            Next::Renewed(_) | Next::Ended(_) => return None,
        };
        let in_doubt = matches!(state, GrantState::Suspect | GrantState::Retired);
        Some(PutOff {
            id: self.id.as_str(),
            fence: self.fence,
            state: state.code(),
            reason,
            failures: self.failures,
            unknowns: self.unknowns,
            presented_at: self.presented_at.filter(|_| in_doubt),
            next_attempt_at,
            error_class: self.error.as_ref().map(|(class, _)| &**class),
            error_text: self.error.as_ref().map(|(_, text)| text.as_str()),
        })
    }
}

/// Puts off, retires, or leaves in doubt, in a transaction that has the accounts' locks; how many were retired.
pub(super) async fn put_off(
    tx: &mut Tx<'_>,
    attempts: &[Attempted],
    now: Millis,
) -> Result<usize, StoreError> {
    let rows: Vec<PutOff<'_>> = attempts.iter().filter_map(Attempted::put_off).collect();
    if rows.is_empty() {
        return Ok(0);
    }
    let rows = RowSet::of(rows);
    let params = [(&rows).into(), now.into()];
    let put_off = tx.query(&PUT_OFF, &params, |row| Ok(row.text(0)?.to_owned())).await?;
    let is_there = |it: &&Attempted| put_off.iter().any(|id| id == it.id.as_str());
    let retired: Vec<(&str, &'static str)> = attempts
        .iter()
        .filter(is_there)
        .filter_map(|it| match it.next {
            Next::Retired(reason) => Some((it.id.as_str(), reason.as_str())),
            _ => None,
        })
        .collect();
    if retired.is_empty() {
        return Ok(0);
    }
    tell(tx, ids(retired.iter().map(|(id, _)| *id)), now).await?;
    let (count, reasons) = (retired.len(), retired.into_iter().map(|(_, reason)| reason).collect::<Vec<_>>());
    tx.after_commit(move || reasons.into_iter().for_each(|reason| meters::retired(reason, 1)));
    Ok(count)
}

/// Those who watch hear of what has changed with these grants by each of their sessions.
pub(super) async fn tell(tx: &mut Tx<'_>, grants: RowSet, now: Millis) -> Result<(), StoreError> {
    let params = [(&grants).into(), now.into()];
    let sessions = tx.query(&SESSIONS_OF, &params, |row| session_id(row.text(0)?)).await?;
    changes::append(tx, &sessions.iter().collect::<Vec<_>>(), now).await
}

impl Settle {
    async fn renew(&self, tx: &mut Tx<'_>) -> Result<Settled, StoreError> {
        let mut missing: BTreeMap<&str, &Attempted> =
            self.attempts.iter().filter(|it| it.renewed().is_some()).map(|it| (it.id.as_str(), it)).collect();
        let mut settled = Settled::default();
        if missing.is_empty() {
            return Ok(settled);
        }
        let mut renewed = BTreeSet::new();
        for (sql, count) in [(&RENEW, &mut settled.renewed), (&RENEW_LATE, &mut settled.late)] {
            if missing.is_empty() {
                break;
            }
            let rows = RowSet::of(missing.values().filter_map(|it| it.renewed()));
            let params = [(&rows).into(), self.now.into()];
            for id in tx.query(sql, &params, |row| Ok(row.text(0)?.to_owned())).await? {
                if let Some(it) = missing.remove(id.as_str()) {
                    *count += 1;
                    renewed.insert(it.id.as_str());
                }
            }
        }
        self.tell_of_claims(tx, &renewed).await?;
        self.wake_users(tx, &renewed).await?;
        settled.orphaned = self.revoke_orphans(tx, &missing).await?;
        settled.dropped = missing.len() - settled.orphaned;
        Ok(settled)
    }

    /// Those who watch hear of a refresh only where it changed what they see.
    async fn tell_of_claims(&self, tx: &mut Tx<'_>, renewed: &BTreeSet<&str>) -> Result<(), StoreError> {
        let has_new = |it: &&Attempted| it.renewal.as_ref().is_some_and(|new| new.claims.is_some());
        let changed: Vec<&str> = self
            .attempts
            .iter()
            .filter(has_new)
            .map(|it| it.id.as_str())
            .filter(|id| renewed.contains(id))
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        tell(tx, ids(changed), self.now).await
    }

    /// There is something to ask about users by again.
    async fn wake_users(&self, tx: &mut Tx<'_>, renewed: &BTreeSet<&str>) -> Result<(), StoreError> {
        let woken = self.attempts.iter().filter(|it| it.had_lapsed && renewed.contains(it.id.as_str()));
        let rows = users::accounts(woken.map(|it| &it.account));
        if rows.is_empty() {
            return Ok(());
        }
        tx.execute(&users::WAKE, &[(&rows).into(), self.now.into()]).await.map(drop)
    }

    /// Tokens for a grant that ended while they were asked for: nobody needs them. Those for a grant that lives are
    /// dropped, and nothing of its family is revoked.
    async fn revoke_orphans(
        &self,
        tx: &mut Tx<'_>,
        missing: &BTreeMap<&str, &Attempted>,
    ) -> Result<usize, StoreError> {
        if missing.is_empty() {
            return Ok(0);
        }
        let rows = ids(missing.keys().copied());
        let ended = tx.query(&ENDED, &[(&rows).into()], |row| Ok(row.text(0)?.to_owned())).await?;
        let orphans: Vec<&Attempted> =
            ended.iter().filter_map(|id| missing.get(id.as_str()).copied()).collect();
        revoke_later(tx, &orphans, self.now).await?;
        Ok(orphans.len())
    }

    async fn end(&self, tx: &mut Tx<'_>) -> Result<usize, StoreError> {
        let mut count = 0;
        for it in &self.attempts {
            if let Next::Ended(reason) = it.next {
                let by = EndBy::Claim { grant: it.id.clone(), fence: it.fence };
                count += end(tx, &by, reason, self.now, i64::MAX).await?.sessions;
            }
        }
        Ok(count)
    }

    /// The last thing that went wrong with each identity provider.
    async fn note_trouble(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let mut last: BTreeMap<&str, &(Cow<'static, str>, String)> = BTreeMap::new();
        for it in &self.attempts {
            // A grant that is no more is no trouble of its identity provider.
            if let Some(error) = it.error.as_ref().filter(|_| it.next != Next::Ended(Reason::RefusedByIdp)) {
                last.insert(it.account.idp.as_str(), error);
            }
        }
        for (idp, (class, text)) in last {
            tx.execute(&TROUBLE, &[idp.into(), (&**class).into(), text.into(), self.now.into()]).await?;
        }
        Ok(())
    }
}
