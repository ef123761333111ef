//! The token endpoint: tokens for a code, new tokens for a refresh token.

use super::channel::{Line, Pass};
use super::dpop::{DPOP, Proof};
use super::failure::{Came, class};
use super::tokens::{Reply, read};
use super::{
    Against, DpopKey, Failure, FailureClass, HeldBack, IdToken, IdTokenClaims, Login, Original, Priority,
    Tokens, Unusable,
};
use crate::Secret;
use crate::fetch::FetchError;
use crate::upstream::Heard;
use account::Millis;
use jose::Compact;
use outbound::{Answer, OutboundError, StatusCode, Url};
use std::time::Duration;

/// How long somebody is left alone who says that it is too much and not for how long.
const TOO_MUCH: Duration = Duration::from_secs(10);

/// A refresh token that is about to be presented.
#[derive(Clone, Copy, Debug)]
pub struct Refresh<'a> {
    /// The refresh token.
    pub refresh_token: &'a Secret,
    /// What the login said.
    pub original: &'a Original,
    /// The key that the grant's tokens are bound to, if they are.
    pub dpop: Option<&'a DpopKey>,
    /// Who waits for it.
    pub priority: Priority,
}

/// A code that is about to be exchanged for tokens.
#[derive(Clone, Copy, Debug)]
pub struct CodeExchange<'a> {
    /// The authorization code.
    pub code: &'a Secret,
    /// The `code_verifier` (RFC 7636), if there was a challenge.
    pub code_verifier: Option<&'a Secret>,
    /// The `redirect_uri` of the authorization request, if another than the configured one.
    pub redirect_uri: Option<&'a str>,
    /// The `nonce` of the authorization request, if it had one.
    pub nonce: Option<&'a str>,
    /// The key that the tokens are to be bound to, if they are.
    pub dpop: Option<&'a DpopKey>,
}

/// What a token endpoint has given.
#[derive(Clone, Debug, PartialEq)]
pub struct Granted {
    /// The tokens.
    pub tokens: Tokens,
    /// What the ID token among them is worth.
    pub id_token: IdToken,
}

/// Why it has given nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGranted {
    /// It was not asked.
    #[error(transparent)]
    HeldBack(#[from] HeldBack),
    /// It was asked, or could not be.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// What is posted.
struct Post<'a> {
    name: &'static str,
    fields: &'a [(&'a str, &'a str)],
    dpop: Option<&'a DpopKey>,
    priority: Priority,
}

impl Login {
    /// Presents a refresh token, once (RFC 6749 section 6). `now` is when the caller's request or tick began.
    ///
    /// The answer may carry a refresh token that replaces the old one; where it does not, the old one goes on counting. An ID
    /// token is held against the login's; that never loses the tokens. See [`FailureClass`] for what a failure means.
    pub async fn refresh(&self, ask: &Refresh<'_>, now: Millis) -> Result<Granted, NotGranted> {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", ask.refresh_token.reveal())];
        let post = Post { name: "refresh", fields: &fields, dpop: ask.dpop, priority: ask.priority };
        let (tokens, now) = self.tokens(&post, now).await?;
        Ok(self.granted(tokens, Against::Original(ask.original), now).await)
    }

    /// Exchanges a code for tokens, once (RFC 6749 section 4.1.3). Who has logged in is said by a good ID token and by
    /// nothing else: one that cannot be verified now is verified later.
    pub async fn exchange_code(&self, ask: &CodeExchange<'_>, now: Millis) -> Result<Granted, NotGranted> {
        let mut fields = vec![("grant_type", "authorization_code"), ("code", ask.code.reveal())];
        fields.extend(ask.redirect_uri.or(self.redirect_uri()).map(|uri| ("redirect_uri", uri)));
        fields.extend(ask.code_verifier.map(|verifier| ("code_verifier", verifier.reveal())));
        let post = Post { name: "code", fields: &fields, dpop: ask.dpop, priority: Priority::Waited };
        let (tokens, now) = self.tokens(&post, now).await?;
        Ok(self.granted(tokens, Against::Login { nonce: ask.nonce }, now).await)
    }

    /// Verifies an ID token that was set aside ([`IdToken::NotNow`]). `access_token` is the one that came with it.
    pub async fn verify_id_token(
        &self,
        id_token: &Secret,
        access_token: &Secret,
        against: Against<'_>,
        now: Millis,
    ) -> IdToken {
        let Ok(token) = Compact::split(id_token.reveal()) else {
            return IdToken::Unusable(Unusable::Malformed);
        };
        let claims = token.payload().ok().and_then(|payload| IdTokenClaims::read(&payload));
        let Some(claims) = claims else { return IdToken::Unusable(Unusable::Malformed) };
        if let Err(flaw) = claims.judge(&self.parties(), against, access_token, now) {
            return flaw.into();
        }
        let Ok(header) = token.header() else { return IdToken::Unusable(Unusable::Algorithm) };
        match self.verify_signature(&token, &header).await {
            Ok(()) => IdToken::Verified(Box::new(claims)),
            Err(super::BadSeal::Algorithm) => IdToken::Unusable(Unusable::Algorithm),
            Err(super::BadSeal::Signature) => IdToken::Unusable(Unusable::Signature),
            Err(super::BadSeal::NotNow { retry_after }) => IdToken::NotNow { retry_after },
        }
    }

