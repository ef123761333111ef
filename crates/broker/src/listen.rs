//! A local receiver: it takes what a transmitter sends, verifies it as strictly as a good receiver should, and hands
//! each to whoever prints it.
//!
//! It speaks the three ways in which it can be told, on any path: a token in `Authorization` (as fxa-event-broker sends
//! it), a token as a body (RFC 8935), and Standard Webhooks 1.0. Where nothing can be sent to, [`Poller`] asks for the
//! tokens instead (RFC 8936).

mod checking;
mod heard;
mod poll;
mod replying;
mod trust;
mod webhook;

pub use checking::Refusal;
pub use heard::{Heard, Way};
pub use poll::{CannotPoll, Poller};
pub use trust::{InvalidTrust, Keys, Trust};

use account::Millis;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use axum::routing::any;
use http::{HeaderMap, Method, StatusCode};
use parking_lot::Mutex;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use store::Clock;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// So many ids are remembered, to tell what comes twice.
const REMEMBERED: usize = 10_000;
/// So many wait to be printed before the sender waits.
const WAITING: usize = 256;

/// What takes, verifies and hands over. Cheap to clone.
#[derive(Clone)]
pub struct Listener(Arc<Inside>);

struct Inside {
    trust: Trust,
    clock: Clock,
    seen: Mutex<Seen>,
    heard: Sender<Heard>,
}

/// The ids of the last tokens.
#[derive(Default)]
struct Seen {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Seen {
    /// Whether it was there already.
    fn again(&mut self, id: &str) -> bool {
        if !self.ids.insert(id.to_owned()) {
            return true;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        false
    }
}

/// A receiver that trusts whom it is told to: its routes, to be served on a socket, and what it hears.
///
/// Whoever reads slowly makes the senders wait; when the reading end is dropped, what comes is answered all the same.
pub fn listen(trust: Trust, clock: Clock) -> (Router, Receiver<Heard>) {
    let (listener, heard) = Listener::new(trust, clock);
    (listener.routes(), heard)
}

impl Listener {
    /// For whoever wants to poll besides serving.
    pub fn new(trust: Trust, clock: Clock) -> (Self, Receiver<Heard>) {
        let (sender, heard) = channel(WAITING);
        (Self(Arc::new(Inside { trust, clock, seen: Mutex::default(), heard: sender })), heard)
    }

    /// The routes: every path takes a POST.
    pub fn routes(&self) -> Router {
        Router::new().fallback(any(take)).with_state(self.clone())
    }

    /// Checks a request and hands over what it is; the answer goes back to the sender.
    async fn heard(&self, headers: &HeaderMap, body: &[u8]) -> Response {
        let at = self.now();
        let mut heard = self.0.trust.check(headers, body, at).await;
        heard.duplicate =
            heard.is_good() && heard.id.as_deref().is_some_and(|id| self.0.seen.lock().again(id));
        let response = replying::to(&heard);
        heard.answered = Some(response.status().as_u16());
        self.hand_over(heard).await;
        response
    }

    async fn hand_over(&self, heard: Heard) {
        // Nobody reads any more: what comes is answered all the same.
        let _ = self.0.heard.send(heard).await;
    }

    fn now(&self) -> Millis {
        self.0.clock.now()
    }
}

async fn take(State(listener): State<Listener>, method: Method, headers: HeaderMap, body: Bytes) -> Response {
    if method == Method::POST {
        listener.heard(&headers, &body).await
    } else {
        replying::plain(StatusCode::METHOD_NOT_ALLOWED, "send events by POST")
    }
}
