//! Asking for tokens where none can be sent (RFC 8936).

use super::{Heard, Listener, Refusal, Way, replying};
use crate::Secret;
use account::Millis;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use outbound::{Answer, Client, Manners, OutboundError, Url};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A transmitter may hold a question back until there is something to tell.
const LONGEST: Duration = Duration::from_mins(1);
const LARGEST: usize = 16 * 1024 * 1024;

/// Why tokens cannot be asked for.
#[derive(Debug, thiserror::Error)]
pub enum CannotPoll {
    /// The token cannot stand in a header.
    #[error("the bearer token has characters that cannot stand in a header")]
    Token,
    /// The HTTP client cannot be built.
    #[error(transparent)]
    Client(#[from] outbound::CannotBuild),
    /// The transmitter does not answer as it should.
    #[error(transparent)]
    Asking(#[from] OutboundError),
}

/// Asks a transmitter for tokens and acknowledges those that are good.
pub struct Poller {
    listener: Listener,
    client: Client,
    url: Url,
    authorization: HeaderValue,
    /// What the next question says of the tokens of the last answer.
    acknowledge: Vec<String>,
    complain: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tokens {
    #[serde(default)]
    sets: BTreeMap<String, String>,
    #[serde(default)]
    more_available: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Question<'a> {
    return_immediately: bool,
    ack: &'a [String],
    set_errs: &'a BTreeMap<String, Value>,
}

impl Poller {
    /// Asks at that URL with a bearer token; what comes is checked and handed over by the listener.
    pub fn new(listener: Listener, url: Url, token: &Secret) -> Result<Self, CannotPoll> {
        let text = format!("Bearer {}", token.reveal());
        let mut authorization = HeaderValue::from_str(&text).map_err(|_| CannotPoll::Token)?;
        authorization.set_sensitive(true);
        let manners = Manners { deadline: LONGEST, max_answer: LARGEST, ..Manners::default() };
        let client = Client::for_operator_addresses(&manners)?;
        let (acknowledge, complain) = (Vec::new(), BTreeMap::new());
        Ok(Self { listener, client, url, authorization, acknowledge, complain })
    }

    /// Asks until it is told to stop; then says what became of the last tokens. Ends early when the transmitter does not
    /// answer as it should.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), CannotPoll> {
        // A question that is dropped midway has said nothing that would be lost: what was acknowledged is said again.
        while let Some(turned) = stop.run_until_cancelled(self.turn()).await {
            turned?;
        }
        self.settle().await.map(drop)
    }

    /// Asks once: says what became of the last tokens, waits until there are new ones or the transmitter gives up
    /// waiting, checks them and hands them over. Says whether there are more at once.
    pub async fn turn(&mut self) -> Result<bool, CannotPoll> {
        self.ask(false).await
    }

    /// Says what became of the last tokens without waiting for new ones; those that come are handled as in a turn.
    pub async fn settle(&mut self) -> Result<bool, CannotPoll> {
        self.ask(true).await
    }

    async fn ask(&mut self, return_immediately: bool) -> Result<bool, CannotPoll> {
        let question = Question { return_immediately, ack: &self.acknowledge, set_errs: &self.complain };
        let request = self.client.post_json(&self.url, &question).accept_json();
        let answer = request.header(AUTHORIZATION, self.authorization.clone()).send().await;
        let tokens: Tokens = answer.and_then(Answer::success)?.json()?;
        self.acknowledge.clear();
        self.complain.clear();
        for (jti, token) in tokens.sets {
            self.take(jti, &token).await;
        }
        Ok(tokens.more_available)
    }

    /// What is acknowledged was handed over before: somebody has it.
    async fn take(&mut self, jti: String, token: &str) {
        let heard = self.listener.polled(token).await;
        let refusal = heard.refusal.clone();
        self.listener.hand_over(heard).await;
        match refusal {
            None => self.acknowledge.push(jti),
            // Trouble of ours is never the token's fault: it comes again.
            Some(Refusal::KeysUnavailable) => {}
            Some(refusal) => {
                let error = json!({ "err": replying::err(&refusal), "description": refusal.to_string() });
                self.complain.insert(jti, error);
            }
        }
    }
}

impl Listener {
    async fn polled(&self, token: &str) -> Heard {
        let at: Millis = self.now();
        let mut heard = Heard::nothing(at, Way::Poll);
        heard.refusal = self.0.trust.check_token(token, &mut heard).await.err();
        heard.duplicate =
            heard.is_good() && heard.id.as_deref().is_some_and(|id| self.0.seen.lock().again(id));
        heard
    }
}
