//! A live access token, for whoever asks: as it is kept if it lives long enough, else refreshed first.
//!
//! However many ask, on however many nodes, the token is presented once: the claim in the store is the flight. Who gets it
//! refreshes, detached from the one who asked; everybody else watches the row.

use crate::capability::Inner;
use crate::rules::{GrantState, Left, Retired, is_refused, left};
use crate::sealing::Field;
use crate::store::acts::Actor;
use crate::store::claim::ClaimOne;
use crate::store::find::{Held, HeldGrant, ReadHeld};
use crate::store::rows::SessionState;
use crate::upstream::TokenType;
use crate::worker::{attempt, settle};
use crate::{Reason, SessionId, meters};
use account::{IdpId, Millis};
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Signalled when grants were refreshed, or could not be.
pub(crate) const TOPIC: &str = "sessions.settled";
/// How long somebody is made to wait.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a waiter waits for a signal before it looks by itself.
const LOOK: Duration = Duration::from_millis(200);
/// When to come again, if nothing is known that says it better.
const SOON: Duration = Duration::from_secs(1);

/// An access token that lives.
pub struct Live {
    /// The token.
    pub access_token: Zeroizing<String>,
    /// How it is shown.
    pub token_type: TokenType,
    /// The key that it is bound to, if it is; a private JWK.
    pub(crate) dpop_key: Option<Zeroizing<String>>,
    /// When it ends, if that was told.
    pub expires_at: Option<Millis>,
    /// What it grants, where that was told.
    pub scope: Option<String>,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoToken {
    /// There is no such session.
    #[error("there is no such session")]
    NotThere,
    /// It has ended, or the account says so.
    #[error("the session has ended: {0}")]
    Ended(Reason),
    /// It has no tokens.
    #[error("the session was created without tokens")]
    NoGrant,
    /// Its access token has run out and cannot be refreshed: the user must log in again.
    #[error("the grant can be refreshed no more: {0}; the user must log in again")]
    LoginNeeded(Reason),
    /// The identity provider does not answer, or not in time.
    #[error("the access token cannot be refreshed now")]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
}

/// Whether what is there will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// One that lives for at least so long.
    Lasting(Duration),
    /// One of a later generation than this.
    After(i64),
}

/// Who has asked for a refresh, and of which session.
type Asked = (Actor, SessionId);

impl Inner {
    /// A session's access token, as is wanted.
    ///
    /// # Errors
    /// The outer error is an outage; the inner one says what to do.
    pub(crate) async fn live_token(
        self: &Arc<Self>,
        session: &SessionId,
        wanted: Wanted,
    ) -> Result<Result<Live, NoToken>, StoreError> {
        self.token(session, wanted, None).await
    }

    /// The same, of a later generation than this, because somebody has asked for a refresh.
    pub(crate) async fn refreshed_by(
        self: &Arc<Self>,
        session: &SessionId,
        generation: i64,
        actor: Actor,
    ) -> Result<Result<Live, NoToken>, StoreError> {
        self.token(session, Wanted::After(generation), Some((actor, session.clone()))).await
    }

    async fn token(
        self: &Arc<Self>,
        session: &SessionId,
        wanted: Wanted,
        asked: Option<Asked>,
    ) -> Result<Result<Live, NoToken>, StoreError> {
        let until = Instant::now() + PATIENCE;
        let mut settled = self.store.signals().listen(TOPIC);
        loop {
            settled.mark_unchanged();
            let Some(held) = self.store.read(&ReadHeld(session)).await? else {
                return Ok(Err(NoToken::NotThere));
            };
            let grant = match self.usable(&held) {
                Ok(grant) => grant,
                Err(no) => return Ok(Err(no)),
            };
            let now = self.now();
            if lives(grant, wanted, now) {
                meters::handed("kept");
                self.touches.touch(session, now);
                return self.opened(grant).await;
            }
            let idp = &held.account.idp;
            if let Some(answer) = self.begin_or_give_up(idp, grant, wanted, asked.as_ref(), now).await? {
                return match answer {
                    Ok(()) => self.opened(grant).await,
                    Err(no) => Ok(Err(no)),
                };
            }
            if Instant::now() >= until {
                return Ok(Err(NoToken::Unavailable { retry_after: SOON }));
            }
            drop(tokio::time::timeout(LOOK, settled.changed()).await);
        }
    }

