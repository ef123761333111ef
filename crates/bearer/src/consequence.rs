//! What an account event means here: an account that is gone is forgotten, a new e-mail address or locale is kept. What it
//! means for tokens needs nothing done: the mark and the state refuse them. The node that took the event in need not wait
//! for the feed to tell it so.

use crate::capability::CAPABILITY;
use crate::store::accounts::{forget, update};
use account::{Change, State};
use ledger::{CarryOut, News, Outcome};
use store::{StoreError, Tx};
use verify::{Record, Verifier};

/// Keeps the accounts that came here themselves, and what is remembered of tokens, in step with their events.
pub(crate) struct KeepAccounts {
    pub(crate) verifier: Verifier,
}

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
        self.raise_marks(tx, news);
        Ok(Outcome::Done)
    }
}

impl KeepAccounts {
    /// Once it is committed: what is remembered of these accounts' tokens is judged by it.
    fn raise_marks(&self, tx: &mut Tx<'_>, news: &[News]) {
        let verifier = self.verifier.clone();
        let record = |it: &News| Record { version: it.version, mark: it.mark, state: it.state };
        let changed: Vec<_> = news.iter().map(|it| (it.account.clone(), record(it), it.at)).collect();
        tx.after_commit(move || {
            for (account, record, at) in &changed {
                verifier.account_changed_here(account, *record, *at);
            }
        });
    }
}
