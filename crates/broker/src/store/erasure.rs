//! Forgetting who was deleted, when everybody has confirmed it.
//!
//! A deletion that was not taken is kept as long as any delivery is: it can be replayed, and names whom it is about. Its
//! receipt stays in any case, and names nobody.

use super::rows::About;
use account::{AccountId, Millis};
use store::{Operation, StoreError, Tx};

/// So many accounts at once, so that nobody waits for them.
const CHUNK: i64 = 100;

store::statements! {
    // Nothing is on its way, and each deletion was taken, or there was never anybody to take it.
    pub(super) static CONFIRMED = both(
        "select distinct d.idp, d.subject from deliveries d
         where d.kind = 'delete' and d.state <> 0 and d.settled_at < $1
           and not exists (select 1 from deliveries o where o.idp = d.idp and o.subject = d.subject
             and (o.state = 0 or o.settled_at >= $1
               or (o.kind = 'delete' and o.state <> 1 and coalesce(o.reason, '') <> 'no endpoint')))
         limit $2");
    pub(super) static ERASE = both(
        "delete from deliveries where idp = $1 and subject = $2
           and not exists (select 1 from deliveries o where o.idp = $1 and o.subject = $2
             and (o.state = 0 or o.settled_at >= $3
               or (o.kind = 'delete' and o.state <> 1 and coalesce(o.reason, '') <> 'no endpoint')))");
}

/// Finds accounts whose deletion everybody had confirmed before then.
pub(crate) struct FindConfirmed(pub(crate) Millis);

impl Operation for FindConfirmed {
    const NAME: &'static str = "broker.find_confirmed";
    type Output = Vec<AccountId>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<AccountId>, StoreError> {
        let read = |row: &store::Row<'_>| About::from_columns(row.text(0)?, row.text(1)?);
        let found = tx.query(&CONFIRMED, &[self.0.into(), CHUNK.into()], read).await?;
        Ok(found.iter().filter_map(About::account).cloned().collect())
    }
}

/// Erases every delivery about deleted accounts; what has changed since they were found is left alone.
pub(crate) struct Erase {
    pub(crate) accounts: Vec<AccountId>,
    pub(crate) before: Millis,
}

impl Operation for Erase {
    const NAME: &'static str = "broker.erase";
    const RESOLVES_UNKNOWN: bool = true;
    /// How many were erased.
    type Output = u64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        tx.lock_accounts(&self.accounts).await?;
        let mut erased = 0;
        for AccountId { idp, subject } in &self.accounts {
            let row = [idp.as_str().into(), subject.as_str().into(), self.before.into()];
            erased += tx.execute(&ERASE, &row).await?;
        }
        Ok(erased)
    }
}
