//! A login by a code: it is presented once, and whoever its ID token names has logged in.
//!
//! ```text
//! put down, committed ─▶ one POST ─▶ ID token good? ─▶ grant, session
//!        │                   │             └─ its keys cannot be had: the tokens are kept, sealed; asked again, it goes on here
//!        │                   └─ not taken: it may come again
//!        └─ it was before: what came of it then
//! ```

use super::{Login, LoginError, Said};
use crate::capability::{Inner, chance};
use crate::rules::refresh_at;
use crate::sealing::{Field, record};
use crate::store::codes::{BeginCode, Begun, CodeName, Fate, Given, KeepGiven, LoseCode, TakeCodeBack};
use crate::store::create::{Created, NewGrant, Tokens};
use crate::upstream::{self, Against, Class, Code, Identity, Proof, Proven, Secret, Trouble};
use crate::{GrantId, SessionId};
use account::{IdpId, Millis};
use aws_lc_rs::hmac;
use std::sync::Arc;
use std::time::Duration;
use store::{Operation, StoreError};
use tokio::sync::oneshot;
use uuid::Uuid;

/// How long whoever asks is made to wait; asked again, they hear what came of it.
const PATIENCE: Duration = Duration::from_secs(10);
/// For so long something may still come of a code that was presented: longer than any request takes.
const UNDER_WAY: Duration = Duration::from_mins(2);
/// When to come again, if nothing is known that says it better.
const SOON: Duration = Duration::from_secs(1);
/// When to come again to an identity provider that does not take us as we are configured.
const MENDED: Duration = Duration::from_mins(1);
/// Between two tries while the store is down.
const PAUSE: Duration = Duration::from_millis(200);

/// A login by a code.
pub(crate) struct CodeLogin {
    pub(crate) idp: IdpId,
    pub(crate) code: Secret,
    pub(crate) code_verifier: Option<Secret>,
    pub(crate) redirect_uri: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) said: Said,
}

type Outcome = Result<Result<SessionId, LoginError>, StoreError>;

/// A code that this process presents.
struct Presented {
    name: CodeName,
    attempt: String,
}

impl Inner {
    /// Keeps the login of whoever a code is for.
    pub(crate) async fn log_in_by_code(self: &Arc<Self>, login: CodeLogin) -> Outcome {
        let (tell, told) = oneshot::channel();
        let inner = Arc::clone(self);
        // Detached: whoever asked may go away, what is given must not be lost.
        self.life.spawn_short(async move { drop(tell.send(inner.by_code(login).await)) });
        match tokio::time::timeout(PATIENCE, told).await {
            Ok(Ok(outcome)) => outcome,
            _ => Ok(Err(LoginError::not_now("the code is being exchanged", SOON))),
        }
    }

    async fn by_code(&self, login: CodeLogin) -> Outcome {
        if self.keys.active().is_none() {
            self.keys.ensure().await?;
        }
        let (name, request) = login.names(&self.codes);
        let presented = Presented { name, attempt: Uuid::new_v4().to_string() };
        let (code, attempt) = (presented.name.clone(), presented.attempt.clone());
        match self.store.run(BeginCode { code, request, attempt, now: self.now() }).await? {
            Begun::Now => self.present(login, presented).await,
            Begun::Before(fate) => self.go_on(login, presented, fate).await,
            Begun::Otherwise => Ok(Err(LoginError::CodeUsed)),
        }
    }

    /// What came of it when it was presented before.
    async fn go_on(&self, login: CodeLogin, presented: Presented, fate: Fate) -> Outcome {
        match fate {
            Fate::Session(session) => Ok(Ok(session)),
            Fate::Kept(given) => {
                let proven = self.prove_kept(&login, &given).await?;
                self.finish(login, presented, *given, proven).await
            }
            Fate::Presented { at } if self.now() < at.plus(UNDER_WAY) => {
                Ok(Err(LoginError::not_now("the code is being exchanged", SOON)))
            }
            Fate::Presented { .. } | Fate::Lost => Ok(Err(LoginError::CodeUsed)),
        }
    }

