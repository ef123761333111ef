//! Consequences inside the ledger's transaction: what is small is done with the event, the rest is owed.

use crate::consequence::{Consequence, News, Outcome};
use crate::effects::account_of;
use account::{AccountId, Millis};
use futures::FutureExt;
use parking_lot::Mutex;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use store::{Row, RowSet, StoreError, Tx};

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

/// The capabilities whose part could not be carried out inside the ledger's transaction: it was begun anew, and they are
/// owed.
#[derive(Clone, Default)]
pub(crate) struct InTrouble(Arc<Mutex<BTreeSet<&'static str>>>);

impl InTrouble {
    /// Takes one in; whether it was not there.
    fn insert(&self, capability: &'static str) -> bool {
        self.0.lock().insert(capability)
    }

    fn contains(&self, capability: &str) -> bool {
        self.0.lock().contains(capability)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().len()
    }
}

/// Carries out at once what this node can of each capability's part, and writes an effect row for the rest. Whether
/// anything was left for the workers. Whatever goes wrong in a part, a panic included, the event itself commits, for the
/// mark is the enforcement: such a part ends the transaction, and is owed when it is begun anew.
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
    in_trouble: &InTrouble,
    now: Millis,
) -> Result<bool, StoreError> {
    if news.is_empty() {
        return Ok(false);
    }
    let capabilities = capabilities(tx, news).await?;
    let mut effects = Vec::new();
    for (capability, behind) in &capabilities {
        let in_order = in_order(news, behind);
        let here = consequences.iter().find(|it| it.capability() == capability);
        let here = here.filter(|_| !in_order.is_empty() && !in_trouble.contains(capability));
        if let Some(consequence) = here {
            carry_out(tx, &**consequence, &in_order, in_trouble).await?;
        }
        let done = here.is_some();
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
    tx.execute(&OWE, &[(&RowSet::of(effects.iter())).into(), now.into()]).await.map(|_| true)
}

async fn capabilities(tx: &mut Tx<'_>, news: &[News]) -> Result<Behind, StoreError> {
    let accounts: HashSet<&AccountId> = news.iter().map(|news| &news.account).collect();
    let accounts = RowSet::of(accounts);
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

/// Carries one capability's part out. An error ends the transaction; unless it is the transaction's own, the capability is
/// in trouble from then on.
async fn carry_out(
    tx: &mut Tx<'_>,
    consequence: &dyn Consequence,
    news: &[News],
    in_trouble: &InTrouble,
) -> Result<(), StoreError> {
    let capability = consequence.capability();
    let outcome = AssertUnwindSafe(consequence.apply(tx, news, true)).catch_unwind().await;
    match outcome.unwrap_or_else(|panic| Err(StoreError::panicked(capability, &*panic))) {
        Ok(Outcome::Done) => Ok(()),
        Ok(Outcome::Deferred) => {
            in_trouble.insert(capability);
            Err(StoreError::Undone("a consequence is too large for the ledger's transaction"))
        }
        Err(error) => {
            if !error.is_outage() && in_trouble.insert(capability) {
                tracing::error!(capability, %error, "a consequence failed; its effects stay pending and are retried");
                metrics::counter!("ledger.effects_failed", "capability" => capability).increment(1);
            }
            Err(error)
        }
    }
}
