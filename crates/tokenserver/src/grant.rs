//! From an access token to what the exchange goes by: whose it is, and how old.

use crate::email::email;
use crate::{HashedIds, Hasher, Refusal};
use account::{AccountId, Birth, Millis};
use idp::Idps;
use std::sync::Arc;
use std::time::Duration;
use verify::{CheckError, Facts, NumericDate, Source, Verifier};

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
    /// Which services it is for, a bit each.
    pub(crate) services: u64,
}

impl Grant {
    /// Whether it is for that service; without one, for any at all.
    fn is_for(&self, service: Option<usize>) -> bool {
        service.map_or(self.services != 0, |place| self.services >> place & 1 == 1)
    }
}

/// From tokens to grants.
pub(crate) struct Granting {
    pub(crate) verifier: Verifier,
    pub(crate) idps: Idps,
    pub(crate) hasher: Hasher,
    /// What a token must grant, by service.
    pub(crate) scopes: Vec<String>,
}

impl Granting {
    /// Verifies a token for a service (for any of them, when another was named), or recalls that it was verified.
    pub(crate) async fn verified(
        &self,
        token: &str,
        service: Option<usize>,
        now: Millis,
    ) -> Result<Arc<Grant>, Refusal> {
        let facts = self.verifier.facts(token, now).await?;
        self.judged(&facts, service)
    }

    /// Asks the identity provider about it, whatever it says itself.
    pub(crate) async fn asked(
        &self,
        token: &str,
        service: usize,
        now: Millis,
    ) -> Result<Arc<Grant>, Refusal> {
        let facts = self.verifier.ask(token, now).await?;
        self.judged(&facts, Some(service))
    }

    fn judged(&self, facts: &Facts, service: Option<usize>) -> Result<Arc<Grant>, Refusal> {
        let grant = facts.derive(|facts| self.grant(facts));
        if grant.is_for(service) { Ok(grant) } else { Err(Refusal::InvalidCredentials) }
    }

    /// All of it follows from the token and the configuration: made once for each token that is remembered.
    fn grant(&self, facts: &Facts) -> Grant {
        let account = facts.account();
        let bits = self.scopes.iter().enumerate();
        let granted = bits.filter(|(_, scope)| facts.scopes.grants(scope));
        Grant {
            email: email(&self.idps, &account),
            hashed: self.hasher.hash(account.subject.as_str()),
            account,
            generation: facts.generation.filter(|generation| *generation != 0),
            birth: facts.auth_time.or(facts.issued_at).map(NumericDate::birth),
            vouched_at: (facts.source == Source::Word).then_some(facts.learned_at),
            services: granted.fold(0, |all, (place, _)| all | 1 << place),
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
