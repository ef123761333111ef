//! Taking tokens back at the identity provider (RFC 7009).

use super::channel::Line;
use super::tokens::{Reply, read};
use super::{HeldBack, Login, Priority};
use crate::Secret;
use crate::fetch::FetchError;
use crate::upstream::Heard;
use account::Millis;
use outbound::{Answer, OutboundError, StatusCode, Url};
use std::time::Duration;

/// The tokens of a grant that is to be no more.
#[derive(Clone, Copy, Debug)]
pub struct Revocation<'a> {
    /// Its refresh token: with it goes the whole grant.
    pub refresh_token: Option<&'a Secret>,
    /// Its access token, for those who cannot take back a refresh token.
    pub access_token: Option<&'a Secret>,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// The identity provider knows the refresh token no more.
    RefreshToken,
    /// It cannot take back refresh tokens, or there was none; the access token it knows no more.
    AccessToken,
    /// Nothing: it takes nothing back. The tokens end by themselves.
    Nothing,
}

/// Why it is not done. It is to be tried again until it is, since trying twice does no harm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRevoked {
    /// The identity provider was not asked.
    #[error(transparent)]
    HeldBack(#[from] HeldBack),
    /// It cannot do it now, or cannot be asked.
    #[error("{text}")]
    Later {
        /// When it wants to be asked again, if it said so.
        retry_after: Option<Duration>,
        /// What happened.
        text: Box<str>,
    },
    /// It does not do it for us: somebody must mend the configuration.
    #[error("the identity provider does not take it back for us: {error}")]
    Refused {
        /// Its error code, or its status.
        error: Box<str>,
    },
}

/// What the endpoint said of one token.
enum Said {
    Gone,
    Unsupported,
}

impl Login {
    /// Takes a grant back: its refresh token, or where that cannot be done its access token. A token that is unknown there is
    /// as good as taken back (section 2.2). `now` is when the caller's request or tick began.
    pub async fn revoke(&self, what: &Revocation<'_>, now: Millis) -> Result<Revoked, NotRevoked> {
        let done = self.revoke_best(what, now).await;
        self.meters.came("revocation", done.as_ref().map_or_else(NotRevoked::as_str, |done| done.as_str()));
        match &done {
            Err(NotRevoked::HeldBack(_)) | Ok(_) => {}
            Err(error) => self.note("revocation", &error.to_string(), now),
        }
        done
    }

    async fn revoke_best(&self, what: &Revocation<'_>, now: Millis) -> Result<Revoked, NotRevoked> {
        let endpoints = self.directory.endpoints().await?;
        let Some(url) = &endpoints.revocation else { return Ok(Revoked::Nothing) };
        let kinds = [
            (what.refresh_token, "refresh_token", Revoked::RefreshToken),
            (what.access_token, "access_token", Revoked::AccessToken),
        ];
        for (token, hint, done) in kinds {
            let Some(token) = token else { continue };
            match self.revoke_one(url, token, hint, now).await? {
                Said::Gone => return Ok(done),
                Said::Unsupported => {}
            }
        }
        Ok(Revoked::Nothing)
    }

    async fn revoke_one(
        &self,
        url: &Url,
        token: &Secret,
        hint: &str,
        now: Millis,
    ) -> Result<Said, NotRevoked> {
        let pass = self.channel.leave(Line::Revocation, Priority::Background, now).await?;
        let fields = [("token", token.reveal()), ("token_type_hint", hint)];
        let request = self.auth.post_form(&self.channel.client, url, &fields, pass.now());
        let sent = tokio::time::Instant::now();
        let said = request.accept_json().deadline(pass.left()).glance().await;
        self.meters.timed("revocation", sent.elapsed());
        let said = said.map_err(NotRevoked::from).and_then(|answer| understand(&answer));
        pass.heard(said.as_ref().map_or_else(NotRevoked::heard, |_| Heard::Answer));
        said
    }
}

/// Section 2.2.1. `invalid_token` is what some say, against section 2.2, of a token that is no more.
fn understand(answer: &Answer) -> Result<Said, NotRevoked> {
    let status = answer.status();
    if status.is_success() {
        return Ok(Said::Gone);
    }
    let is_later = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
        || !status.is_client_error();
    if is_later {
        return Err(answer.failure().into());
    }
    match read(answer.body()) {
        Reply::Error { error, .. } => match &*error {
            "unsupported_token_type" => Ok(Said::Unsupported),
            "invalid_token" | "invalid_grant" => Ok(Said::Gone),
            "temporarily_unavailable" | "server_error" => Err(answer.failure().into()),
            _ => Err(NotRevoked::Refused { error }),
        },
        Reply::Tokens(_) | Reply::Neither => Err(NotRevoked::Refused { error: status.as_str().into() }),
    }
}

impl Revoked {
    /// Its name, for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RefreshToken => "refresh_token",
            Self::AccessToken => "access_token",
            Self::Nothing => "nothing",
        }
    }
}

impl NotRevoked {
    /// Its name, for metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::HeldBack(_) => "held_back",
            Self::Later { .. } => "later",
            Self::Refused { .. } => "refused",
        }
    }

    /// When to try again, if that was said.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::HeldBack(held) => Some(held.retry_after()),
            Self::Later { retry_after, .. } => *retry_after,
            Self::Refused { .. } => None,
        }
    }

    fn heard(&self) -> Heard {
        match self {
            Self::Later { retry_after, .. } => Heard::Failure { retry_after: *retry_after },
            Self::Refused { error } if &**error == "invalid_client" => Heard::Failure { retry_after: None },
            Self::Refused { .. } | Self::HeldBack(_) => Heard::Answer,
        }
    }
}

impl From<OutboundError> for NotRevoked {
    fn from(error: OutboundError) -> Self {
        Self::Later { retry_after: error.retry_after(), text: error.to_string().into() }
    }
}

impl From<FetchError> for NotRevoked {
    fn from(error: FetchError) -> Self {
        let text = format!("its endpoints are not known: {error}").into();
        Self::Later { retry_after: error.retry_after(), text }
    }
}
