//! One question and its answer over HTTP.

use crate::client_auth::ClientAuth;
use crate::introspection::Unreadable;
use crate::upstream::Heard;
use crate::{Protocol, Trouble};
use account::Millis;
use outbound::{Answer, Client, OutboundError, Request, StatusCode, Url};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::Instant;

/// How long somebody is left alone who says that it is too much and not for how long.
const TOO_MUCH: Duration = Duration::from_secs(10);

/// Whom to ask, and how.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) client: Client,
    pub(super) url: Url,
    pub(super) protocol: Protocol,
    pub(super) auth: ClientAuth,
}

/// Why there is no answer that could be understood.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Http(#[from] OutboundError),
    /// It asks for a pause.
    #[error("it is asked too much: {status}")]
    TooMuch { status: StatusCode, retry_after: Duration },
    /// It looks into no token of this kind, now or ever.
    #[error("it does not look into tokens of this kind")]
    Unsupported,
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

impl Exchange {
    /// The body of an answer of success. RFC 7662 section 2.2: that a token is unknown is no error, so every other status
    /// is trouble.
    pub(super) async fn answer(
        &self,
        token: &str,
        now: Millis,
        begun: Instant,
        deadline: Duration,
    ) -> Result<bytes::Bytes, Failure> {
        let left = || deadline.saturating_sub(begun.elapsed());
        let ask = || self.request(token, now).accept_json().deadline(left()).send();
        let answer = match ask().await {
            // Nothing arrived there: this, and nothing else, can be said again without being asked twice.
            Err(OutboundError::Connect { .. }) => ask().await?,
            answer => answer?,
        };
        match answer.status() {
            StatusCode::OK => Ok(answer.body().clone()),
            _ => Err(self.failure(&answer)),
        }
    }

    /// The hint spares the other side the search among refresh tokens, which are no good here anyway.
    fn request(&self, token: &str, now: Millis) -> Request {
        const HINT: &str = "access_token";
        #[derive(Serialize)]
        struct Body<'a> {
            token: &'a str,
            token_type_hint: &'a str,
        }
        match self.protocol {
            Protocol::Fxa => self.client.post_json(&self.url, &Body { token, token_type_hint: HINT }),
            Protocol::Rfc7662 => {
                let fields = [("token", token), ("token_type_hint", HINT)];
                self.auth.post_form(&self.client, &self.url, &fields, now)
            }
        }
    }

    fn failure(&self, answer: &Answer) -> Failure {
        /// Mozilla accounts' errors: 114 comes with 429, 125 with 400 when an address is banned.
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Said {
            errno: Option<u32>,
            retry_after: Option<u32>,
        }
        const BANNED: u32 = 125;
        let said: Said = match self.protocol {
            Protocol::Fxa => jose::from_object(answer.body()).unwrap_or_default(),
            Protocol::Rfc7662 if is_unsupported(answer) => return Failure::Unsupported,
            Protocol::Rfc7662 => Said::default(),
        };
        let status = answer.status();
        if status != StatusCode::TOO_MANY_REQUESTS && said.errno != Some(BANNED) {
            return answer.failure().into();
        }
        let told = said.retry_after.map(|seconds| Duration::from_secs(seconds.min(3600).into()));
        let retry_after = answer.retry_after().max(told).unwrap_or(TOO_MUCH);
        Failure::TooMuch { status, retry_after }
    }
}

impl Failure {
    /// What it tells of the other side. Whoever answers with a reason to refuse one question is there; but one that does
    /// not know us (401) knows us no better the next time.
    pub(super) fn heard_in(failure: Option<&Self>) -> Heard {
        let Some(failure) = failure else { return Heard::Answer };
        let retry_after = failure.retry_after();
        match failure {
            Self::Unsupported | Self::Unreadable(Unreadable::Member(_) | Unreadable::Twice) => Heard::Answer,
            Self::Http(error)
                if retry_after.is_none() && error.status().is_some_and(is_about_one_question) =>
            {
                Heard::Answer
            }
            _ => Heard::Failure { retry_after },
        }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Http(error) => error.retry_after(),
            Self::TooMuch { retry_after, .. } => Some(*retry_after),
            Self::Unsupported | Self::Unreadable(_) => None,
        }
    }

    pub(super) fn trouble(&self) -> Trouble {
        match self {
            Self::Http(OutboundError::Timeout { .. }) => Trouble::Timeout,
            Self::Http(OutboundError::Status { .. }) | Self::TooMuch { .. } | Self::Unsupported => {
                Trouble::Status
            }
            Self::Http(OutboundError::TooLarge { .. } | OutboundError::Unreadable { .. })
            | Self::Unreadable(_) => Trouble::Unreadable,
            Self::Http(_) => Trouble::Unreachable,
        }
    }
}

/// RFC 7009 section 2.2.1 has the word for revocation; it is said of introspection as well.
fn is_unsupported(answer: &Answer) -> bool {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Said {
        error: String,
    }
    let said = || jose::from_object::<Said>(answer.body()).unwrap_or_default();
    answer.status() == StatusCode::BAD_REQUEST && said().error == "unsupported_token_type"
}

fn is_about_one_question(status: StatusCode) -> bool {
    status.is_client_error() && !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::REQUEST_TIMEOUT)
}
