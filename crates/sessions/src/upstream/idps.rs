//! The identity providers that are configured, as they are asked.

use super::{Ask, Class, Fresh, NotHeard, SignedOut, Standing, Trouble, Upstream};
use account::{IdpId, Millis, Subject};
use futures::FutureExt;
use futures::future::BoxFuture;
use idp::{
    FailureClass, Granted, HeldBack, IdToken, Idps, Login, LogoutTokenError, NotGranted, NotRevoked,
    Priority, Refresh, Revocation, Secret,
};
use std::time::Duration;
use zeroize::Zeroizing;

/// Those of them that users log in by.
pub struct LoginIdps(Idps);

impl LoginIdps {
    /// Of these.
    pub fn of(idps: Idps) -> Self {
        Self(idps)
    }

    fn login(&self, idp: &IdpId) -> Option<&Login> {
        self.0.by_id(idp)?.login()
    }
}

impl Upstream for LoginIdps {
    fn idps(&self) -> Vec<IdpId> {
        self.0.iter().filter(|idp| idp.login().is_some()).map(|idp| idp.id().clone()).collect()
    }

    fn standing(&self, idp: &IdpId, now: Millis) -> Standing {
        let Some(login) = self.login(idp) else {
            return Standing { breaker: "open", spared_for: Duration::ZERO, room: 0 };
        };
        let state = login.state(now);
        Standing { breaker: state.breaker, spared_for: state.spared_for, room: state.room }
    }

    fn refresh<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Result<Fresh, Trouble>> {
        async move {
            let login = self.login(&ask.account.idp).ok_or_else(not_configured)?;
            let original = original(&ask);
            let refresh = Refresh {
                refresh_token: &Secret::new(ask.refresh_token),
                original: &original,
                dpop: None,
                priority: if ask.is_waited_for { Priority::Waited } else { Priority::Background },
            };
            login.refresh(&refresh, ask.now).await.map_err(not_granted).and_then(granted)
        }
        .boxed()
    }

    fn signed_out<'a>(
        &'a self,
        idp: &'a IdpId,
        logout_token: &'a str,
        now: Millis,
    ) -> BoxFuture<'a, Result<SignedOut, NotHeard>> {
        async move {
            let login = self.login(idp).ok_or(NotHeard::Invalid("nobody logs in there".into()))?;
            let token = login.verify_logout_token(logout_token, now).await.map_err(|error| match error {
                LogoutTokenError::Invalid(_) => NotHeard::Invalid(error.to_string()),
                LogoutTokenError::Unavailable { retry_after } => NotHeard::Unavailable { retry_after },
            })?;
            match (token.sid, token.subject) {
                (Some(sid), _) => Ok(SignedOut::Login(sid.into())),
                (None, Some(subject)) => {
                    let subject =
                        Subject::new(&subject).map_err(|error| NotHeard::Invalid(error.to_string()))?;
                    Ok(SignedOut::User { subject, at: token.issued_at })
                }
                (None, None) => Err(NotHeard::Invalid("it names nobody".into())),
            }
        }
        .boxed()
    }

    fn revoke<'a>(
        &'a self,
        idp: &'a IdpId,
        refresh_token: &'a str,
        now: Millis,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        async move {
            let login = self.login(idp).ok_or_else(not_configured)?;
            let token = Secret::new(refresh_token);
            let what = Revocation { refresh_token: Some(&token), access_token: None };
            login.revoke(&what, now).await.map(drop).map_err(not_revoked)
        }
        .boxed()
    }
}

/// What an ID token is held against; at least the user, who is known in any case.
fn original(ask: &Ask<'_>) -> idp::Original {
    let told = ask.original;
    idp::Original {
        issuer: told.map(|it| it.issuer.as_str().into()),
        subject: ask.account.subject.as_str().into(),
        audience: told
            .map(|it| it.audience.iter().map(|it| it.as_str().into()).collect())
            .unwrap_or_default(),
        auth_time: told.and_then(|it| it.auth_time),
    }
}

/// The tokens are good whatever their ID token is worth, unless it is somebody else's.
fn granted(granted: Granted) -> Result<Fresh, Trouble> {
    let claims = match granted.id_token {
        IdToken::Verified(claims) => Some(claims.all),
        IdToken::Absent | IdToken::NotNow { .. } | IdToken::Unusable(_) => None,
        IdToken::Mismatch(what) => {
            let text = format!("the ID token of a refresh is another's: {what:?}");
            return Err(Trouble { class: Class::Mismatch, retry_after: None, text });
        }
    };
    let tokens = granted.tokens;
    let text = |secret: &Secret| Zeroizing::new(secret.reveal().to_owned());
    Ok(Fresh {
        access_token: text(&tokens.access_token),
        expires_in: tokens.expires_in,
        refresh_token: tokens.refresh_token.as_ref().map(text),
        scope: tokens.scope.map(String::from),
        claims,
    })
}

fn not_granted(error: NotGranted) -> Trouble {
    match error {
        NotGranted::HeldBack(held) => held_back(held),
        NotGranted::Failed(failure) => Trouble {
            class: match failure.class {
                FailureClass::Terminal => Class::Terminal,
                FailureClass::Misconfigured => Class::Misconfigured,
                FailureClass::Throttled => Class::Throttled,
                FailureClass::KnownFailed => Class::KnownFailed,
                FailureClass::Ambiguous => Class::Ambiguous,
            },
            retry_after: failure.retry_after,
            text: failure.text.into(),
        },
    }
}

fn not_revoked(error: NotRevoked) -> Trouble {
    match error {
        NotRevoked::HeldBack(held) => held_back(held),
        NotRevoked::Later { retry_after, text } => {
            Trouble { class: Class::KnownFailed, retry_after, text: text.into() }
        }
        refused @ NotRevoked::Refused { .. } => {
            Trouble { class: Class::Misconfigured, retry_after: None, text: refused.to_string() }
        }
    }
}

fn held_back(held: HeldBack) -> Trouble {
    Trouble { class: Class::NotAsked, retry_after: Some(held.retry_after()), text: held.to_string() }
}

/// One that is not configured any more is an operator's slip: nobody's session ends by it.
fn not_configured() -> Trouble {
    let text = "no login by this identity provider is configured".to_owned();
    Trouble { class: Class::Misconfigured, retry_after: None, text }
}
