//! What an account event means here: a changed password raises the generation that is asked for, a deletion retires
//! the user, in every service. Everything else leaves the rows alone.

use crate::capability::CAPABILITY;
use crate::rules::Carried;
use crate::store::{Carry, Carrying, carry};
use account::{AccountId, EventKind};
use futures::future::BoxFuture;
use idp::Idps;
use ledger::{Consequence, News, Outcome};
use metrics::Counter;
use std::collections::BTreeMap;
use store::{Clock, StoreError, Tx};

/// How many live rows of one user are changed inside the ledger's transaction; and at most ever.
const INLINE_ROWS: i64 = 50;
const ALL_ROWS: i64 = 100_000;

/// Carries account events into the rows of `users`.
pub struct CarryIntoRows {
    idps: Idps,
    clock: Clock,
    counters: Counters,
}

struct Counters {
    delete: Counter,
    reset: Counter,
    password_change: Counter,
    decr_generation: Counter,
}

impl CarryIntoRows {
    /// For the accounts of these identity providers.
    pub fn new(idps: Idps, clock: Clock) -> Self {
        let counters = Counters {
            delete: metrics::counter!("delete"),
            reset: metrics::counter!("reset"),
            password_change: metrics::counter!("passwordChange"),
            decr_generation: metrics::counter!("decr_generation"),
        };
        Self { idps, clock, counters }
    }

    /// The events that mean something, by account.
    fn carrying(&self, news: &[News]) -> Vec<Carrying> {
        let mut by_account: BTreeMap<&AccountId, Vec<Carried>> = BTreeMap::new();
        for event in news {
            if let Some(carried) = Carried::of(&event.change, event.at) {
                by_account.entry(&event.account).or_default().push(carried);
            }
        }
        let named = |(account, carried)| Some(Carrying { email: email(&self.idps, account)?, carried });
        by_account.into_iter().filter_map(named).collect()
    }

    fn note(&self, news: &[News], raised: usize) {
        for event in news {
            match event.change.kind() {
                EventKind::Delete => self.counters.delete.increment(1),
                EventKind::PasswordReset => self.counters.reset.increment(1),
                EventKind::PasswordChange | EventKind::SignOutEverywhere => {
                    self.counters.password_change.increment(1);
                }
                _ => {}
            }
        }
        self.counters.decr_generation.increment(raised as u64);
    }
}

/// The account as the rows name it: `subject@domain`. `None` for one of an identity provider that is not configured.
pub(crate) fn email(idps: &Idps, account: &AccountId) -> Option<String> {
    let domain = idps.by_id(&account.idp)?.account_domain();
    Some(format!("{}@{domain}", account.subject))
}

impl Consequence for CarryIntoRows {
    fn capability(&self) -> &'static str {
        CAPABILITY
    }

    fn apply<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        news: &'a [News],
        inline: bool,
    ) -> BoxFuture<'a, Result<Outcome, StoreError>> {
        Box::pin(async move {
            let users = self.carrying(news);
            let most_rows = if inline { INLINE_ROWS } else { ALL_ROWS };
            match carry(tx, &users, most_rows, self.clock.now()).await? {
                Carry::TooMany => Ok(Outcome::Deferred),
                Carry::Done { raised, .. } => {
                    self.note(news, raised);
                    Ok(Outcome::Done)
                }
            }
        })
    }
}
