//! A login comes in: its tokens are sealed, and its session is kept.

use crate::capability::{Inner, chance};
use crate::rules::refresh_at;
use crate::sealing::{Field, record};
use crate::settings::hours;
use crate::store::create::{Create, Created, NewGrant, Tokens as Sealed};
use crate::store::rows::Object;
use crate::upstream::{Original, Secret};
use crate::{GrantId, Reason, SessionId, feed};
use account::{AccountId, Millis};
use std::time::Duration;
use store::StoreError;

/// A login.
pub(crate) struct Login {
    pub(crate) account: AccountId,
    pub(crate) sid: Option<String>,
    /// To the second, as it is told.
    pub(crate) authenticated_at: Option<Millis>,
    pub(crate) tokens: Option<Tokens>,
    /// Another session's.
    pub(crate) grant: Option<GrantId>,
    pub(crate) claims: Object,
    pub(crate) data: Object,
    pub(crate) lifetime: Option<Duration>,
}

/// What the identity provider gave for it.
pub(crate) struct Tokens {
    pub(crate) access_token: Secret,
    pub(crate) refresh_token: Option<Secret>,
    pub(crate) expires_in: Option<Duration>,
    pub(crate) scope: Option<String>,
    pub(crate) claims: Option<Object>,
    /// What its ID token said.
    pub(crate) original: Option<Original>,
}

/// Why it cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LoginError {
    /// By what is known of the account it could not live.
    #[error("the login is refused: {0}; the user must log in again, if the account may act")]
    Refused(Reason),
    #[error("the account has no such grant, or it has ended")]
    NoSuchGrant,
    #[error("there is no key yet to seal tokens with")]
    NotReady,
}

impl Inner {
    /// Keeps a login.
    pub(crate) async fn log_in(&self, login: Login) -> Result<Result<SessionId, LoginError>, StoreError> {
        if self.keys.active().is_none() {
            self.keys.ensure().await?;
        }
        let (now, id) = (self.now(), SessionId::fresh());
        let grant = match (&login.tokens, login.grant) {
            (Some(tokens), _) => match self.sealed(&login.account, tokens, now) {
                Some(sealed) => NewGrant::Own(Box::new(sealed)),
                None => return Ok(Err(LoginError::NotReady)),
            },
            (None, Some(grant)) => NewGrant::Shared(grant),
            (None, None) => NewGrant::None,
        };
        let longest = hours(self.settings.longest_session_hours);
        let life = login.lifetime.unwrap_or_else(|| hours(self.settings.session_hours)).min(longest);
        let create = Create {
            id: id.clone(),
            tombstone: self.tombstones.hash(&login.account),
            ends_on: self.settings.ends_on(&login.account.idp),
            account: login.account,
            sid: login.sid,
            // Nobody proves who they are in the future: that would outlive the next event.
            born_at: login.authenticated_at.map_or(now, |at| at.min(now)),
            grant,
            claims: login.claims,
            data: login.data,
            expires_at: now.plus(life),
            userinfo_at: None,
            now,
        };
        Ok(match self.store.run(create).await? {
            Created::Made => {
                feed::appended(self);
                Ok(id)
            }
            Created::Refused(reason) => Err(LoginError::Refused(reason)),
            Created::NoSuchGrant => Err(LoginError::NoSuchGrant),
        })
    }

    fn sealed(&self, account: &AccountId, tokens: &Tokens, now: Millis) -> Option<Sealed> {
        let id = GrantId::fresh();
        let seal = |field, token: &Secret| self.keys.seal(&record(&id, 0, field), token.as_bytes()).ok();
        let expires_at = tokens.expires_in.map(|life| now.plus(life));
        let timing = self.settings.policy(&account.idp).timing;
        let refresh_token = match &tokens.refresh_token {
            Some(token) => Some(seal(Field::RefreshToken, token)?),
            None => None,
        };
        Some(Sealed {
            access_token: seal(Field::AccessToken, &tokens.access_token)?,
            refresh_token,
            scope: tokens.scope.clone(),
            claims: tokens.claims.clone(),
            original: tokens.original.clone(),
            expires_at,
            next_attempt_at: Some(refresh_at(now, expires_at, &timing, chance())),
            id,
        })
    }
}
