//! An account takes its leave of one relying party.

use super::record::{Line, NewRow, busy, insert};
use super::rows::About;
use super::subjects::unsubscribed;
use crate::consequence::{SINCE, time_ordered};
use crate::plan::untold;
use crate::snapshot::Snapshots;
use crate::vocabulary::{Telling, disconnected};
use crate::{ClientId, RelyingParty};
use account::{AccountId, Millis};
use std::collections::BTreeSet;
use store::{Operation, StoreError, Tx};

store::statements! {
    pub(super) static DISCONNECT = both("delete from rp_logins where idp = $1 and subject = $2 and client_id = $3");
}

/// Forgets that an account logged in to a relying party: it is told that the sessions there have ended, in words that
/// have it, and hears no more. False when the account never had.
pub(crate) struct Disconnect {
    pub(crate) account: AccountId,
    pub(crate) client_id: ClientId,
    pub(crate) snapshots: Snapshots,
    pub(crate) now: Millis,
}

impl Operation for Disconnect {
    const NAME: &'static str = "broker.disconnect";
    type Output = bool;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        tx.lock_accounts(std::slice::from_ref(&self.account)).await?;
        let Self { account, client_id, .. } = self;
        let row = [account.idp.as_str().into(), account.subject.as_str().into(), client_id.as_str().into()];
        if tx.execute(&DISCONNECT, &row).await? == 0 {
            return Ok(false);
        }
        let registry = self.snapshots.current(tx).await?;
        if let Some(rp) = registry.get(client_id)
            && let Some(telling) = self.telling(rp)
            && !self.has_removed_it(tx, rp).await?
        {
            self.tell(tx, &telling).await?;
        }
        Ok(true)
    }
}

impl Disconnect {
    /// What the relying party is told, if it has a word for it, wants to hear it, and can be reached.
    fn telling(&self, rp: &std::sync::Arc<RelyingParty>) -> Option<Telling> {
        let told = disconnected(rp.config.vocabulary, self.now)?;
        let hears = rp.wants(told.event_type) && rp.trusts(&self.account.idp) && untold(Some(rp)).is_none();
        hears.then_some(told)
    }

    async fn has_removed_it(&self, tx: &mut Tx<'_>, rp: &RelyingParty) -> Result<bool, StoreError> {
        if rp.config.stream.is_none() {
            return Ok(false);
        }
        let removed = unsubscribed(tx, &[&self.account].into(), self.now).await?;
        Ok(removed.get(&self.account).is_some_and(|by| by.contains(&self.client_id)))
    }

    async fn tell(&self, tx: &mut Tx<'_>, telling: &Telling) -> Result<(), StoreError> {
        let line = Line { client_id: self.client_id.clone(), about: About::Account(self.account.clone()) };
        let waits = !busy(tx, &BTreeSet::from([&line])).await?.is_empty();
        let (jti, txn) = (time_ordered(self.now), time_ordered(self.now));
        let row = NewRow {
            client_id: self.client_id.as_str(),
            idp: self.account.idp.as_str(),
            subject: self.account.subject.as_str(),
            // It is no event of the account's life, whose versions are above zero.
            version: -tx.next_fence().await?,
            part: 0,
            kind: "disconnect",
            event_type: telling.event_type.uri(),
            payload: &telling.payload,
            jti: &jti,
            txn: &txn,
            iat: self.now.seconds(),
            event_at: self.now,
            created_at: self.now,
            state: 0,
            head: i64::from(!waits),
            due_at: self.now.minus(SINCE),
            owner: None,
            fence: 0,
            reason: None,
            settled_at: None,
        };
        insert(tx, &[row]).await.map(drop)
    }
}