    /// The grant of a session that may be used: what the mark says counts before what rows say.
    fn usable<'a>(&self, held: &'a Held) -> Result<&'a HeldGrant, NoToken> {
        let now = self.now();
        let ends_on = self.settings().ends_on(&held.account.idp);
        if held.state == SessionState::Ended {
            return Err(NoToken::Ended(held.reason.unwrap_or(Reason::AccountChanged)));
        }
        if let Some(reason) = is_refused(held.born_at, held.mark, held.account_state, &ends_on) {
            return Err(NoToken::Ended(reason));
        }
        if held.expires_at <= now {
            return Err(NoToken::Ended(Reason::Expired));
        }
        let grant = held.grant.as_ref().ok_or(NoToken::NoGrant)?;
        self.is_good_still(&held.account.idp, grant, now).map(|()| grant)
    }

    /// Of a grant that is refreshed no more, what its identity provider's settings say.
    fn is_good_still(&self, idp: &IdpId, grant: &HeldGrant, now: Millis) -> Result<(), NoToken> {
        if grant.state != GrantState::Retired {
            return Ok(());
        }
        let (settings, reason) = (self.settings(), grant.reason.unwrap_or(Reason::LostReply));
        let retired = Retired { reason, issued_at: grant.issued_at, expires_at: grant.expires_at };
        match left(&retired, settings.when_retired(idp), &settings.timing(), now) {
            Left::Everything => Ok(()),
            Left::Nothing => Err(NoToken::Ended(reason)),
            Left::LoginNeeded => {
                meters::handed("refused");
                Err(NoToken::LoginNeeded(reason))
            }
        }
    }

    /// Begins a refresh if nobody else has; `None`: look again. `Ok`: what is kept is all there is, and still lives.
    async fn begin_or_give_up(
        self: &Arc<Self>,
        idp: &IdpId,
        grant: &HeldGrant,
        wanted: Wanted,
        asked: Option<&Asked>,
        now: Millis,
    ) -> Result<Option<Result<(), NoToken>>, StoreError> {
        if matches!(grant.state, GrantState::Retired | GrantState::Ended) {
            let reason = grant.reason.unwrap_or(Reason::LostReply);
            return Ok(Some(what_is_left(grant, wanted, now, NoToken::LoginNeeded(reason))));
        }
        if grant.is_claimed {
            return Ok(None);
        }
        if let Some(wait) = self.must_wait(grant, now) {
            let no = NoToken::Unavailable { retry_after: wait.max(SOON) };
            return Ok(Some(what_is_left(grant, wanted, now, no)));
        }
        self.begin(idp, grant, asked, now).await
    }

    /// How long nothing may be presented: the floor after the last attempt, the wait after a failure.
    fn must_wait(&self, grant: &HeldGrant, now: Millis) -> Option<Duration> {
        let cool_off = crate::settings::seconds(self.settings().cool_off_seconds);
        let floor = grant.last_attempt_at.map(|at| at.plus(cool_off));
        let after_failure = grant.next_attempt_at.filter(|_| grant.failures > 0);
        let until = floor.max(after_failure)?;
        (until > now).then(|| until.since(now))
    }

    async fn begin(
        self: &Arc<Self>,
        idp: &IdpId,
        grant: &HeldGrant,
        asked: Option<&Asked>,
        now: Millis,
    ) -> Result<Option<Result<(), NoToken>>, StoreError> {
        let Some(lane) = self.lanes.get(idp) else {
            return Ok(Some(Err(NoToken::Unavailable { retry_after: Duration::from_mins(1) })));
        };
        let spared = lane.standing(now).spared_for;
        if !spared.is_zero() {
            return Ok(Some(Err(NoToken::Unavailable { retry_after: spared.max(SOON) })));
        }
        if !self.may_claim() {
            return Ok(None);
        }
        let claim = ClaimOne {
            grant: grant.id.clone(),
            generation: grant.generation,
            owner: self.owner.to_string(),
            asked: asked.cloned(),
            now,
        };
        let Some(claimed) = self.store.run(claim).await? else { return Ok(None) };
        self.under_way.lock().insert(claimed.id.to_string());
        let inner = Arc::clone(self);
        // Detached: whoever asked may go away, the answer must not be lost.
        self.life.spawn_short(async move {
            let attempted = attempt(&inner, claimed, true).await;
            settle(&inner, vec![attempted]).await;
        });
        meters::handed("refreshed");
        Ok(None)
    }

    async fn opened(&self, grant: &HeldGrant) -> Result<Result<Live, NoToken>, StoreError> {
        let Some(sealed) = &grant.access_token else { return Ok(Err(NoToken::NoGrant)) };
        let key = grant.dpop_key.as_deref().filter(|_| grant.token_type == TokenType::Dpop);
        let opened = async {
            let access_token = self.open(&grant.id, grant.generation, Field::AccessToken, sealed).await?;
            let key = self.open_if_there(&grant.id, grant.generation, Field::DpopKey, key).await?;
            Ok::<_, keys::CannotOpen>((access_token, key))
        };
        match opened.await {
            Ok((access_token, dpop_key)) => Ok(Ok(Live {
                access_token,
                token_type: grant.token_type,
                dpop_key,
                expires_at: grant.expires_at,
                scope: grant.scope.clone(),
            })),
            Err(keys::CannotOpen::Store(error)) => Err(error),
            Err(error) => {
                // Not ours to open is no verdict on the session.
                tracing::error!(grant = %grant.id, %error, "an access token cannot be opened");
                Ok(Err(NoToken::Unavailable { retry_after: Duration::from_secs(30) }))
            }
        }
    }
}

fn lives(grant: &HeldGrant, wanted: Wanted, now: Millis) -> bool {
    let lives_for = |least: Duration| grant.expires_at.is_none_or(|at| at > now.plus(least));
    let is_kept = grant.access_token.is_some() && grant.state != GrantState::Ended;
    is_kept
        && match wanted {
            Wanted::Lasting(least) => lives_for(least),
            Wanted::After(generation) => grant.generation > generation,
        }
}

/// What still lives is handed out, if it does not live for as long as was wanted: nothing better is to be had.
fn what_is_left(grant: &HeldGrant, wanted: Wanted, now: Millis, no: NoToken) -> Result<(), NoToken> {
    match wanted {
        Wanted::Lasting(_) if lives(grant, Wanted::Lasting(Duration::ZERO), now) => {
            meters::handed("what_was_left");
            Ok(())
        }
        _ => {
            meters::handed("refused");
            Err(no)
        }
    }
}