    async fn present(&self, login: CodeLogin, presented: Presented) -> Outcome {
        let now = self.now();
        let key = match self.upstream.fresh_key(&login.idp) {
            Ok(key) => key,
            Err(trouble) => return self.not_given(&presented, trouble).await,
        };
        let code = Code {
            idp: &login.idp,
            code: &login.code,
            code_verifier: login.code_verifier.as_ref().map(|it| it.as_str()),
            redirect_uri: login.redirect_uri.as_deref(),
            nonce: login.nonce.as_deref(),
            dpop_key: key.as_ref().map(|it| it.as_str()),
            now,
        };
        match self.upstream.exchange(code).await {
            Ok(given) => {
                let sealed = self.seal_given(&given, key.as_ref(), now).await;
                self.finish(login, presented, sealed, given.proven).await
            }
            Err(trouble) => self.not_given(&presented, trouble).await,
        }
    }

    /// A code that was not taken may come again; of one that was, or perhaps was, nothing comes any more.
    async fn not_given(&self, presented: &Presented, trouble: Trouble) -> Outcome {
        let Presented { name, attempt } = presented;
        let wait = trouble.retry_after;
        match trouble.class {
            Class::Terminal | Class::Mismatch => {
                self.lose(name, None).await?;
                Ok(Err(LoginError::CodeRefused(trouble.text)))
            }
            Class::Ambiguous => {
                tracing::warn!(idp = %name.idp, text = trouble.text, "what came of a code is not known");
                self.lose(name, None).await?;
                Ok(Err(LoginError::not_now("what came of the code is not known", wait.unwrap_or(SOON))))
            }
            class => {
                self.surely(&TakeCodeBack { code: name.clone(), attempt: attempt.clone() }).await?;
                let soon = if class == Class::Misconfigured { MENDED } else { SOON };
                Ok(Err(LoginError::not_now(&trouble.text, wait.unwrap_or(soon))))
            }
        }
    }

    /// Tokens have come: they are somebody's login, or wait until it is known whose, or are taken back.
    async fn finish(&self, login: CodeLogin, presented: Presented, given: Given, proven: Proven) -> Outcome {
        let Presented { name, attempt } = presented;
        let not = match proven {
            Proven::By(identity) => match login.said.proven(login.idp, &identity) {
                Ok(login) => return self.make(login, name, given, *identity).await,
                Err(error) => error,
            },
            Proven::NotNow { retry_after } => {
                self.surely(&KeepGiven { code: name, attempt, given }).await?;
                let why = "the ID token that came for the code cannot be verified yet: send the code again";
                return Ok(Err(LoginError::not_now(why, retry_after.max(SOON))));
            }
            Proven::Absent => LoginError::NotProven(
                "no ID token came for the code, so nobody says who has logged in: ask for the scope `openid`"
                    .into(),
            ),
            Proven::Not(why) => LoginError::NotProven(why),
        };
        self.lose(&name, Some(given)).await?;
        Ok(Err(not))
    }

    async fn make(&self, login: Login, code: CodeName, given: Given, identity: Identity) -> Outcome {
        let timing = self.settings().policy(&code.idp).timing;
        let tokens = Tokens {
            id: given.grant,
            access_token: given.access_token,
            refresh_token: given.refresh_token,
            dpop_key: given.dpop_key,
            token_type: given.token_type,
            scope: given.scope,
            claims: Some(identity.claims),
            original: Some(identity.original),
            expires_at: given.expires_at,
            next_attempt_at: Some(refresh_at(given.issued_at, given.expires_at, &timing, chance())),
        };
        let create = self.create(login, NewGrant::Own(Box::new(tokens)), Some(code), self.now());
        let created = self.surely(&create).await?;
        Ok(match created {
            // Two came with the same code at once: the other's session is there by now.
            Created::CodeUsed => Err(LoginError::not_now("the code is being exchanged", SOON)),
            created => self.created(create.id, created),
        })
    }

