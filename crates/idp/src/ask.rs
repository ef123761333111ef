//! Asking the identity provider what a token means: `POST <server>/v1/verify`.

use account::Subject;
use metrics::Counter;
use outbound::{Answer, Client, OutboundError, StatusCode, Url};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long to stay away when the identity provider does not say.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(10);

/// What the identity provider says of a token it accepts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Told {
    /// The account's subject.
    pub user: Subject,
    /// The scopes granted.
    pub scope: Vec<String>,
    /// The OAuth client the token was given to.
    #[serde(default)]
    pub client_id: Option<String>,
    /// When the account's credentials last changed before the token was given, in milliseconds since the epoch.
    #[serde(default)]
    pub generation: Option<i64>,
    /// When the profile last changed, in milliseconds since the epoch.
    #[serde(default)]
    pub profile_changed_at: Option<i64>,
}

/// Why the identity provider's word is not to be had, or is a no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// It says that the token is not good (a 4xx other than 408 and 429).
    #[error("the identity provider refuses the token")]
    Refused,
    /// It cannot be asked, or what it says cannot be understood. Never the token's fault.
    #[error("the identity provider cannot be asked now")]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
    /// It was asked and did not answer in time.
    #[error("the identity provider does not answer in time")]
    TimedOut {
        /// When to try again.
        retry_after: Duration,
    },
}

/// The endpoint, with a limit on the questions in flight.
#[derive(Debug)]
pub(crate) struct Asking {
    idp: Box<str>,
    client: Client,
    url: Url,
    deadline: Duration,
    in_flight: Semaphore,
    in_trouble: AtomicBool,
    counters: Counters,
}

#[derive(Debug)]
struct Counters {
    accepted: Counter,
    refused: Counter,
    unavailable: Counter,
}

/// Why there is no [`Told`].
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("it refuses the token")]
    Refused,
    #[error("too many questions are waiting for it")]
    Full,
    #[error("its answer is not what it should be")]
    Unreadable,
    #[error(transparent)]
    Http(#[from] OutboundError),
}

impl Asking {
    pub(crate) fn new(client: Client, url: Url, deadline: Duration, max_in_flight: usize, idp: &str) -> Self {
        let in_flight = Semaphore::new(max_in_flight.min(Semaphore::MAX_PERMITS));
        let (in_trouble, counters) = (AtomicBool::new(false), Counters::of(idp));
        Self { idp: Box::from(idp), client, url, deadline, in_flight, in_trouble, counters }
    }

    /// Waiting for a free place counts against the deadline.
    pub(crate) async fn ask(&self, token: &str) -> Result<Told, AskError> {
        let told = self.exchange(token).await.and_then(|answer| judge(&answer));
        self.note(&told);
        told.map_err(AskError::from)
    }

    async fn exchange(&self, token: &str) -> Result<Answer, Failure> {
        #[derive(Serialize)]
        struct Question<'a> {
            token: &'a str,
        }
        let began = tokio::time::Instant::now();
        let place = tokio::time::timeout(self.deadline, self.in_flight.acquire()).await;
        let _place = place.map_err(|_| Failure::Full)?.expect("the semaphore is never closed");
        let left = self.deadline.saturating_sub(began.elapsed());
        let question = self.client.post_json(&self.url, &Question { token }).accept_json();
        Ok(question.deadline(left).send().await?)
    }

    /// Counts each answer; logs when trouble begins and when it ends.
    fn note(&self, told: &Result<Told, Failure>) {
        let (counter, trouble) = match told {
            Ok(_) => (&self.counters.accepted, None),
            Err(Failure::Refused) => (&self.counters.refused, None),
            Err(trouble) => (&self.counters.unavailable, Some(trouble)),
        };
        counter.increment(1);
        let was_in_trouble = self.in_trouble.swap(trouble.is_some(), Ordering::Relaxed);
        match trouble {
            Some(error) if !was_in_trouble => {
                tracing::warn!(idp = %self.idp, %error, "the identity provider cannot be asked about tokens");
            }
            None if was_in_trouble => {
                tracing::info!(idp = %self.idp, "the identity provider can be asked about tokens again");
            }
            _ => {}
        }
    }
}

/// A 4xx is a no, except those that mean "not now". Whatever is neither a no nor a readable 200 is trouble.
fn judge(answer: &Answer) -> Result<Told, Failure> {
    match answer.status() {
        StatusCode::OK => jose::from_object(answer.body()).map_err(|_| Failure::Unreadable),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Err(answer.failure().into()),
        status if status.is_client_error() => Err(Failure::Refused),
        _ => Err(answer.failure().into()),
    }
}

impl From<Failure> for AskError {
    fn from(failure: Failure) -> Self {
        let retry_after = match failure {
            Failure::Refused => return Self::Refused,
            Failure::Http(OutboundError::Timeout { .. }) => {
                return Self::TimedOut { retry_after: RETRY_AFTER };
            }
            Failure::Full | Failure::Unreadable => None,
            Failure::Http(error) => error.retry_after(),
        };
        Self::Unavailable { retry_after: retry_after.unwrap_or(RETRY_AFTER) }
    }
}

impl Counters {
    fn of(idp: &str) -> Self {
        metrics::describe_counter!("idp.questions", "Questions to an identity provider about tokens");
        let counter =
            |outcome| metrics::counter!("idp.questions", "idp" => idp.to_owned(), "outcome" => outcome);
        Self {
            accepted: counter("accepted"),
            refused: counter("refused"),
            unavailable: counter("unavailable"),
        }
    }
}
