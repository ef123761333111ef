//! Consequences inside the ledger's transaction: what is small is done with the event, the rest is owed.

use crate::consequence::{Consequence, News, Outcome};
use crate::effects::account_of;
use crate::tombstones::json;
use account::{AccountId, Millis};
use futures::FutureExt;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use store::{Row, StoreError, Tx};

store::statements! {
    // Every capability, with those of the accounts to whose earlier events it has not attended yet.
    pub(crate) static CAPABILITIES = per_engine {
        sqlite:
            "select o.idp, o.subject, c.name from capabilities c
             left join (select distinct e.capability, e.idp, e.subject from {rows $1: idp text, subject text} as r
                        join effects e on e.idp = r.idp and e.subject = r.subject where e.state = 0) as o
               on o.capability = c.name
             order by c.name",
        // By the index, account by account, however little is known of the table's size.
        postgres:
            "select distinct r.idp, r.subject, c.name
             from capabilities c left join ({rows $1: idp text, subject text} as r cross join lateral
               (select e.capability from effects e
                where e.idp = r.idp and e.subject = r.subject and e.state = 0 limit 1000) as o)
               on o.capability = c.name
             order by c.name",
    };
    static OWE = both(
        "insert into effects (idp, subject, version, capability, event, state, attempts, next_attempt_at)
         select r.idp, r.subject, r.version, r.capability, r.event, 0, 0, $2
         from {each $1: idp text, subject text, version bigint, capability text, event bigint} as r");
}

/// The capabilities there are, whichever node has them, and the accounts each is behind with.
type Behind = BTreeMap<String, HashSet<AccountId>>;

#[derive(Serialize)]
struct Effect<'a> {
    idp: &'a str,
    subject: &'a str,
    version: i64,
    capability: &'a str,
    /// The number of its event, where it is found by that.
    event: Option<i64>,
}

/// Carries out at once what this node can of each capability's part, and writes an effect row for the rest. Whether
/// anything was left for the workers.
///
/// Invariant: each account's effects are carried out in the order of its versions. So while an earlier one is owed, a
/// later one is owed too; both are decided under the account's lock.
///
/// `numbers` are those of the news, in their order.
pub(crate) async fn carry_out_or_owe(
    tx: &mut Tx<'_>,
    consequences: &[Arc<dyn Consequence>],
    news: &[News],
    numbers: &[Option<i64>],
    now: Millis,
) -> Result<bool, StoreError> {
    if news.is_empty() {
        return Ok(false);
    }
    let capabilities = capabilities(tx, news).await?;
    let mut effects = Vec::new();
    for (capability, behind) in &capabilities {
        let in_order = in_order(news, behind);
        let done = match consequences.iter().find(|it| it.capability() == capability) {
            Some(consequence) if !in_order.is_empty() => carry_out(tx, &**consequence, &in_order).await?,
            _ => false,
        };
        let owed = news.iter().zip(numbers).filter(|(news, _)| !done || behind.contains(&news.account));
        effects.extend(owed.map(|(news, number)| Effect {
            idp: news.account.idp.as_str(),
            subject: news.account.subject.as_str(),
            version: news.version,
            capability,
            event: *number,
        }));
    }
    if effects.is_empty() {
        return Ok(false);
    }
    tx.execute(&OWE, &[(&json(effects.iter())).into(), now.into()]).await.map(|_| true)
}

async fn capabilities(tx: &mut Tx<'_>, news: &[News]) -> Result<Behind, StoreError> {
    let accounts: HashSet<&AccountId> = news.iter().map(|news| &news.account).collect();
    let accounts = json(accounts.into_iter());
    let read = |row: &Row<'_>| {
        let account = row.opt_text(0)?.is_some().then(|| account_of(row)).transpose()?;
        Ok((row.text(2)?.to_owned(), account))
    };
    let mut capabilities = Behind::new();
    for (capability, account) in tx.query(&CAPABILITIES, &[(&accounts).into()], read).await? {
        capabilities.entry(capability).or_default().extend(account);
    }
    Ok(capabilities)
}

/// The news of accounts that nothing earlier is owed to.
fn in_order<'a>(news: &'a [News], behind: &HashSet<AccountId>) -> Cow<'a, [News]> {
    if behind.is_empty() {
        return Cow::Borrowed(news);
    }
    Cow::Owned(news.iter().filter(|news| !behind.contains(&news.account)).cloned().collect())
}

/// Carries one capability's part out under a savepoint. Whatever goes wrong there, a panic included, the event itself
/// commits: the mark is the enforcement.
async fn carry_out(
    tx: &mut Tx<'_>,
    consequence: &dyn Consequence,
    news: &[News],
) -> Result<bool, StoreError> {
    let capability = consequence.capability();
    tx.savepoint().await?;
    let outcome = AssertUnwindSafe(consequence.apply(tx, news, true)).catch_unwind().await;
    match outcome.unwrap_or_else(|panic| Err(StoreError::panicked(capability, &*panic))) {
        Ok(Outcome::Done) => tx.release().await.map(|()| true),
        Ok(Outcome::Deferred) => tx.undo().await.map(|()| false),
        // The transaction itself is lost, or must be run again.
        Err(error) if error.is_outage() => Err(error),
        Err(error) => {
            tracing::error!(capability, %error, "a consequence failed; its effects stay pending and are retried");
            tx.undo().await?;
            let failed = metrics::counter!("ledger.effects_failed", "capability" => capability);
            tx.after_commit(move || failed.increment(1));
            Ok(false)
        }
    }
}
