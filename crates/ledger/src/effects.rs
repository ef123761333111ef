//! What is still owed: effects that were not carried out inside the ledger's transaction, carried out by workers.

use crate::consequence::{Consequence, News, Outcome};
use crate::{Ledger, Worker};
use account::{AccountId, Change, IdpId, Mark, Millis, State, Subject};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use store::{Operation, Row, StoreError, Tx};
use utoipa::ToSchema;
use work::{Pace, Tick, work_through};

/// Signalled when an effect was left for the workers.
pub(crate) const TOPIC: &str = "ledger.effects";
const BATCH: i64 = 100;
const PACE: Pace = Pace::every(Duration::from_secs(5));

store::statements! {
    // The oldest pending effect of each account goes first; a later one waits for it.
    static DUE = both(
        "select e.idp, e.subject, e.version from effects e
         where e.state = 0 and e.capability = $1 and e.next_attempt_at <= $2
           and not exists (select 1 from effects o where o.state = 0 and o.capability = e.capability
             and o.idp = e.idp and o.subject = e.subject and o.version < e.version)
         order by e.next_attempt_at limit $3");
    static OWED = per_engine {
        sqlite:
            "select v.idp, v.subject, v.version, v.at, v.change, v.mark, v.state, e.attempts
             from effects e left join events v on v.position = e.event
             where e.idp = $1 and e.subject = $2 and e.version = $3 and e.capability = $4 and e.state = 0",
        postgres:
            "select v.idp, v.subject, v.version, v.at, v.change, v.mark, v.state, e.attempts
             from effects e left join events v on v.idp = e.idp and v.subject = e.subject and v.version = e.version
             where e.idp = $1 and e.subject = $2 and e.version = $3 and e.capability = $4 and e.state = 0",
    };
    static SETTLE = both(
        "delete from effects where idp = $1 and subject = $2 and version = $3 and capability = $4 and state = 0");
    static POSTPONE = both(
        "update effects set attempts = attempts + 1, next_attempt_at = $5, error = $6
         where idp = $1 and subject = $2 and version = $3 and capability = $4 and state = 0");
    static COUNT = both(
        "select capability, count(*), min(next_attempt_at), max(attempts) from effects where state = 0
         group by capability order by capability");
}

/// How much of a capability's work is outstanding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PendingEffects {
    /// Whose.
    pub capability: String,
    /// How many effects.
    pub count: i64,
    /// When the first is due, milliseconds since the epoch.
    #[schema(value_type = i64)]
    pub first_due_at: Millis,
    /// The most often that one of them was tried.
    pub most_attempts: i64,
}

impl Ledger {
    /// What is outstanding, by capability; a capability that is up to date is not listed.
    pub async fn pending_effects(&self) -> Result<Vec<PendingEffects>, StoreError> {
        self.store.scan(Count).await
    }

    /// The worker that carries out this node's share of what is owed.
    pub fn effects_worker(&self) -> Worker {
        let ledger = self.clone();
        Worker::new("ledger.effects", None, move |stop| {
            let wake = ledger.store.signals().listen(TOPIC);
            work_through(stop, wake, PACE, move || ledger.clone().carry_out_due())
        })
    }

    /// One turn: every effect that is due, each in a transaction of its own. One that is done in parts has one part done
    /// in each turn.
    pub async fn carry_out_due(self) -> Tick {
        let mut tick = Tick::Idle;
        for consequence in self.consequences.iter() {
            let due = Due { capability: consequence.capability(), now: self.store.clock().now() };
            match self.store.scan(due).await {
                Ok(due) => {
                    for (account, version) in due {
                        tick = Tick::More;
                        if self.carry_out_one(consequence, account, version).await == Tick::Failed {
                            return Tick::Failed;
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot look for outstanding effects");
                    return Tick::Failed;
                }
            }
        }
        tick
    }

    /// Carries one out or puts it off. When neither can be done, the same would come again at once: so it has failed.
    async fn carry_out_one(
        &self,
        consequence: &Arc<dyn Consequence>,
        account: AccountId,
        version: i64,
    ) -> Tick {
        let owed = Owed { account, version, capability: consequence.capability() };
        let carry_out = CarryOut { owed: owed.clone(), consequence: Arc::clone(consequence) };
        let Err(error) = self.store.run(carry_out).await else { return Tick::More };
        tracing::error!(capability = owed.capability, %error, "an effect failed; it is tried again");
        let now = self.store.clock().now();
        match self.store.run(Postpone { owed, now, error: error.to_string() }).await {
            Ok(()) => Tick::More,
            Err(error) => {
                tracing::warn!(%error, "a failed effect could not be postponed");
                Tick::Failed
            }
        }
    }
}

#[derive(Clone)]
struct Owed {
    account: AccountId,
    version: i64,
    capability: &'static str,
}

impl Owed {
    fn key(&self) -> [store::Value<'_>; 4] {
        let Self { account, version, capability } = self;
        [
            account.idp.as_str().into(),
            account.subject.as_str().into(),
            (*version).into(),
            (*capability).into(),
        ]
    }
}

struct Count;

impl Operation for Count {
    const NAME: &'static str = "effects.count";
    type Output = Vec<PendingEffects>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        tx.query(&COUNT, &[], |row| {
            Ok(PendingEffects {
                capability: row.text(0)?.to_owned(),
                count: row.int(1)?,
                first_due_at: Millis::new(row.int(2)?),
                most_attempts: row.int(3)?,
            })
        })
        .await
    }
}

struct Due {
    capability: &'static str,
    now: Millis,
}

impl Operation for Due {
    const NAME: &'static str = "effects.due";
    type Output = Vec<(AccountId, i64)>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        tx.query(&DUE, &[self.capability.into(), self.now.into(), BATCH.into()], |row| {
            Ok((account_of(row)?, row.int(2)?))
        })
        .await
    }
}

/// Carries an effect out and settles it, in one transaction.
struct CarryOut {
    owed: Owed,
    consequence: Arc<dyn Consequence>,
}

impl Operation for CarryOut {
    const NAME: &'static str = "effects.carry_out";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        tx.lock_accounts(std::slice::from_ref(&self.owed.account)).await?;
        // Another node may have been quicker: then there is nothing owed any more. An event that is gone is another thing:
        // its effect would come again at once, so it has failed.
        let Some(news) = tx.query_opt(&OWED, &self.owed.key(), news_of).await? else { return Ok(()) };
        match self.consequence.apply(tx, std::slice::from_ref(&news), false).await? {
            Outcome::Done => tx.execute(&SETTLE, &self.owed.key()).await.map(drop),
            Outcome::Deferred => Ok(()), // a part of it is done: it stays due
        }
    }
}

struct Postpone {
    owed: Owed,
    now: Millis,
    error: String,
}

impl Operation for Postpone {
    const NAME: &'static str = "effects.postpone";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let attempts = tx.query_opt(&OWED, &self.owed.key(), |row| row.int(7)).await?.unwrap_or(0);
        let doubled = Duration::from_secs(1) * (1 << attempts.clamp(0, 8));
        let next = self.now.plus(doubled.min(Duration::from_mins(5)));
        let [idp, subject, version, capability] = self.owed.key();
        tx.execute(&POSTPONE, &[idp, subject, version, capability, next.into(), (&self.error).into()])
            .await
            .map(drop)
    }
}

pub(crate) fn account_of(row: &Row<'_>) -> Result<AccountId, StoreError> {
    let invalid = |_| StoreError::Statement { reason: "an account's id in the store is invalid".into() };
    Ok(AccountId::new(
        IdpId::new(row.text(0)?).map_err(invalid)?,
        Subject::new(row.text(1)?).map_err(invalid)?,
    ))
}

fn news_of(row: &Row<'_>) -> Result<News, StoreError> {
    if row.opt_text(0)?.is_none() {
        return Err(StoreError::Statement { reason: "the event of an effect is not in the store".into() });
    }
    Ok(News {
        account: account_of(row)?,
        version: row.int(2)?,
        at: Millis::new(row.int(3)?),
        change: change_of(row.text(4)?)?,
        mark: Mark::at(Millis::new(row.int(5)?)),
        state: State::from_code(row.int(6)?),
    })
}

pub(crate) fn change_of(text: &str) -> Result<Change, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Statement {
        reason: format!("an event in the store does not parse: {error}"),
    })
}
