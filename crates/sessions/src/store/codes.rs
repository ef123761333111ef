//! Codes that were presented: each once. A row says so before anything is sent, and what came of it after.

use super::ids;
use super::rows::{grant_id, session_id};
use crate::upstream::TokenType;
use crate::{GrantId, SessionId};
use account::{IdpId, Millis};
use store::{Lease, Operation, Row, StoreError, Tx};

store::statements! {
    static BEGIN = both(
        "insert into session_codes (idp, hash, request, attempt, state, presented_at) values ($1, $2, $3, $4, 0, $5)
         on conflict (hash) do nothing");
    static FIND = both(
        "select request, attempt, state, presented_at, session_id, grant_id, access_token, refresh_token, id_token, dpop_key,
           scope, issued_at, expires_at, token_type
         from session_codes where hash = $1 {for_update}");
    static TAKE_BACK = both("delete from session_codes where hash = $1 and attempt = $2 and state = 0");
    static KEEP = both(
        "update session_codes set state = 1, grant_id = $3, access_token = $4, refresh_token = $5, id_token = $6,
           dpop_key = $7, scope = $8, issued_at = $9, expires_at = $10, token_type = $11
         where hash = $1 and attempt = $2 and state = 0");
    static LOSE = both(
        "update session_codes set state = 3, access_token = null, refresh_token = null, id_token = null, dpop_key = null
         where hash = $1 and state < 2");
    // Of two who go on with the same tokens one makes the session.
    static DONE = both(
        "update session_codes set state = 2, session_id = $2, access_token = null, refresh_token = null, id_token = null,
           dpop_key = null
         where hash = $1 and (state < 2 or session_id = $2)");
    static REVOKE = both(
        "insert into session_revocations (grant_id, generation, idp, token, access_token, state, failures, next_attempt_at,
           fence, created_at)
         values ($1, 0, $2, $3, $4, 0, 0, $5, 0, $5) on conflict (grant_id, generation) do nothing");
    static OLD = both("select hash from session_codes where presented_at < $1 order by presented_at limit $2");
    static REVOKE_OLD = both(
        "insert into session_revocations (grant_id, generation, idp, token, access_token, state, failures, next_attempt_at,
           fence, created_at)
         select c.grant_id, 0, c.idp, c.refresh_token, c.access_token, 0, 0, $2, 0, $2
         from {rows $1: id text} as r join session_codes c on c.hash = r.id
         where c.state = 1 and (c.refresh_token is not null or c.expires_at is null or c.expires_at > $2)
         on conflict (grant_id, generation) do nothing");
    static DROP_OLD = both("delete from session_codes where hash in (select r.id from {rows $1: id text} as r)");
}

/// A code, as rows name it: by a keyed hash, which is its identity provider's too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CodeName {
    pub(crate) idp: IdpId,
    pub(crate) hash: String,
}

/// What came for a code, sealed for the grant of that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) grant: GrantId,
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
    pub(crate) id_token: Option<String>,
    pub(crate) dpop_key: Option<String>,
    pub(crate) token_type: TokenType,
    pub(crate) scope: Option<String>,
    pub(crate) issued_at: Millis,
    pub(crate) expires_at: Option<Millis>,
}

/// How a code stands that was presented before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing has come of it yet.
    Presented {
        /// Since when.
        at: Millis,
    },
    /// Tokens came, and who has logged in is not known yet.
    Kept(Box<Given>),
    /// A session.
    Session(SessionId),
    /// Nothing comes of it any more.
    Lost,
}

/// Whether a code may be presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It may, now, by whoever asked.
    Now,
    /// It was: with the same request, and this is what came of it.
    Before(Fate),
    /// It was, with another request.
    Otherwise,
}

/// Puts down that a code is presented.
#[derive(Clone)]
pub(crate) struct BeginCode {
    pub(crate) code: CodeName,
    /// A keyed hash of all that is presented with it.
    pub(crate) request: String,
    pub(crate) attempt: String,
    pub(crate) now: Millis,
}

impl Operation for BeginCode {
    const NAME: &'static str = "sessions.begin_code";
    /// Run again, it finds its own row.
    const RESOLVES_UNKNOWN: bool = true;
    type Output = Begun;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Begun, StoreError> {
        let CodeName { idp, hash } = &self.code;
        let params = [
            idp.as_str().into(),
            hash.into(),
            (&self.request).into(),
            (&self.attempt).into(),
            self.now.into(),
        ];
        if tx.execute(&BEGIN, &params).await? == 1 {
            return Ok(Begun::Now);
        }
        tx.query_one(&FIND, &[hash.into()], |row| self.found(row)).await
    }
}

impl BeginCode {
    fn found(&self, row: &Row<'_>) -> Result<Begun, StoreError> {
        let fate = fate(row)?;
        let is_own = row.text(1)? == self.attempt && matches!(fate, Fate::Presented { .. });
        Ok(match () {
            () if is_own => Begun::Now,
            () if row.text(0)? == self.request => Begun::Before(fate),
            () => Begun::Otherwise,
        })
    }
}

fn fate(row: &Row<'_>) -> Result<Fate, StoreError> {
    let text = |column| Ok::<_, StoreError>(row.opt_text(column)?.map(str::to_owned));
    Ok(match (row.int(2)?, row.opt_text(4)?, row.opt_text(5)?, row.opt_text(6)?) {
        (0, ..) => Fate::Presented { at: Millis::new(row.int(3)?) },
        (1, _, Some(grant), Some(access_token)) => Fate::Kept(Box::new(Given {
            grant: grant_id(grant)?,
            access_token: access_token.to_owned(),
            refresh_token: text(7)?,
            id_token: text(8)?,
            dpop_key: text(9)?,
            token_type: TokenType::kept(row.opt_text(13)?, row.opt_text(9)?.is_some()),
            scope: text(10)?,
            issued_at: Millis::new(row.opt_int(11)?.unwrap_or_default()),
            expires_at: row.opt_int(12)?.map(Millis::new),
        })),
        (2, Some(session), ..) => Fate::Session(session_id(session)?),
        _ => Fate::Lost,
    })
}

/// A code was not taken: it may come again.
#[derive(Clone)]
pub(crate) struct TakeCodeBack {
    pub(crate) code: CodeName,
    pub(crate) attempt: String,
}

impl Operation for TakeCodeBack {
    const NAME: &'static str = "sessions.take_code_back";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let params = [(&self.code.hash).into(), (&self.attempt).into()];
        tx.execute(&TAKE_BACK, &params).await.map(drop)
    }
}

