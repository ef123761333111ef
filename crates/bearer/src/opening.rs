//! The first use of an account here: its row is created, once.

use crate::capability::Inner;
use crate::profile::{Profile, Profiles};
use crate::store::accounts::{Create, Created};
use crate::{AccountSettings, Refusal};
use account::Millis;
use std::sync::Arc;
use std::time::Duration;
use verify::{Facts, Freshness, Judgement, Rejection, Scopes};

/// How often it begins anew because something happened to the account meanwhile.
const TRIES: usize = 3;

/// What creates accounts, where they are created.
pub(crate) struct Opening {
    pub(crate) settings: AccountSettings,
    pub(crate) profiles: Profiles,
}

/// Whether the account is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// It was created by this request.
    New,
    /// It was there.
    Known,
}

impl Inner {
    /// Takes in the account of a token. The token is asked about live; the account is keyed by what it says, and the
    /// profile must be of the same.
    pub(crate) async fn open(&self, opening: &Opening, token: &str, now: Millis) -> Result<Opened, Refusal> {
        for _ in 0..TRIES {
            let facts = self.gate.good(token, &Freshness::NOW, now).await?.facts;
            if !facts.scopes.grants(&opening.settings.scope) {
                let required = Arc::new(Scopes::new(&opening.settings.scope));
                return Err(Rejection::InsufficientScope { required }.into());
            }
            if self.knows(&facts.account()).await? {
                return Ok(Opened::Known);
            }
            let profile = opening.profiles.ask(token, &facts.subject, &self.meters).await?;
            match self.create(facts, profile, now).await? {
                Created::New => return Ok(Opened::New),
                Created::Known => return Ok(Opened::Known),
                Created::NotGood(Judgement::Ended(rejection)) => return Err(rejection.into()),
                Created::NotGood(_) => {}
            }
        }
        Err(Rejection::Unavailable { retry_after: Duration::from_secs(1) }.into())
    }

    pub(crate) async fn create(
        &self,
        facts: Arc<Facts>,
        profile: Profile,
        now: Millis,
    ) -> Result<Created, Refusal> {
        let create = Create {
            after_change: self.gate.policy().after_change(&facts.idp),
            tombstone: self.records.tombstone(&facts.account()),
            facts,
            email: profile.email,
            locale: profile.locale,
            now,
        };
        Ok(self.store.run(create).await?)
    }
}