    async fn granted(&self, tokens: Tokens, against: Against<'_>, now: Millis) -> Granted {
        let id_token = match &tokens.id_token {
            Some(id_token) => self.verify_id_token(id_token, &tokens.access_token, against, now).await,
            None => IdToken::Absent,
        };
        self.note_id_token(&id_token, now);
        Granted { tokens, id_token }
    }

    /// The tokens, and the time then.
    async fn tokens(&self, post: &Post<'_>, now: Millis) -> Result<(Tokens, Millis), NotGranted> {
        let endpoints = match self.directory.endpoints().await {
            Ok(endpoints) => endpoints,
            Err(error) => return Err(self.failed(post, undirected(&error), now).into()),
        };
        let pass = match self.channel.leave(Line::Token, post.priority, now).await {
            Ok(pass) => pass,
            Err(held) => {
                self.meters.held_back(post.name);
                return Err(held.into());
            }
        };
        let (sent, answer) = (tokio::time::Instant::now(), self.post(post, &endpoints.token, &pass).await);
        let told = understand(answer);
        let now = pass.heard(told.as_ref().map_or_else(heard, |_| Heard::Answer));
        self.meters.timed(post.name, sent.elapsed());
        match told {
            Ok(tokens) => {
                self.meters.came(post.name, "granted");
                self.is_well();
                Ok((tokens, now))
            }
            Err((failure, _)) => Err(self.failed(post, failure, now).into()),
        }
    }

    fn failed(&self, post: &Post<'_>, failure: Failure, now: Millis) -> Failure {
        self.meters.came(post.name, failure.class.as_str());
        self.note(failure.class.as_str(), &failure.text, now);
        failure
    }

    /// The one POST; and a second where the server says that it took nothing and wants its nonce in the proof (RFC 9449
    /// section 8).
    async fn post(&self, post: &Post<'_>, url: &Url, pass: &Pass<'_>) -> Result<Answer, OutboundError> {
        let answer = self.post_once(post, url, pass).await?;
        let has_nonce = self.token_nonce.learn(answer.headers());
        let wants_nonce = post.dpop.is_some()
            && matches!(answer.status(), StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED)
            && matches!(read(answer.body()), Reply::Error { error, .. } if &*error == "use_dpop_nonce");
        if !(has_nonce && wants_nonce) {
            return Ok(answer);
        }
        let answer = self.post_once(post, url, pass).await?;
        self.token_nonce.learn(answer.headers());
        Ok(answer)
    }

    async fn post_once(&self, post: &Post<'_>, url: &Url, pass: &Pass<'_>) -> Result<Answer, OutboundError> {
        let request = self.auth.post_form(&self.channel.client, url, post.fields, pass.now());
        let request = request.accept_json().deadline(pass.left());
        let Some(key) = post.dpop else { return request.send().await };
        let nonce = self.token_nonce.latest();
        let about =
            Proof { method: "POST", url, access_token: None, nonce: nonce.as_deref(), now: pass.now() };
        request.header(DPOP, key.proof(&about)).send().await
    }
}

/// It is not known where to ask: nothing was sent.
fn undirected(error: &FetchError) -> Failure {
    Failure {
        class: class(Came::NeverArrived),
        retry_after: error.retry_after(),
        error: None,
        text: format!("its endpoints are not known: {error}").into(),
    }
}

/// The tokens, or what failed and with which status.
fn understand(answer: Result<Answer, OutboundError>) -> Result<Tokens, (Failure, Option<StatusCode>)> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let came = if error.never_arrived() { Came::NeverArrived } else { Came::Lost };
            let text = error.to_string().into();
            return Err((Failure { class: class(came), retry_after: None, error: None, text }, None));
        }
    };
    let status = answer.status();
    let (error, description) = match read(answer.body()) {
        Reply::Tokens(tokens) if status.is_success() => return Ok(tokens),
        Reply::Error { error, description } => (Some(error), description),
        Reply::Tokens(_) | Reply::Neither => (None, None),
    };
    let told = answer.retry_after();
    let class = class(Came::Answer { status, error: error.as_deref(), wants_pause: told.is_some() });
    let retry_after = told.or((class == FailureClass::Throttled).then_some(TOO_MUCH));
    let mut text = format!("the token endpoint answered {status}");
    for part in [&error, &description].into_iter().flatten() {
        text.push_str(": ");
        text.push_str(part);
    }
    Err((Failure { class, retry_after, error, text: text.into() }, Some(status)))
}

/// What a failure tells of the endpoint. Whoever refuses one grant is there; but one that does not know us knows us no
/// better the next time.
fn heard((failure, status): &(Failure, Option<StatusCode>)) -> Heard {
    let is_about_us = failure.error.as_deref() == Some("invalid_client")
        || (failure.error.is_none() && *status == Some(StatusCode::UNAUTHORIZED));
    let is_about_one = match failure.class {
        FailureClass::Terminal => true,
        FailureClass::Misconfigured => !is_about_us,
        FailureClass::KnownFailed => status.is_some_and(|status| status.is_client_error()),
        FailureClass::Throttled | FailureClass::Ambiguous => false,
    };
    if is_about_one { Heard::Answer } else { Heard::Failure { retry_after: failure.retry_after } }
}
