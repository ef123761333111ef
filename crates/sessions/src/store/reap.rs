//! Claims whose owner is not heard of any more, and claims of our own that we do not know of.

use super::claim::{Claimed, claimed, claimed_columns};
use super::ids;
use super::rows::account;
use super::settle::{Attempted, put_off};
use crate::rules::{Next, Outcome, Policy, abandoned};
use account::{AccountId, IdpId, Millis};
use std::sync::Arc;
use store::{Operation, StoreError, Tx};

const MOST: i64 = 500;

store::statements! {
    pub(super) static ABANDONED = both(concat!(
        "select ", claimed_columns!(), " from grants
         where owner is not null and state < 3
           and not exists (select 1 from session_refreshers r where r.owner = grants.owner and r.alive_until > $1)
         order by owner limit $2 {for_update_skip_locked}"));
    pub(super) static WHOSE = both(
        "select distinct abandoned.idp, abandoned.subject from (
           select idp, subject from grants
           where owner is not null and state < 3
             and not exists (select 1 from session_refreshers r where r.owner = grants.owner and r.alive_until > $1)
           order by owner limit $2) as abandoned");
    // They were never sent: nothing is in doubt that was not before.
    static RELEASE = both(
        "update grants set owner = null, presented_at = case when state = 0 then null else presented_at end
         where owner = $1 and id not in (select r.id from {rows $2: id text} as r)");
    static FORGET_OLD = both("delete from session_refreshers where alive_until <= $1");
}

/// What holds for each identity provider.
pub(crate) type Policies = Arc<dyn Fn(&IdpId) -> Policy + Send + Sync>;

/// Whose grants are claimed by owners who are not heard of.
pub(crate) struct FindAbandoned(pub(crate) Millis);

impl Operation for FindAbandoned {
    const NAME: &'static str = "sessions.find_abandoned";
    type Output = Vec<AccountId>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<AccountId>, StoreError> {
        tx.query(&WHOSE, &[self.0.into(), MOST.into()], |row| account(row.text(0)?, row.text(1)?)).await
    }
}

/// Takes claims away from owners who are not heard of: their refresh tokens were perhaps presented, perhaps not.
pub(crate) struct Reap {
    /// Whose grants those are; locked first, as far as they are free. Others' wait for the next turn.
    pub(crate) accounts: Vec<AccountId>,
    pub(crate) policies: Policies,
    pub(crate) now: Millis,
}

/// How that went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reaped {
    /// To be presented again.
    pub(crate) again: usize,
    /// Not to be.
    pub(crate) retired: usize,
}

impl Operation for Reap {
    const NAME: &'static str = "sessions.reap";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = Reaped;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Reaped, StoreError> {
        let mut reaped = Reaped::default();
        if self.accounts.is_empty() {
            // For a day, so that a process that sleeps finds out whose claims were taken from it.
            tx.execute(&FORGET_OLD, &[self.now.minus(std::time::Duration::from_hours(24)).into()]).await?;
            return Ok(reaped);
        }
        // Whose account somebody else is at waits for the next turn, and keeps nobody else waiting.
        let ours = tx.try_lock_accounts(&self.accounts).await?;
        let abandoned = tx.query(&ABANDONED, &[self.now.into(), MOST.into()], claimed).await?;
        let attempts: Vec<Attempted> =
            abandoned.iter().filter(|it| ours.contains(&it.account)).map(|it| self.given_up(it)).collect();
        for it in &attempts {
            match it.next {
                Next::Retired(_) => reaped.retired += 1,
                _ => reaped.again += 1,
            }
        }
        put_off(tx, &attempts, self.now).await?;
        Ok(reaped)
    }
}

impl Reap {
    fn given_up(&self, it: &Claimed) -> Attempted {
        let policy = (self.policies)(&it.account.idp);
        let outcome = Outcome::Unknown;
        Attempted {
            id: it.id.clone(),
            account: it.account.clone(),
            fence: it.fence,
            generation: it.generation,
            next: abandoned(&it.presented, &policy, self.now),
            renewal: None,
            failures: it.presented.failures,
            unknowns: it.presented.history.unknowns.saturating_add(1),
            presented_at: Some(it.presented.first_at),
            had_lapsed: false,
            error: Some((outcome.class().into(), "the process that refreshed it is gone".to_owned())),
        }
    }
}

/// Frees claims that bear our name and that we do not hold: the answer to their claiming was lost.
pub(crate) struct ReleaseStrays {
    pub(crate) owner: String,
    pub(crate) held: Vec<String>,
}

impl Operation for ReleaseStrays {
    const NAME: &'static str = "sessions.release_strays";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = u64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        let held = ids(self.held.iter().map(String::as_str));
        tx.execute(&RELEASE, &[(&self.owner).into(), (&held).into()]).await
    }
}
