//! What can go wrong on the way to an identity provider and back, on request.

use super::http::Desk;
use crate::running::Scissors;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use futures::stream;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use url::form_urlencoded;

/// Where it goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// The token endpoint.
    Token,
    /// The userinfo endpoint.
    UserInfo,
    /// The revocation endpoint.
    Revocation,
    /// What the identity provider says of itself.
    Discovery,
    /// Its keys.
    Jwks,
}

/// When.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before anything is done.
    Before,
    /// After it was done: a refresh token that was presented is used up.
    After,
}

/// How.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// This status and no body.
    Status(u16),
    /// This status and an error of that code (RFC 6749 section 5.2).
    Error(u16, &'static str),
    /// This status and a page for people.
    Html(u16),
    /// This status, and a `Retry-After` of so many seconds.
    RetryAfter(u16, u32),
    /// This status, and a `Retry-After` with the date that is so many seconds ahead.
    RetryAt(u16, u32),
    /// No answer, ever.
    Hang,
    /// A good answer, a byte every so often.
    Drip(Duration),
    /// The connection is reset.
    Reset,
    /// Half of an answer, then the connection is closed.
    Truncate,
}

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When.
    pub when: When,
    /// How.
    pub how: How,
}

impl Fault {
    /// Before anything is done.
    pub fn before(how: How) -> Self {
        Self { when: When::Before, how }
    }

    /// After it was done.
    pub fn after(how: How) -> Self {
        Self { when: When::After, how }
    }
}

/// What goes wrong where, and how often still; and how often each endpoint was asked.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pending: HashMap<Endpoint, (Fault, Option<u32>)>,
    requests: HashMap<Endpoint, u64>,
    /// How many are under way, and were at most.
    under_way: HashMap<Endpoint, (u64, u64)>,
    delays: HashMap<Endpoint, Duration>,
}

impl Faults {
    /// From now on, so many times; always without a number.
    pub(super) fn set(&mut self, at: Endpoint, fault: Option<Fault>, times: Option<u32>) {
        match fault {
            Some(fault) => self.pending.insert(at, (fault, times)),
            None => self.pending.remove(&at),
        };
    }

    /// From now on its answers take so long.
    pub(super) fn delay(&mut self, at: Endpoint, delay: Duration) {
        self.delays.insert(at, delay);
    }

    fn delay_at(&self, at: Endpoint) -> Duration {
        self.delays.get(&at).copied().unwrap_or_default()
    }

    pub(super) fn requests(&self, at: Endpoint) -> u64 {
        self.requests.get(&at).copied().unwrap_or(0)
    }

    pub(super) fn at_once(&self, at: Endpoint) -> u64 {
        self.under_way.get(&at).map_or(0, |(now, _)| *now)
    }

    pub(super) fn most_at_once(&self, at: Endpoint) -> u64 {
        self.under_way.get(&at).map_or(0, |(_, most)| *most)
    }

    fn begin(&mut self, at: Endpoint) -> Option<Fault> {
        *self.requests.entry(at).or_default() += 1;
        let (now, most) = self.under_way.entry(at).or_default();
        *now += 1;
        *most = (*most).max(*now);
        let (fault, times) = self.pending.get_mut(&at)?;
        let fault = fault.clone();
        if let Some(times) = times {
            *times -= 1;
            if *times == 0 {
                self.pending.remove(&at);
            }
        }
        Some(fault)
    }

    fn end(&mut self, at: Endpoint) {
        if let Some((now, _)) = self.under_way.get_mut(&at) {
            *now -= 1;
        }
    }
}

/// A request that was begun; ended when dropped, which it is as well when its asker goes away.
struct UnderWay(Arc<Desk>, Endpoint);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.logins.lock().faults.end(self.1);
    }
}

/// The same routes, where things may go wrong.
pub(super) fn may_fail(router: Router<Arc<Desk>>, at: Endpoint, desk: &Arc<Desk>) -> Router<Arc<Desk>> {
    let desk = Arc::clone(desk);
    router.layer(axum::middleware::from_fn_with_state((desk, at), misbehave))
}

async fn misbehave(
    State((desk, at)): State<(Arc<Desk>, Endpoint)>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    request: Request,
    next: Next,
) -> Response {
    let (fault, delay) = {
        let faults = &mut desk.logins.lock().faults;
        (faults.begin(at), faults.delay_at(at))
    };
    let _under_way = UnderWay(Arc::clone(&desk), at);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let Some(fault) = fault else { return next.run(request).await };
    let good = match fault.when {
        When::After => next.run(request).await,
        When::Before => {
            desk.presented(request).await;
            Json(json!({ "access_token": "never given out" })).into_response()
        }
    };
    fault.how.spoil(good, &scissors, desk.seconds()).await
}

impl Desk {
    /// A refresh token that nothing is done with was presented all the same.
    async fn presented(&self, request: Request) {
        let body = to_bytes(request.into_body(), 64 * 1024).await.unwrap_or_default();
        if let Some((_, token)) = form_urlencoded::parse(&body).find(|(name, _)| name == "refresh_token") {
            self.logins.lock().grants.count(&token);
        }
    }
}

impl How {
    async fn spoil(&self, good: Response, scissors: &Scissors, now: i64) -> Response {
        let status = |code: &u16| StatusCode::from_u16(*code).expect("a status has three digits");
        match self {
            Self::Status(code) => status(code).into_response(),
            Self::Error(code, error) => (status(code), Json(json!({ "error": error }))).into_response(),
            Self::Html(code) => {
                let html = [(header::CONTENT_TYPE, "text/html")];
                (status(code), html, "<html><body>Please wait</body></html>").into_response()
            }
            Self::RetryAfter(code, seconds) => {
                (status(code), [(header::RETRY_AFTER, seconds.to_string())]).into_response()
            }
            Self::RetryAt(code, seconds) => {
                let [at, now] = [now + i64::from(*seconds), now].map(date);
                (status(code), [(header::RETRY_AFTER, at), (header::DATE, now)]).into_response()
            }
            Self::Hang => std::future::pending().await,
            Self::Reset => {
                scissors.cut();
                good
            }
            Self::Drip(pause) => dripping(good, *pause).await,
            Self::Truncate => truncated(good).await,
        }
    }
}

fn date(seconds: i64) -> String {
    let since = Duration::from_secs(seconds.try_into().unwrap_or_default());
    httpdate::fmt_http_date(UNIX_EPOCH + since)
}

async fn whole(good: Response) -> (axum::http::response::Parts, Bytes) {
    let (mut head, body) = good.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    (head, body)
}

async fn dripping(good: Response, pause: Duration) -> Response {
    let (head, body) = whole(good).await;
    let drops = stream::unfold(body, move |mut rest| async move {
        tokio::time::sleep(pause).await;
        (!rest.is_empty()).then(|| (Ok::<_, std::io::Error>(rest.split_to(1)), rest))
    });
    Response::from_parts(head, Body::from_stream(drops))
}

/// Its length is that of the whole, so the other side knows that something is missing.
async fn truncated(good: Response) -> Response {
    let (head, body) = whole(good).await;
    let half = Ok(body.slice(..body.len() / 2));
    let parts = [half, Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe))];
    Response::from_parts(head, Body::from_stream(stream::iter(parts)))
}
