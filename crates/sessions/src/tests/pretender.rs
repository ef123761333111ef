//! An identity provider without a socket: it rotates strictly, and finds out who presents a token twice. For the tests that
//! need to say what it does at which moment; those with sockets use the stand-in.

use super::{Object, main_idp};
use crate::upstream::{
    Ask, Class, Code, Fresh, Given, NotHeard, Proof, Proven, Revoked, Secret, SignedOut, Standing, ToRevoke,
    TokenType, Trouble, Upstream, UserAsk, UserTrouble,
};
use account::{IdpId, Millis, Subject};
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use zeroize::Zeroizing;

/// What it does with refresh tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// What it should.
    Well,
    /// It does not take the token.
    Fails(Class, Option<Duration>),
    /// It takes it, and the answer is lost.
    LosesAnswers,
    /// The request never arrives, and nobody can tell.
    LosesRequests,
    /// It answers, when it is let.
    Holds,
}

#[derive(Debug)]
pub(super) struct Pretender {
    state: Mutex<State>,
    pub(super) held: tokio::sync::Semaphore,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    rotates: bool,
    expires_in: Option<Duration>,
    /// What each user's family has now; absent once it is revoked.
    current: HashMap<String, (String, u32)>,
    presented: HashMap<String, u32>,
    revoked: HashSet<String>,
    claims: Option<crate::Object>,
    reuses: u32,
    logins: u32,
}

impl Pretender {
    pub(super) fn new() -> Arc<Self> {
        let state = State {
            mode: Mode::Well,
            rotates: true,
            expires_in: Some(super::HOUR),
            current: HashMap::new(),
            presented: HashMap::new(),
            revoked: HashSet::new(),
            claims: None,
            reuses: 0,
            logins: 0,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            held: tokio::sync::Semaphore::new(0),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
        })
    }

    pub(super) fn set(&self, mode: Mode) {
        self.state.lock().mode = mode;
    }

    pub(super) fn rotates(&self, rotates: bool) {
        self.state.lock().rotates = rotates;
    }

    pub(super) fn tokens_live(&self, life: Option<Duration>) {
        self.state.lock().expires_in = life;
    }

    pub(super) fn says(&self, claims: &serde_json::Value) {
        self.state.lock().claims = claims.as_object().cloned();
    }

    /// An access and a refresh token.
    pub(super) fn log_in(&self, name: &str) -> (String, String) {
        let mut state = self.state.lock();
        state.logins += 1;
        let family = format!("{name}.{}", state.logins);
        let token = format!("refresh-secret-{family}.0");
        state.current.insert(family.clone(), (token.clone(), 0));
        (format!("access-secret-{family}.0"), token)
    }

    /// How often anything was presented.
    pub(super) fn presentations(&self) -> u32 {
        self.state.lock().presented.values().sum()
    }

    /// The most that one token was presented.
    pub(super) fn most_of_one(&self) -> u32 {
        self.state.lock().presented.values().copied().max().unwrap_or_default()
    }

    /// How often a token was presented that had been used.
    pub(super) fn reuses(&self) -> u32 {
        self.state.lock().reuses
    }

    pub(super) fn revoked(&self) -> Vec<String> {
        let mut revoked: Vec<String> = self.state.lock().revoked.iter().cloned().collect();
        revoked.sort();
        revoked
    }

    pub(super) fn most_under_way(&self) -> usize {
        self.most_under_way.load(Ordering::SeqCst)
    }

    async fn answer(&self, token: &str) -> Result<Fresh, Trouble> {
        let mode = {
            let mut state = self.state.lock();
            if state.mode != Mode::LosesRequests {
                *state.presented.entry(token.to_owned()).or_default() += 1;
            }
            state.mode.clone()
        };
        let trouble = |class, retry_after| Trouble { class, retry_after, text: "as it was told to".into() };
        match mode {
            Mode::Well => self.grant(token),
            Mode::Fails(class, retry_after) => Err(trouble(class, retry_after)),
            Mode::LosesAnswers => {
                drop(self.grant(token));
                Err(trouble(Class::Ambiguous, None))
            }
            Mode::LosesRequests => Err(trouble(Class::Ambiguous, None)),
            Mode::Holds => {
                self.held.acquire().await.expect("it is open").forget();
                self.grant(token)
            }
        }
    }

    fn grant(&self, token: &str) -> Result<Fresh, Trouble> {
        let mut state = self.state.lock();
        let (rotates, expires_in) = (state.rotates, state.expires_in);
        let family =
            token.trim_start_matches("refresh-secret-").rsplit_once('.').expect("a family").0.to_owned();
        let terminal = Trouble { class: Class::Terminal, retry_after: None, text: "invalid_grant".into() };
        let Some((current, number)) = state.current.get_mut(&family) else { return Err(terminal) };
        if current != token {
            state.reuses += 1;
            state.current.remove(&family);
            return Err(terminal);
        }
        *number += 1;
        let access_token = format!("access-secret-{family}.{number}");
        if rotates {
            *current = format!("refresh-secret-{family}.{number}");
        }
        let refresh_token = rotates.then(|| Zeroizing::new(current.clone()));
        let claims = state.claims.clone();
        Ok(Fresh {
            access_token: Zeroizing::new(access_token),
            token_type: TokenType::Bearer,
            expires_in,
            refresh_token,
            scope: None,
            claims,
            set_aside: None,
        })
    }
}

