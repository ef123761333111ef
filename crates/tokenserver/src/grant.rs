//! From an access token to what the exchange goes by: whose it is, and how old.

use crate::Refusal;
use account::{AccountId, Birth, Millis};
use std::time::Duration;
use verify::{CheckError, Facts, NumericDate, Source, Verifier};

/// What a token must grant.
const SCOPE: &str = "https://identity.mozilla.com/apps/oldsync";

/// What a good access token gives its bearer here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) account: AccountId,
    /// The credentials' generation; 0 on the wire is absent.
    pub(crate) generation: Option<i64>,
    /// When the token was granted, as far as it says itself.
    pub(crate) birth: Option<Birth>,
    /// When the identity provider said that it is good, if it was asked.
    pub(crate) vouched_at: Option<Millis>,
}

/// Verifies a token, or recalls that it was verified.
pub(crate) async fn verified(verifier: &Verifier, token: &str, now: Millis) -> Result<Grant, Refusal> {
    let facts = verifier.facts(token, now).await?;
    Grant::of(&facts)
}

/// Asks the identity provider about it, whatever it says itself.
pub(crate) async fn asked(verifier: &Verifier, token: &str, now: Millis) -> Result<Grant, Refusal> {
    let facts = verifier.ask(token, now).await?;
    Grant::of(&facts)
}

impl Grant {
    /// The policy: facts are remembered, what they suffice for is judged each time.
    fn of(facts: &Facts) -> Result<Self, Refusal> {
        if !facts.scopes.grants(SCOPE) {
            return Err(Refusal::InvalidCredentials);
        }
        Ok(Self {
            account: facts.account(),
            generation: facts.generation.filter(|generation| *generation != 0),
            birth: facts.auth_time.or(facts.issued_at).map(NumericDate::birth),
            vouched_at: (facts.source == Source::Word).then_some(facts.learned_at),
        })
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
