//! A receiver that records what it gets and answers as it is told.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use jose::Compact;
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use work::Lifecycle;

/// How it answers.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Status(u16),
    /// With a `Retry-After` in seconds.
    Busy(u16, u64),
    /// A redirect to that place.
    Redirect(String),
    /// With that body.
    Says(u16, &'static str),
    /// Never.
    Hangs,
}

/// What it got.
#[derive(Clone, Debug)]
pub(super) struct Got {
    pub(super) method: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) at: Instant,
}

impl Got {
    /// The token, from where its format has it.
    pub(super) fn token(&self) -> String {
        let authorization = self.headers.get("authorization").and_then(|it| it.to_str().ok());
        let bearer = authorization.and_then(|it| it.strip_prefix("Bearer ")).map(str::to_owned);
        if self.body.is_empty() {
            return bearer.expect("a bearer token");
        }
        String::from_utf8(self.body.clone()).expect("ASCII")
    }

    /// The token's claims; its signature is checked elsewhere.
    pub(super) fn claims(&self) -> Value {
        let token = self.token();
        let payload = Compact::split(&token).expect("a token").payload().expect("claims");
        serde_json::from_slice(&payload).expect("JSON")
    }

    /// Whom it is about.
    pub(super) fn subject(&self) -> String {
        let claims = self.claims();
        claims["sub"].as_str().or(claims["sub_id"]["sub"].as_str()).expect("a subject").to_owned()
    }

    /// The short name of its event.
    pub(super) fn event(&self) -> String {
        let claims = self.claims();
        let uri = claims["events"].as_object().expect("events").keys().next().expect("one").clone();
        uri.rsplit('/').next().expect("a name").to_owned()
    }

    pub(super) fn jti(&self) -> String {
        self.claims()["jti"].as_str().expect("a jti").to_owned()
    }
}

/// A receiver on a socket of its own, until it is dropped.
pub(super) struct Receiver {
    state: Arc<Inside>,
    address: std::net::SocketAddr,
    life: Lifecycle,
}

struct Inside {
    got: Mutex<Vec<Got>>,
    /// The next answers; when they are used up, `always`.
    next: Mutex<VecDeque<Answer>>,
    always: Mutex<Answer>,
    /// Who hangs hangs until then.
    gone: CancellationToken,
}

impl Receiver {
    /// One that answers 200.
    pub(super) async fn start() -> Self {
        Self::answering(Answer::Status(200)).await
    }

    pub(super) async fn answering(answer: Answer) -> Self {
        let life = Lifecycle::new();
        let state = Arc::new(Inside {
            got: Mutex::default(),
            next: Mutex::default(),
            always: Mutex::new(answer),
            gone: life.stopping(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let router = Router::new().fallback(take).with_state(Arc::clone(&state));
        life.spawn_short(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { state, address, life }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Answers so from now on.
    pub(super) fn answers(&self, answer: Answer) {
        *self.state.always.lock() = answer;
    }

    /// Answers so, once each, before it answers as always.
    pub(super) fn answers_next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state.next.lock().extend(answers);
    }

    pub(super) fn got(&self) -> Vec<Got> {
        self.state.got.lock().clone()
    }

    /// What it got, as `subject event`.
    pub(super) fn heard(&self) -> Vec<String> {
        self.got().iter().map(|got| format!("{} {}", got.subject(), got.event())).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.life.stop_now();
    }
}

async fn take(State(state): State<Arc<Inside>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("the body is whole").to_bytes().to_vec();
    state.got.lock().push(Got {
        method: head.method.to_string(),
        headers: head.headers,
        body,
        at: Instant::now(),
    });
    let next = state.next.lock().pop_front();
    let answer = next.unwrap_or_else(|| state.always.lock().clone());
    let status = |code| StatusCode::from_u16(code).expect("a status");
    match answer {
        Answer::Status(code) => status(code).into_response(),
        Answer::Busy(code, seconds) => (status(code), [("retry-after", seconds.to_string())]).into_response(),
        Answer::Redirect(to) => (StatusCode::FOUND, [("location", to)]).into_response(),
        Answer::Says(code, body) => (status(code), body).into_response(),
        Answer::Hangs => {
            state.gone.cancelled().await;
            status(503).into_response()
        }
    }
}