    async fn prove_kept(&self, login: &CodeLogin, given: &Given) -> Result<Proven, StoreError> {
        let Some(sealed) = &given.id_token else { return Ok(Proven::Absent) };
        let opened = (
            self.open(&given.grant, 0, Field::IdToken, sealed).await,
            self.open(&given.grant, 0, Field::AccessToken, &given.access_token).await,
        );
        let (Ok(id_token), Ok(access_token)) = opened else {
            // Not ours to open is no verdict: the key may come back.
            return Ok(Proven::NotNow { retry_after: SOON });
        };
        let against = Against::Login { nonce: login.nonce.as_deref() };
        let (idp, now) = (&login.idp, self.now());
        let ask = Proof { idp, id_token: &id_token, access_token: &access_token, against, now };
        Ok(self.upstream.prove(ask).await)
    }

    async fn seal_given(&self, given: &upstream::Given, key: Option<&Secret>, now: Millis) -> Given {
        let grant = GrantId::fresh();
        let seal = async |field, token: Option<&Secret>| match token {
            Some(token) => Some(self.seal_surely(&record(&grant, 0, field), token.as_bytes()).await),
            None => None,
        };
        let tokens = &given.tokens;
        let access = record(&grant, 0, Field::AccessToken);
        Given {
            access_token: self.seal_surely(&access, tokens.access_token.as_bytes()).await,
            refresh_token: seal(Field::RefreshToken, tokens.refresh_token.as_ref()).await,
            id_token: seal(Field::IdToken, given.id_token.as_ref()).await,
            dpop_key: seal(Field::DpopKey, key).await,
            token_type: tokens.token_type,
            scope: tokens.scope.clone(),
            issued_at: now,
            expires_at: tokens.expires_in.map(|life| now.plus(life)),
            grant,
        }
    }

    async fn lose(&self, code: &CodeName, given: Option<Given>) -> Result<(), StoreError> {
        self.surely(&LoseCode { code: code.clone(), given, now: self.now() }).await?;
        self.store.signals().send(crate::worker::REVOCATIONS);
        Ok(())
    }

    /// Runs what must not be lost for as long as somebody may still wait for it, while the store is out.
    async fn surely<O: Operation + Clone>(&self, operation: &O) -> Result<O::Output, StoreError> {
        let until = tokio::time::Instant::now() + UNDER_WAY;
        loop {
            match self.store.run(operation.clone()).await {
                Err(error) if error.is_outage() && tokio::time::Instant::now() < until => {
                    tracing::error!(%error, "what came for a code cannot be kept yet");
                    tokio::time::sleep(PAUSE).await;
                }
                done => return done,
            }
        }
    }
}

impl CodeLogin {
    /// The code's name, and that of all that is presented with it.
    fn names(&self, key: &hmac::Key) -> (CodeName, String) {
        let verifier = self.code_verifier.as_ref().map(|it| it.as_str());
        let (redirect_uri, nonce) = (self.redirect_uri.as_deref(), self.nonce.as_deref());
        let code = [Some(self.idp.as_str()), Some(self.code.as_str())];
        let all = [code[0], code[1], verifier, redirect_uri, nonce];
        (CodeName { idp: self.idp.clone(), hash: hash(key, &code) }, hash(key, &all))
    }
}

/// Every part with its length before it: nothing runs over into the next.
fn hash(key: &hmac::Key, parts: &[Option<&str>]) -> String {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        let length = part.map_or(u64::MAX, |part| part.len() as u64);
        context.update(&length.to_be_bytes());
        context.update(part.unwrap_or_default().as_bytes());
    }
    hex::encode(context.sign())
}
