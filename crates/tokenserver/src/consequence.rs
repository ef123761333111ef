//! What an account event means here: a changed password raises the generation that is asked for, a deletion retires
//! the user, in every service. Everything else leaves the rows alone.

use crate::capability::CAPABILITY;
use crate::email::email;
use crate::rules::Carried;
use crate::store::{Carry, Carrying, carry, carry_part};
use account::{AccountId, EventKind, State};
use idp::Idps;
use ledger::{CarryOut, News, Outcome};
use metrics::Counter;
use std::collections::BTreeMap;
use store::{Clock, StoreError, Tx};

/// How many live rows of one user are changed inside the ledger's transaction.
const INLINE_ROWS: i64 = 50;
/// How many rows a worker changes in one transaction.
const ROWS_A_PART: i64 = 500;

/// Carries account events into the rows of `users`.
pub struct CarryIntoRows {
    idps: Idps,
    clock: Clock,
    counters: Counters,
}

/// By the names of the field.
#[derive(Clone)]
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
            if let Some(carried) = Carried::of(event) {
                by_account.entry(&event.account).or_default().push(carried);
            }
        }
        let named = |(account, carried)| Some(Carrying { email: email(&self.idps, account)?, carried });
        by_account.into_iter().filter_map(named).collect()
    }

    /// Counts once it has committed: `done` events, and raised rows.
    fn count(&self, tx: &mut Tx<'_>, done: &[News], raised: usize) {
        let counters = self.counters.clone();
        let kinds: Vec<_> = done.iter().filter_map(Counted::of).collect();
        tx.after_commit(move || {
            for counted in kinds {
                match counted {
                    Counted::Delete => counters.delete.increment(1),
                    Counted::Reset => counters.reset.increment(1),
                    Counted::PasswordChange => counters.password_change.increment(1),
                }
            }
            counters.decr_generation.increment(raised as u64);
        });
    }
}

/// As what an event is counted.
enum Counted {
    Delete,
    Reset,
    PasswordChange,
}

impl Counted {
    fn of(news: &News) -> Option<Self> {
        match news.change.kind() {
            EventKind::Delete => (news.state == State::Deleted).then_some(Self::Delete),
            EventKind::PasswordReset => Some(Self::Reset),
            EventKind::PasswordChange | EventKind::SignOutEverywhere => Some(Self::PasswordChange),
            _ => None,
        }
    }
}

impl CarryOut for CarryIntoRows {
    fn capability(&self) -> &'static str {
        CAPABILITY
    }

    async fn carry_out(&self, tx: &mut Tx<'_>, news: &[News], inline: bool) -> Result<Outcome, StoreError> {
        let (users, now) = (self.carrying(news), self.clock.now());
        let carried = if inline {
            carry(tx, &users, INLINE_ROWS, now).await?
        } else {
            carry_part(tx, &users, ROWS_A_PART, now).await?
        };
        match carried {
            Carry::TooMany => Ok(Outcome::Deferred),
            Carry::Part { raised } => {
                self.count(tx, &[], raised);
                Ok(Outcome::Deferred)
            }
            Carry::Done { raised, .. } => {
                self.count(tx, news, raised);
                Ok(Outcome::Done)
            }
        }
    }
}
