//! From an access token to what the exchange goes by: whose it is, and how old.

use crate::email::email;
use crate::{HashedIds, Hasher, Refusal};
use account::{AccountId, Birth, Millis};
use idp::Idps;
use std::sync::Arc;
use std::time::Duration;
use verify::{CheckError, Facts, NumericDate, Source, Verifier};

/// What a token must grant.
const SCOPE: &str = "https://identity.mozilla.com/apps/oldsync";

/// What a good access token gives its bearer here.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) account: AccountId,
    /// The account as it stands in the rows; `None` for one of an identity provider that is not configured.
    pub(crate) email: Option<String>,
    /// Its hashed forms.
    pub(crate) hashed: HashedIds,
    /// The credentials' generation; 0 on the wire is absent.
    pub(crate) generation: Option<i64>,
    /// When the token was granted, as far as it says itself.
    pub(crate) birth: Option<Birth>,
    /// When the identity provider said that it is good, if it was asked.
    pub(crate) vouched_at: Option<Millis>,
    /// Whether it grants what is served here.
    pub(crate) grants: bool,
}

/// From tokens to grants.
pub(crate) struct Granting {
    pub(crate) verifier: Verifier,
    pub(crate) idps: Idps,
    pub(crate) hasher: Hasher,
}

impl Granting {
    /// Verifies a token, or recalls that it was verified.
    pub(crate) async fn verified(&self, token: &str, now: Millis) -> Result<Arc<Grant>, Refusal> {
        let facts = self.verifier.facts(token, now).await?;
        self.judged(&facts)
    }

    /// Asks the identity provider about it, whatever it says itself.
    pub(crate) async fn asked(&self, token: &str, now: Millis) -> Result<Arc<Grant>, Refusal> {
        let facts = self.verifier.ask(token, now).await?;
        self.judged(&facts)
    }

    fn judged(&self, facts: &Facts) -> Result<Arc<Grant>, Refusal> {
        let grant = facts.derive(|facts| self.grant(facts));
        if grant.grants { Ok(grant) } else { Err(Refusal::InvalidCredentials) }
    }

    /// All of it follows from the token and the configuration: made once for each token that is remembered.
    fn grant(&self, facts: &Facts) -> Grant {
        let account = facts.account();
        Grant {
            email: email(&self.idps, &account),
            hashed: self.hasher.hash(account.subject.as_str()),
            account,
            generation: facts.generation.filter(|generation| *generation != 0),
            birth: facts.auth_time.or(facts.issued_at).map(NumericDate::birth),
            vouched_at: (facts.source == Source::Word).then_some(facts.learned_at),
            grants: facts.scopes.grants(SCOPE),
        }
    }
}

impl From<CheckError> for Refusal {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Refused(_) => Self::InvalidCredentials,
            CheckError::Unavailable { retry_after } => {
                Self::VerifierUnavailable { retry_after: whole_seconds(retry_after) }
            }
            CheckError::TimedOut { retry_after } => {
                Self::VerifierTimedOut { retry_after: whole_seconds(retry_after) }
            }
        }
    }
}

/// Rounded up, and never "at once".
fn whole_seconds(duration: Duration) -> u32 {
    let seconds = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0));
    u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_wait_is_rounded_up_and_never_zero() {
        assert_eq!(whole_seconds(Duration::ZERO), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1_001)), 2);
        assert_eq!(whole_seconds(Duration::MAX), u32::MAX);
    }
}
