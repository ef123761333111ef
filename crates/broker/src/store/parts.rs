//! What is written already of an event that is told in parts.

use crate::plan::{Plan, Planned};
use ledger::News;
use std::collections::{HashMap, HashSet};
use store::{Row, StoreError, Tx};

store::statements! {
    pub(super) static WRITTEN = both(
        "select client_id, part, txn from deliveries where idp = $1 and subject = $2 and version = $3");
}

/// What earlier parts wrote.
#[derive(Debug, Default)]
pub(crate) struct Written {
    rows: HashSet<(usize, String, i64)>,
    /// What all tokens of an event have in common, by the event's place in the batch.
    txns: HashMap<usize, String>,
}

impl Written {
    /// What is written of these events.
    pub(crate) async fn of(tx: &mut Tx<'_>, news: &[News]) -> Result<Self, StoreError> {
        let mut written = Self::default();
        for (of, News { account, version, .. }) in news.iter().enumerate() {
            let event = [account.idp.as_str().into(), account.subject.as_str().into(), (*version).into()];
            let read = |row: &Row<'_>| Ok((row.text(0)?.to_owned(), row.int(1)?, row.text(2)?.to_owned()));
            for (client_id, part, txn) in tx.query(&WRITTEN, &event, read).await? {
                written.rows.insert((of, client_id, part));
                written.txns.insert(of, txn);
            }
        }
        Ok(written)
    }

    /// What the tokens of that event have in common, if some are written.
    pub(crate) fn txn(&self, of: usize) -> Option<&String> {
        self.txns.get(&of)
    }

    fn has(&self, planned: &Planned) -> bool {
        let part = i64::try_from(planned.part).unwrap_or(i64::MAX);
        self.rows.contains(&(planned.of, planned.line.client_id.as_str().to_owned(), part))
    }

    /// Leaves of a plan the next part that is not written yet, of so many deliveries at most; whether that is the last.
    /// An account's logins are forgotten with the last part: until then they say who is to be told.
    pub(crate) fn next_part(&self, plan: &mut Plan, most: usize) -> bool {
        plan.deliveries.retain(|planned| !self.has(planned));
        let is_last = plan.deliveries.len() <= most;
        if !is_last {
            plan.deliveries.truncate(most);
            plan.forget.clear();
        }
        is_last
    }
}
