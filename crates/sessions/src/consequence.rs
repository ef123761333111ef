//! What an account event means here: the account's logins end, up to the time of the event.

use crate::Settings;
use crate::rules::cutoff;
use crate::store::changes::APPENDED;
use crate::store::end::{EndBy, end, how_many};
use crate::worker::REVOCATIONS;
use arc_swap::ArcSwap;
use ledger::{CarryOut, News, Outcome};
use std::sync::Arc;
use store::{Store, StoreError, Tx};

/// The capability's name, as effect rows carry it.
pub const CAPABILITY: &str = "sessions";
/// How many sessions of one event end inside the ledger's transaction.
const MOST_INLINE: i64 = 50;
/// How many end in one transaction of a worker.
const LARGEST_PART: i64 = 500;

/// Ends logins, inside the ledger's transaction or right after it. Until then the mark and the state refuse them.
#[derive(Clone)]
pub struct EndLogins {
    pub(crate) settings: Arc<ArcSwap<Settings>>,
    pub(crate) store: Store,
}

impl CarryOut for EndLogins {
    fn capability(&self) -> &'static str {
        CAPABILITY
    }

    async fn carry_out(&self, tx: &mut Tx<'_>, news: &[News], inline: bool) -> Result<Outcome, StoreError> {
        for it in news {
            if self.one(tx, it, inline).await? == Outcome::Deferred {
                return Ok(Outcome::Deferred);
            }
        }
        Ok(Outcome::Done)
    }
}

impl EndLogins {
    async fn one(&self, tx: &mut Tx<'_>, news: &News, inline: bool) -> Result<Outcome, StoreError> {
        let ends_on = self.settings.load().ends_on(&news.account.idp);
        let Some(cutoff) = cutoff(&news.change, news.at, news.state, &ends_on) else {
            return Ok(Outcome::Done);
        };
        let most = if inline { MOST_INLINE } else { LARGEST_PART };
        let there = how_many(tx, &news.account, cutoff.born_by, most + 1).await?;
        if there == 0 {
            return Ok(Outcome::Done);
        }
        if inline && there > most {
            return Ok(Outcome::Deferred);
        }
        let by = EndBy::Account { account: news.account.clone(), born_by: cutoff.born_by };
        end(tx, &by, cutoff.reason, self.store.clock().now(), most).await?;
        let store = self.store.clone();
        tx.after_commit(move || {
            store.signals().send(APPENDED);
            store.signals().send(REVOCATIONS);
        });
        Ok(if there > most { Outcome::Deferred } else { Outcome::Done })
    }
}
