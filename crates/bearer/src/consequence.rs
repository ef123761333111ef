//! What an account event means here: an account that is gone is forgotten, a new e-mail address or locale is kept. What it
//! means for tokens needs nothing done: the mark and the state refuse them.

use crate::capability::CAPABILITY;
use crate::store::accounts::{forget, update};
use account::{Change, State};
use ledger::{CarryOut, News, Outcome};
use store::{StoreError, Tx};

/// Keeps the accounts that came here themselves in step with their events.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeepAccounts;

impl CarryOut for KeepAccounts {
    fn capability(&self) -> &'static str {
        CAPABILITY
    }

    /// One row an event at most.
    async fn carry_out(&self, tx: &mut Tx<'_>, news: &[News], _: bool) -> Result<Outcome, StoreError> {
        for event in news {
            match &event.change {
                _ if event.state == State::Deleted => forget(tx, &event.account).await?,
                Change::ProfileChange(profile) if profile.email.is_some() || profile.locale.is_some() => {
                    let (email, locale) = (profile.email.as_deref(), profile.locale.as_deref());
                    update(tx, &event.account, email, locale, event.at).await?;
                }
                Change::PrimaryEmailChange { email: Some(email) } => {
                    update(tx, &event.account, Some(email), None, event.at).await?;
                }
                _ => {}
            }
        }
        Ok(Outcome::Done)
    }
}
