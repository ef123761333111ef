//! The identity providers that are configured, as they are asked.

use super::reading::{
    bad_key, given, granted, not_configured, not_granted, not_revoked, not_told, original, proven, revoked,
};
use super::{
    Ask, Code, Fresh, Given, NotHeard, Proof, Proven, Revoked, SignedOut, Standing, ToRevoke, Trouble,
    Upstream, UserAsk, UserTrouble,
};
use crate::Object;
use account::{IdpId, Millis, Subject};
use futures::FutureExt;
use futures::future::BoxFuture;
use idp::{
    Against, CodeExchange, DpopKey, Idps, Login, LogoutTokenError, Priority, Refresh, Revocation, Secret,
    UserInfoAsk,
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

/// The key of a grant, as it is kept.
fn key(kept: Option<&str>) -> Result<Option<DpopKey>, Trouble> {
    kept.map(|jwk| DpopKey::from_secret(&Secret::new(jwk))).transpose().map_err(|error| bad_key(&error))
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

    fn exchange<'a>(&'a self, code: Code<'a>) -> BoxFuture<'a, Result<Given, Trouble>> {
        async move {
            let login = self.login(code.idp).ok_or_else(not_configured)?;
            let (verifier, key) = (code.code_verifier.map(Secret::new), key(code.dpop_key)?);
            let exchange = CodeExchange {
                code: &Secret::new(code.code),
                code_verifier: verifier.as_ref(),
                redirect_uri: code.redirect_uri,
                nonce: code.nonce,
                dpop: key.as_ref(),
            };
            login.exchange_code(&exchange, code.now).await.map(given).map_err(not_granted)
        }
        .boxed()
    }

    fn prove<'a>(&'a self, ask: Proof<'a>) -> BoxFuture<'a, Proven> {
        async move {
            let Some(login) = self.login(ask.idp) else { return Proven::Not("nobody logs in there".into()) };
            let (id_token, access_token) = (Secret::new(ask.id_token), Secret::new(ask.access_token));
            let earlier;
            let against = match ask.against {
                super::Against::Login { nonce } => Against::Login { nonce },
                super::Against::Earlier { account, original: told } => {
                    earlier = original(account, told);
                    Against::Original(&earlier)
                }
            };
            proven(login.verify_id_token(&id_token, &access_token, against, ask.now).await)
        }
        .boxed()
    }

    fn fresh_key(&self, idp: &IdpId) -> Result<Option<Zeroizing<String>>, Trouble> {
        if !self.login(idp).is_some_and(Login::binds_tokens) {
            return Ok(None);
        }
        let secret = DpopKey::generate().and_then(|key| key.to_secret()).map_err(|error| bad_key(&error))?;
        Ok(Some(Zeroizing::new(secret.reveal().to_owned())))
    }

    fn check_key(&self, idp: &IdpId, jwk: Option<&str>) -> Result<(), String> {
        let binds = self.login(idp).is_some_and(Login::binds_tokens);
        match jwk {
            None if binds => Err(format!(
                "tokens of {idp} are bound to a key: hand it over as dpop_key, or hand over the code instead"
            )),
            Some(_) => key(jwk).map(drop).map_err(|trouble| trouble.text),
            None => Ok(()),
        }
    }

    fn refresh<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Result<Fresh, Trouble>> {
        async move {
            let login = self.login(&ask.account.idp).ok_or_else(not_configured)?;
            let (original, key) = (original(ask.account, ask.original), key(ask.dpop_key)?);
            let refresh = Refresh {
                refresh_token: &Secret::new(ask.refresh_token),
                original: &original,
                dpop: key.as_ref(),
                priority: if ask.is_waited_for { Priority::Waited } else { Priority::Background },
            };
            login.refresh(&refresh, ask.now).await.map_err(not_granted).and_then(granted)
        }
        .boxed()
    }

    fn userinfo_room(&self, idp: &IdpId, now: Millis) -> usize {
        self.login(idp).map_or(0, |login| login.userinfo_room(now))
    }

    fn userinfo<'a>(&'a self, ask: UserAsk<'a>) -> BoxFuture<'a, Result<Object, UserTrouble>> {
        async move {
            let login = self.login(&ask.account.idp).ok_or(UserTrouble::Nothing)?;
            let key = key(ask.dpop_key).map_err(|trouble| UserTrouble::Failed {
                name: "not_opened",
                retry_after: None,
                text: trouble.text,
            })?;
            let about = UserInfoAsk {
                access_token: &Secret::new(ask.access_token),
                subject: ask.account.subject.as_str(),
                dpop: key.as_ref(),
                priority: Priority::Background,
            };
            login.userinfo(&about, ask.now).await.map_err(not_told)
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

    fn revoke<'a>(&'a self, tokens: ToRevoke<'a>) -> BoxFuture<'a, Result<Revoked, Trouble>> {
        async move {
            let login = self.login(tokens.idp).ok_or_else(not_configured)?;
            let [refresh_token, access_token] =
                [tokens.refresh_token, tokens.access_token].map(|token| token.map(Secret::new));
            let what =
                Revocation { refresh_token: refresh_token.as_ref(), access_token: access_token.as_ref() };
            login.revoke(&what, tokens.now).await.map(revoked).map_err(not_revoked)
        }
        .boxed()
    }
}