impl Upstream for Pretender {
    fn idps(&self) -> Vec<IdpId> {
        vec![main_idp()]
    }

    fn standing(&self, _: &IdpId, _: Millis) -> Standing {
        Standing { breaker: "closed", spared_for: Duration::ZERO, room: 1_000 }
    }

    /// It knows no codes: the tests that have one ask the stand-in.
    fn exchange<'a>(&'a self, _: Code<'a>) -> BoxFuture<'a, Result<Given, Trouble>> {
        let text = "it knows no codes".into();
        async { Err(Trouble { class: Class::Terminal, retry_after: None, text }) }.boxed()
    }

    fn prove<'a>(&'a self, _: Proof<'a>) -> BoxFuture<'a, Proven> {
        async { Proven::Not("it gives no ID tokens".into()) }.boxed()
    }

    fn fresh_key(&self, _: &IdpId) -> Result<Option<Secret>, Trouble> {
        Ok(None)
    }

    fn check_key(&self, _: &IdpId, _: Option<&str>) -> Result<(), String> {
        Ok(())
    }

    fn refresh<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Result<Fresh, Trouble>> {
        async move {
            let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_under_way.fetch_max(under_way, Ordering::SeqCst);
            tokio::task::yield_now().await;
            let answer = self.answer(ask.refresh_token).await;
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            answer
        }
        .boxed()
    }

    fn userinfo_room(&self, _: &IdpId, _: Millis) -> usize {
        0
    }

    fn userinfo<'a>(&'a self, _: UserAsk<'a>) -> BoxFuture<'a, Result<Object, UserTrouble>> {
        async { Err(UserTrouble::Nothing) }.boxed()
    }

    /// `sid SID`, or `user SUBJECT MILLISECONDS`.
    fn signed_out<'a>(
        &'a self,
        _: &'a IdpId,
        logout_token: &'a str,
        _: Millis,
    ) -> BoxFuture<'a, Result<SignedOut, NotHeard>> {
        let words: Vec<&str> = logout_token.split(' ').collect();
        let heard = match words.as_slice() {
            ["sid", sid] => Ok(SignedOut::Login((*sid).to_owned())),
            ["user", subject, at] => Ok(SignedOut::User {
                subject: Subject::new(subject).expect("valid"),
                at: Millis::new(at.parse().expect("a number")),
            }),
            ["later"] => Err(NotHeard::Unavailable { retry_after: Duration::from_secs(7) }),
            _ => Err(NotHeard::Invalid("it is not good".into())),
        };
        async move { heard }.boxed()
    }

    fn revoke<'a>(&'a self, tokens: ToRevoke<'a>) -> BoxFuture<'a, Result<Revoked, Trouble>> {
        async move {
            let mode = self.state.lock().mode.clone();
            if let Mode::Fails(class, retry_after) = mode {
                return Err(Trouble { class, retry_after, text: "as it was told to".into() });
            }
            let token = tokens.refresh_token.or(tokens.access_token).expect("one of them");
            self.state.lock().revoked.insert(token.to_owned());
            Ok(if tokens.refresh_token.is_some() { Revoked::RefreshToken } else { Revoked::AccessToken })
        }
        .boxed()
    }
}
