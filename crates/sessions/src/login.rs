//! A login comes in: its tokens are sealed, and its session is kept.

mod code;

pub(crate) use code::CodeLogin;

use crate::capability::{Inner, chance};
use crate::rules::refresh_at;
use crate::sealing::{Field, record};
use crate::settings::hours;
use crate::store::codes::CodeName;
use crate::store::create::{Create, Created, NewGrant, Tokens as Sealed};
use crate::store::rows::Object;
use crate::upstream::{Identity, Original, Secret, TokenType};
use crate::{GrantId, Reason, SessionId, feed};
use account::{AccountId, IdpId, Millis, Subject};
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
    /// The key that they are bound to, if they are.
    pub(crate) dpop_key: Option<Secret>,
    pub(crate) token_type: TokenType,
    pub(crate) expires_in: Option<Duration>,
    pub(crate) scope: Option<String>,
    pub(crate) claims: Option<Object>,
    /// What its ID token said.
    pub(crate) original: Option<Original>,
}

/// What a service says of a login by itself.
pub(crate) struct Said {
    pub(crate) subject: Option<Subject>,
    pub(crate) sid: Option<String>,
    pub(crate) authenticated_at: Option<Millis>,
    pub(crate) claims: Object,
    pub(crate) data: Object,
    pub(crate) lifetime: Option<Duration>,
}

/// Why it cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LoginError {
    /// By what is known of the account it could not live.
    #[error("the login is refused: {0}; the user must log in again, if the account may act")]
    Refused(Reason),
    #[error("the account has no such grant, or it has ended")]
    NoSuchGrant,
    /// The identity provider does not take the code.
    #[error("the identity provider does not take the code: {0}; the user must log in again")]
    CodeRefused(String),
    /// A code is presented once.
    #[error("the code was presented before, and nothing more comes of it: the user must log in again")]
    CodeUsed,
    /// Nobody who can be believed says who has logged in.
    #[error("{0}")]
    NotProven(String),
    /// What the service says of the login is not what the ID token says.
    #[error("the ID token says another {0} than the request")]
    Contradiction(&'static str),
    /// Whose login it is must be known.
    #[error("say whose login it is: by `subject`, an ID token or a code")]
    NoSubject,
    /// Not now: an outage is no verdict.
    #[error("{why}")]
    NotNow {
        /// What is the matter.
        why: String,
        /// When to come again.
        retry_after: Duration,
    },
}

impl LoginError {
    pub(crate) fn not_now(why: &str, retry_after: Duration) -> Self {
        Self::NotNow { why: why.to_owned(), retry_after }
    }
}

impl Said {
    /// The login as the service says it is.
    pub(crate) fn unproven(self, idp: IdpId) -> Result<Login, LoginError> {
        let subject = self.subject.ok_or(LoginError::NoSubject)?;
        Ok(Login {
            account: AccountId::new(idp, subject),
            sid: self.sid,
            authenticated_at: self.authenticated_at,
            tokens: None,
            grant: None,
            claims: self.claims,
            data: self.data,
            lifetime: self.lifetime,
        })
    }

    /// The login as a good ID token says it is: that counts, and what the service said must not contradict it.
    pub(crate) fn proven(self, idp: IdpId, identity: &Identity) -> Result<Login, LoginError> {
        if self.subject.as_ref().is_some_and(|subject| *subject != identity.subject) {
            return Err(LoginError::Contradiction("subject"));
        }
        if identity.sid.is_some() && self.sid.is_some() && self.sid != identity.sid {
            return Err(LoginError::Contradiction("sid"));
        }
        let proven = Self {
            subject: Some(identity.subject.clone()),
            sid: identity.sid.clone().or(self.sid),
            authenticated_at: identity.auth_time.or(self.authenticated_at),
            ..self
        };
        proven.unproven(idp)
    }
}

impl Inner {
    /// Keeps a login.
    pub(crate) async fn log_in(&self, login: Login) -> Result<Result<SessionId, LoginError>, StoreError> {
        if self.keys.active().is_none() {
            self.keys.ensure().await?;
        }
        let now = self.now();
        let grant = match (&login.tokens, &login.grant) {
            (Some(tokens), _) => {
                let Some(sealed) = self.sealed(&login.account, tokens, now) else {
                    let why = "there is no key yet to seal tokens with";
                    return Ok(Err(LoginError::not_now(why, Duration::from_secs(1))));
                };
                NewGrant::Own(Box::new(sealed))
            }
            (None, Some(grant)) => NewGrant::Shared(grant.clone()),
            (None, None) => NewGrant::None,
        };
        let create = self.create(login, grant, None, now);
        let id = create.id.clone();
        let created = self.store.run(create).await?;
        Ok(self.created(id, created))
    }

    /// The session of a login, and what it is refreshed by.
    fn create(&self, login: Login, grant: NewGrant, code: Option<CodeName>, now: Millis) -> Create {
        let longest = hours(self.settings().longest_session_hours);
        let life = login.lifetime.unwrap_or_else(|| hours(self.settings().session_hours)).min(longest);
        Create {
            id: SessionId::fresh(),
            tombstone: self.tombstones.hash(&login.account),
            ends_on: self.settings().ends_on(&login.account.idp),
            account: login.account,
            sid: login.sid,
            // Nobody proves who they are in the future: that would outlive the next event.
            born_at: login.authenticated_at.map_or(now, |at| at.min(now)),
            grant,
            claims: login.claims,
            data: login.data,
            expires_at: now.plus(life),
            look_since: self.look_since(now),
            code,
            now,
        }
    }

    /// Whoever logs in is looked at, if anybody is, unless that was done just now.
    fn look_since(&self, now: Millis) -> Option<Millis> {
        let cool_off = crate::settings::seconds(self.settings().cool_off_seconds);
        (self.settings().userinfo_seconds > 0).then(|| now.minus(cool_off))
    }

    fn created(&self, id: SessionId, created: Created) -> Result<SessionId, LoginError> {
        match created {
            Created::Made => {
                feed::appended(self);
                self.store.signals().send(crate::worker::USERS);
                Ok(id)
            }
            Created::Refused(reason) => {
                self.store.signals().send(crate::worker::REVOCATIONS);
                Err(LoginError::Refused(reason))
            }
            Created::NoSuchGrant => Err(LoginError::NoSuchGrant),
            Created::CodeUsed => Err(LoginError::CodeUsed),
        }
    }

    fn sealed(&self, account: &AccountId, tokens: &Tokens, now: Millis) -> Option<Sealed> {
        let id = GrantId::fresh();
        let seal = |field, token: &Secret| self.keys.seal(&record(&id, 0, field), token.as_bytes()).ok();
        let seal_if_there = |field, token: &Option<Secret>| match token {
            Some(token) => seal(field, token).map(Some),
            None => Some(None),
        };
        let expires_at = tokens.expires_in.map(|life| now.plus(life));
        let timing = self.settings().policy(&account.idp).timing;
        Some(Sealed {
            access_token: seal(Field::AccessToken, &tokens.access_token)?,
            refresh_token: seal_if_there(Field::RefreshToken, &tokens.refresh_token)?,
            dpop_key: seal_if_there(Field::DpopKey, &tokens.dpop_key)?,
            token_type: tokens.token_type,
            scope: tokens.scope.clone(),
            claims: tokens.claims.clone(),
            original: tokens.original.clone(),
            expires_at,
            next_attempt_at: Some(refresh_at(now, expires_at, &timing, chance())),
            id,
        })
    }
}