/// Keeps what came for a code until it is known who has logged in.
#[derive(Clone)]
pub(crate) struct KeepGiven {
    pub(crate) code: CodeName,
    pub(crate) attempt: String,
    pub(crate) given: Given,
}

impl Operation for KeepGiven {
    const NAME: &'static str = "sessions.keep_given";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let given = &self.given;
        let params = [
            (&self.code.hash).into(),
            (&self.attempt).into(),
            given.grant.as_str().into(),
            (&given.access_token).into(),
            given.refresh_token.as_deref().into(),
            given.id_token.as_deref().into(),
            given.dpop_key.as_deref().into(),
            given.scope.as_deref().into(),
            given.issued_at.into(),
            given.expires_at.into(),
            given.token_type.as_str().into(),
        ];
        tx.execute(&KEEP, &params).await.map(drop)
    }
}

/// Nothing comes of a code any more; tokens that came are revoked.
#[derive(Clone)]
pub(crate) struct LoseCode {
    pub(crate) code: CodeName,
    pub(crate) given: Option<Given>,
    pub(crate) now: Millis,
}

impl Operation for LoseCode {
    const NAME: &'static str = "sessions.lose_code";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let tokens = self.given.as_ref().map(|it| Lost {
            grant: &it.grant,
            refresh_token: it.refresh_token.as_deref(),
            access_token: &it.access_token,
        });
        lose(tx, &self.code, tokens, self.now).await
    }
}

/// Sealed tokens that came for a code and are nobody's.
pub(super) struct Lost<'a> {
    pub(super) grant: &'a GrantId,
    pub(super) refresh_token: Option<&'a str>,
    pub(super) access_token: &'a str,
}

/// The same, inside another's transaction.
pub(super) async fn lose(
    tx: &mut Tx<'_>,
    code: &CodeName,
    tokens: Option<Lost<'_>>,
    now: Millis,
) -> Result<(), StoreError> {
    if let Some(Lost { grant, refresh_token, access_token }) = tokens {
        let (grant, idp) = (grant.as_str(), code.idp.as_str());
        let params = [grant.into(), idp.into(), refresh_token.into(), access_token.into(), now.into()];
        tx.execute(&REVOKE, &params).await?;
    }
    tx.execute(&LOSE, &[(&code.hash).into()]).await.map(drop)
}

/// A session comes of a code, if nothing has come of it yet.
pub(super) async fn done(tx: &mut Tx<'_>, code: &CodeName, session: &SessionId) -> Result<bool, StoreError> {
    let params = [(&code.hash).into(), session.as_str().into()];
    Ok(tx.execute(&DONE, &params).await? == 1)
}

/// Forgets a chunk of codes that were presented before; what was kept for one and never used is revoked.
pub(crate) struct DropCodes {
    pub(crate) before: Millis,
    pub(crate) lease: Lease,
    pub(crate) now: Millis,
}

impl Operation for DropCodes {
    const NAME: &'static str = "sessions.drop_codes";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = u64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        if !self.lease.still_held(tx, self.now).await? {
            return Ok(0);
        }
        let params = [self.before.into(), super::retention::CHUNK.into()];
        let old = tx.query(&OLD, &params, |row| row.text(0).map(str::to_owned)).await?;
        if old.is_empty() {
            return Ok(0);
        }
        let rows = ids(old.iter().map(String::as_str));
        tx.execute(&REVOKE_OLD, &[(&rows).into(), self.now.into()]).await?;
        tx.execute(&DROP_OLD, &[(&rows).into()]).await
    }
}
