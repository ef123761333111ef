//! Creating a session, and with the first of a login its grant.

use super::changes;
use super::codes::{self, CodeName, Lost};
use super::rows::Object;
use crate::rules::{EndsOn, is_refused};
use crate::upstream::{Original, TokenType};
use crate::{GrantId, Reason, SessionId};
use account::{AccountId, Mark, Millis, State};
use serde::Serialize;
use std::sync::Arc;
use store::{Operation, RowSet, StoreError, Tx};

store::statements! {
    // How the account stands, under its lock; of one that was forgotten, as its tombstone says.
    static STANDING = both(
        "select a.mark, a.state, t.deleted_at from (select 1 as one) as one
         left join accounts a on a.idp = $1 and a.subject = $2
         left join tombstones t on t.account = $3");
    static GRANT = both(
        "insert into grants (id, idp, subject, sid, born_at, state, reason, generation, rotations, access_token,
           refresh_token, dpop_key, token_type, scope, claims, original, issued_at, expires_at, next_attempt_at, fence, failures, unknowns,
           used_at, created_at, updated_at)
         select r.id, r.idp, r.subject, r.sid, r.born_at, r.state, r.reason, 0, 0, r.access_token, r.refresh_token,
           r.dpop_key, r.token_type, r.scope, r.claims, r.original, $2, r.expires_at, r.next_attempt_at, 0, 0, 0, $2, $2, $2
         from {rows $1: id text, idp text, subject text, sid text, born_at bigint, state smallint, reason text,
           access_token text, refresh_token text, dpop_key text, token_type text, scope text, claims text, original text, expires_at bigint,
           next_attempt_at bigint} as r
         where true on conflict do nothing");
    // The grant of another session, for one more.
    static SHARED = both(
        "select born_at, sid from grants where id = $1 and idp = $2 and subject = $3 and state < 3 {for_update}");
    static SESSION = both(
        "insert into sessions (id, grant_id, idp, subject, sid, born_at, state, claims, data, version, created_at,
           updated_at, expires_at)
         select r.id, r.grant_id, r.idp, r.subject, r.sid, r.born_at, 0, r.claims, r.data, 1, $2, $2, r.expires_at
         from {rows $1: id text, grant_id text, idp text, subject text, sid text, born_at bigint, claims text, data text,
           expires_at bigint} as r
         where true on conflict do nothing");
    static USER = both(
        "insert into session_users (idp, subject, failures, next_fetch_at) values ($1, $2, 0, $3)
         on conflict (idp, subject) do update set next_fetch_at = excluded.next_fetch_at
           where session_users.failures = 0 and coalesce(session_users.fetched_at, 0) <= $4
             and (session_users.next_fetch_at is null or session_users.next_fetch_at > $3)");
}

/// A session to be.
#[derive(Clone, Debug)]
pub(crate) struct Create {
    pub(crate) id: SessionId,
    pub(crate) account: AccountId,
    /// The account's hash in the table of tombstones.
    pub(crate) tombstone: String,
    pub(crate) sid: Option<String>,
    /// When the user proved who they are; else now.
    pub(crate) born_at: Millis,
    pub(crate) grant: NewGrant,
    pub(crate) claims: Object,
    pub(crate) data: Object,
    pub(crate) expires_at: Millis,
    pub(crate) ends_on: Arc<[EndsOn]>,
    /// Whether the user is looked at now, unless that was done since then.
    pub(crate) look_since: Option<Millis>,
    /// The code that it comes of, if it comes of one: nothing else may.
    pub(crate) code: Option<CodeName>,
    pub(crate) now: Millis,
}

/// By what it is refreshed.
#[derive(Clone, Debug)]
pub(crate) enum NewGrant {
    /// Nothing.
    None,
    /// The same as others.
    Shared(GrantId),
    /// Tokens of its own.
    Own(Box<Tokens>),
}

/// Sealed tokens, for the grant of that name.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    pub(crate) id: GrantId,
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
    /// The key that they are bound to, if they are.
    pub(crate) dpop_key: Option<String>,
    pub(crate) token_type: TokenType,
    pub(crate) scope: Option<String>,
    pub(crate) claims: Option<Object>,
    pub(crate) original: Option<Original>,
    pub(crate) expires_at: Option<Millis>,
    pub(crate) next_attempt_at: Option<Millis>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Created {
    /// It is there.
    Made,
    /// By what is known of the account it could not live.
    Refused(Reason),
    /// There is no such grant of that account, or it has ended.
    NoSuchGrant,
    /// Another session has come of the code, or nothing comes of it any more.
    CodeUsed,
}

impl Operation for Create {
    const NAME: &'static str = "sessions.create";
    /// Run again, it finds the rows that it made.
    const RESOLVES_UNKNOWN: bool = true;
    type Output = Created;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Created, StoreError> {
        tx.lock_accounts(std::slice::from_ref(&self.account)).await?;
        let shared = match &self.grant {
            NewGrant::Shared(grant) => match self.shared(tx, grant).await? {
                Some(found) => Some(found),
                None => return Ok(Created::NoSuchGrant),
            },
            _ => None,
        };
        let (born_at, sid) = shared.unwrap_or_else(|| (self.born_at, self.sid.clone()));
        let (mark, state) = self.standing(tx).await?;
        if let Some(reason) = is_refused(born_at, mark, state, &self.ends_on) {
            self.lose_code(tx).await?;
            return Ok(Created::Refused(reason));
        }
        if let Some(code) = &self.code
            && !codes::done(tx, code, &self.id).await?
        {
            return Ok(Created::CodeUsed);
        }
        if let NewGrant::Own(tokens) = &self.grant {
            self.insert_grant(tx, tokens).await?;
        }
        if self.insert_session(tx, born_at, sid.as_deref()).await? {
            changes::append(tx, &[&self.id], self.now).await?;
        }
        if let (Some(since), NewGrant::Own(_)) = (self.look_since, &self.grant) {
            let (idp, subject) = (self.account.idp.as_str(), self.account.subject.as_str());
            tx.execute(&USER, &[idp.into(), subject.into(), self.now.into(), since.into()]).await?;
        }
        Ok(Created::Made)
    }
}

impl Create {
    /// What came of a code for a login that cannot be is nobody's: it is revoked.
    async fn lose_code(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let (Some(code), NewGrant::Own(tokens)) = (&self.code, &self.grant) else { return Ok(()) };
        let lost = Lost {
            grant: &tokens.id,
            refresh_token: tokens.refresh_token.as_deref(),
            access_token: &tokens.access_token,
        };
        codes::lose(tx, code, Some(lost), self.now).await
    }

    async fn standing(&self, tx: &mut Tx<'_>) -> Result<(Mark, State), StoreError> {
        let (idp, subject) = (self.account.idp.as_str(), self.account.subject.as_str());
        tx.query_one(&STANDING, &[idp.into(), subject.into(), (&self.tombstone).into()], |row| {
            let at =
                |column| Ok::<_, StoreError>(Mark::at(Millis::new(row.opt_int(column)?.unwrap_or_default())));
            // One that was deleted and forgotten may come back: only what is older is refused.
            Ok(match row.opt_int(1)? {
                Some(state) => (at(0)?, State::from_code(state)),
                None => (at(2)?, State::Active),
            })
        })
        .await
    }

    async fn shared(
        &self,
        tx: &mut Tx<'_>,
        grant: &GrantId,
    ) -> Result<Option<(Millis, Option<String>)>, StoreError> {
        let (idp, subject) = (self.account.idp.as_str(), self.account.subject.as_str());
        tx.query_opt(&SHARED, &[grant.as_str().into(), idp.into(), subject.into()], |row| {
            Ok((Millis::new(row.int(0)?), row.opt_text(1)?.map(str::to_owned)))
        })
        .await
    }

    async fn insert_grant(&self, tx: &mut Tx<'_>, tokens: &Tokens) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            id: &'a str,
            idp: &'a str,
            subject: &'a str,
            sid: Option<&'a str>,
            born_at: Millis,
            state: i64,
            reason: Option<&'a str>,
            access_token: &'a str,
            refresh_token: Option<&'a str>,
            dpop_key: Option<&'a str>,
            token_type: &'static str,
            scope: Option<&'a str>,
            claims: Option<String>,
            original: Option<String>,
            expires_at: Option<Millis>,
            next_attempt_at: Option<Millis>,
        }
        // What cannot be refreshed is kept for as long as it lives, and never tried.
        let (state, reason) = match tokens.refresh_token {
            Some(_) => (0, None),
            None => (2, Some(Reason::NoRefreshToken.as_str())),
        };
        let row = Row {
            id: tokens.id.as_str(),
            idp: self.account.idp.as_str(),
            subject: self.account.subject.as_str(),
            sid: self.sid.as_deref(),
            born_at: self.born_at,
            state,
            reason,
            access_token: &tokens.access_token,
            refresh_token: tokens.refresh_token.as_deref(),
            dpop_key: tokens.dpop_key.as_deref(),
            token_type: tokens.token_type.as_str(),
            scope: tokens.scope.as_deref(),
            claims: tokens.claims.as_ref().map(text),
            original: tokens.original.as_ref().map(|it| serde_json::to_string(it).unwrap_or_default()),
            expires_at: tokens.expires_at,
            next_attempt_at: tokens.next_attempt_at.filter(|_| state == 0),
        };
        tx.execute(&GRANT, &[(&RowSet::of([row])).into(), self.now.into()]).await.map(drop)
    }

    async fn insert_session(
        &self,
        tx: &mut Tx<'_>,
        born_at: Millis,
        sid: Option<&str>,
    ) -> Result<bool, StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            id: &'a str,
            grant_id: Option<&'a str>,
            idp: &'a str,
            subject: &'a str,
            sid: Option<&'a str>,
            born_at: Millis,
            claims: String,
            data: String,
            expires_at: Millis,
        }
        let row = Row {
            id: self.id.as_str(),
            grant_id: match &self.grant {
                NewGrant::None => None,
                NewGrant::Shared(grant) => Some(grant.as_str()),
                NewGrant::Own(tokens) => Some(tokens.id.as_str()),
            },
            idp: self.account.idp.as_str(),
            subject: self.account.subject.as_str(),
            sid,
            born_at,
            claims: text(&self.claims),
            data: text(&self.data),
            expires_at: self.expires_at,
        };
        Ok(tx.execute(&SESSION, &[(&RowSet::of([row])).into(), self.now.into()]).await? == 1)
    }
}

pub(crate) fn text(object: &Object) -> String {
    serde_json::to_string(object).expect("a JSON object is JSON")
}
