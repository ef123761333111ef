//! The first use of an account here: its row is created, once.

use crate::Refusal;
use crate::capability::Inner;
use crate::check::{Checked, Needs};
use crate::profile::Profile;
use crate::rules::Judgement;
use crate::store::accounts::{Create, Created, Find};
use crate::{AccountSettings, profile::Profiles};
use account::Millis;
use verify::Freshness;

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
        let needs =
            Needs { scopes: std::slice::from_ref(&opening.settings.scope), freshness: Freshness::NOW };
        for _ in 0..TRIES {
            let checked = self.check(token, &needs, now).await?;
            let account = checked.facts.account();
            if self.store.read(&Find(&account)).await?.is_some() {
                return Ok(Opened::Known);
            }
            let profile = opening.profiles.ask(token, &account.subject, &self.meters).await?;
            match self.create(checked, profile, now).await? {
                Created::New => return Ok(Opened::New),
                Created::Known => return Ok(Opened::Known),
                Created::NotGood(Judgement::Refused(refusal)) => return Err(refusal),
                Created::NotGood(_) => {}
            }
        }
        Err(Refusal::Unavailable { retry_after: std::time::Duration::from_secs(1) })
    }

    pub(crate) async fn create(
        &self,
        checked: Checked,
        profile: Profile,
        now: Millis,
    ) -> Result<Created, Refusal> {
        let Checked { facts, asked, .. } = checked;
        let create = Create {
            below_mark: self.settings.below_mark(&facts.idp),
            tombstone: self.records.tombstone(&facts.account()),
            facts,
            asked,
            email: profile.email,
            locale: profile.locale,
            now,
        };
        Ok(self.store.run(create).await?)
    }
}
