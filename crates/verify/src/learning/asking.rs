//! Asking the identity provider about a token that only its word can prove.

use super::Inquiry;
use crate::{CheckError, Derived, Facts, NumericDate, Refusal, Scopes, Source};
use account::Millis;
use idp::{Idp, Inactive, Introspected, Introspection, Lane, Told, Trouble};
use std::sync::Arc;

/// How identity providers are asked about tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asking {
    /// As Mozilla's Tokenservers ask: `POST /v1/verify`. It does not say when a token ends.
    #[default]
    Verify,
    /// By introspection (RFC 7662, or as Mozilla accounts have it), with a budget and a breaker.
    Introspect,
}

impl Asking {
    pub(super) fn can_ask(self, idp: &Idp) -> bool {
        match self {
            Self::Verify => idp.can_be_asked(),
            Self::Introspect => idp.can_introspect(),
        }
    }
}

/// What it says. `expires_at` is what the token says itself, where it can be read.
pub(super) async fn told(
    asking: Asking,
    idp: &Idp,
    inquiry: &Inquiry<'_>,
    lane: Lane<'_>,
    expires_at: Option<Millis>,
) -> Result<Facts, CheckError> {
    let Inquiry { token, now, .. } = *inquiry;
    match asking {
        Asking::Verify => Ok(facts_of_verify(idp.ask(token).await?, idp, now, expires_at)),
        Asking::Introspect => match idp.introspect(token, lane, now).await {
            Introspected::Active(told) => Ok(facts_of_introspection(told, idp, now, expires_at)),
            Introspected::Inactive(Inactive::Unsupported) => Err(Refusal::Unsupported.into()),
            Introspected::Inactive(_) => Err(Refusal::IdentityProvider.into()),
            Introspected::Unavailable { trouble: Trouble::Timeout, retry_after } => {
                Err(CheckError::TimedOut { retry_after })
            }
            Introspected::Unavailable { retry_after, .. } => Err(CheckError::Unavailable { retry_after }),
        },
    }
}

fn facts_of_verify(told: Told, idp: &Idp, learned_at: Millis, expires_at: Option<Millis>) -> Facts {
    Facts {
        idp: idp.id().clone(),
        subject: told.user,
        client_id: told.client_id.map(Arc::from),
        scopes: told.scope.iter().collect::<Scopes>(),
        generation: told.generation,
        profile_changed_at: told.profile_changed_at,
        auth_time: None,
        acr: None,
        issued_at: None,
        expires_at,
        learned_at,
        source: Source::Word,
        derived: Derived::default(),
    }
}

fn facts_of_introspection(
    told: Introspection,
    idp: &Idp,
    learned_at: Millis,
    expires_at: Option<Millis>,
) -> Facts {
    Facts {
        idp: idp.id().clone(),
        subject: told.subject,
        client_id: told.client_id.map(Arc::from),
        scopes: Scopes::new(&told.scope),
        generation: told.generation,
        profile_changed_at: None,
        auth_time: told.auth_time.map(NumericDate::of),
        acr: told.acr.map(Arc::from),
        issued_at: told.issued_at.map(NumericDate::of),
        // The earlier one, should they differ.
        expires_at: [told.expires_at, expires_at].into_iter().flatten().min(),
        learned_at,
        source: Source::Word,
        derived: Derived::default(),
    }
}
