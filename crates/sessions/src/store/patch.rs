//! Changing what a service keeps with a session.

use super::acts::{self, Actor};
use super::create::text;
use super::rows::{Object, SessionView, object, session, session_id};
use super::{changes, find};
use crate::SessionId;
use account::{AccountId, Millis};
use serde_json::Value;
use store::{Operation, StoreError, Tx};

store::statements! {
    static READ = both("select state, version, data, expires_at from sessions where id = $1 {for_update}");
    static WRITE = both(
        "update sessions set data = $2, expires_at = $3, version = version + 1, updated_at = $4
         where id = $1 and state = 0 returning id");
    static HURRY = both(
        "update grants set next_attempt_at = $2, failures = 0, used_at = $2
         where id = (select grant_id from sessions where id = $1 and state = 0) and state < 2 and owner is null
           and refresh_token is not null");
}

/// A change.
pub(crate) struct Patch {
    pub(crate) id: SessionId,
    pub(crate) account: AccountId,
    /// Only if it is still at that version.
    pub(crate) version: Option<i64>,
    /// Members to set; those that are null are removed (RFC 7396).
    pub(crate) data: Option<Object>,
    pub(crate) expires_at: Option<Millis>,
    /// The most bytes of data.
    pub(crate) most_bytes: usize,
    pub(crate) now: Millis,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Patched {
    /// It is so now.
    Done(Box<SessionView>),
    /// It has ended, or was never there.
    NotThere,
    /// It is at another version.
    AtVersion(i64),
    /// That would be more than is kept.
    TooMuch,
}

impl Operation for Patch {
    const NAME: &'static str = "sessions.patch";
    type Output = Patched;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Patched, StoreError> {
        tx.lock_accounts(std::slice::from_ref(&self.account)).await?;
        let id = self.id.as_str();
        let found = tx
            .query_opt(&READ, &[id.into()], |row| {
                Ok((row.int(0)?, row.int(1)?, object(row.text(2)?)?, Millis::new(row.int(3)?)))
            })
            .await?;
        let Some((0, version, mut data, mut expires_at)) = found else { return Ok(Patched::NotThere) };
        if self.version.is_some_and(|expected| expected != version) {
            return Ok(Patched::AtVersion(version));
        }
        merge(&mut data, self.data.as_ref());
        expires_at = self.expires_at.unwrap_or(expires_at);
        let data = text(&data);
        if data.len() > self.most_bytes {
            return Ok(Patched::TooMuch);
        }
        let params = [id.into(), (&data).into(), expires_at.into(), self.now.into()];
        let written = tx.query_opt(&WRITE, &params, |row| session_id(row.text(0)?)).await?;
        let Some(written) = written else { return Ok(Patched::NotThere) };
        changes::append(tx, &[&written], self.now).await?;
        Ok(Patched::Done(Box::new(tx.query_one(&find::SHOW, &[id.into()], session).await?)))
    }
}

/// The members of a patch, one level deep: what is nested is replaced whole.
fn merge(data: &mut Object, patch: Option<&Object>) {
    for (name, value) in patch.into_iter().flatten() {
        match value {
            Value::Null => drop(data.remove(name)),
            value => drop(data.insert(name.clone(), value.clone())),
        }
    }
}

/// Makes a session's grant due now; false when there is nothing to refresh, or somebody is at it.
pub(crate) struct Hurry {
    pub(crate) session: SessionId,
    /// Who asked for it.
    pub(crate) actor: Actor,
    pub(crate) now: Millis,
}

impl Operation for Hurry {
    const NAME: &'static str = "sessions.hurry";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = bool;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        let is_due = tx.execute(&HURRY, &[self.session.as_str().into(), self.now.into()]).await? == 1;
        if is_due {
            acts::refreshed(tx, &self.actor, &self.session, self.now).await?;
        }
        Ok(is_due)
    }
}
