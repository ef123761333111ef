//! The other end of deliveries: relying parties that check what they get as a careful one does, count it, and remember
//! when it came. A process of its own.

mod check;

pub(super) use check::Receipt;

use super::{listener, ready, until_told_to_end};
use crate::wall::wall_us;
use anyhow::Result;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use check::{Checks, Keys};
use jose::JwkSet;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Whoever asks how many have come waits no longer than this for more.
const PATIENCE: Duration = Duration::from_millis(10);

/// Where the receivers are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Places {
    /// Where they are asked what they got.
    pub(crate) control: SocketAddr,
    /// One for each relying party, as each has a host of its own.
    pub(crate) hooks: Vec<SocketAddr>,
}

/// What came of a run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Heard {
    /// What came, in the order it came.
    pub(crate) receipts: Vec<Receipt>,
    /// The first thing that was wrong.
    pub(crate) wrong: Option<String>,
}

/// The receivers of all relying parties.
struct Receivers {
    checks: Mutex<Checks>,
    keys: Mutex<Arc<Keys>>,
    count: watch::Sender<usize>,
}

/// Serves so many receivers until standard input ends.
pub(super) async fn serve(hooks: usize) -> Result<()> {
    let receivers = Arc::new(Receivers {
        checks: Mutex::default(),
        keys: Mutex::default(),
        count: watch::Sender::new(0),
    });
    let (control, asked) = listener().await?;
    let mut places = Places { control: asked, hooks: Vec::new() };
    let mut serving = vec![axum::serve(control, control_router(&receivers)).into_future()];
    for _ in 0..hooks {
        let (hook, at) = listener().await?;
        places.hooks.push(at);
        serving.push(axum::serve(hook, hook_router(&receivers)).into_future());
    }
    ready(&serde_json::to_string(&places)?)?;
    tokio::select! {
        done = futures::future::try_join_all(serving) => Ok(done.map(drop)?),
        told = until_told_to_end() => told,
    }
}

fn hook_router(receivers: &Arc<Receivers>) -> Router {
    Router::new()
        .route("/hook/{client_id}", post(take))
        .route("/bare", post(take_bare))
        .with_state(Arc::clone(receivers))
}

fn control_router(receivers: &Arc<Receivers>) -> Router {
    Router::new()
        .route("/begin", post(begin))
        .route("/seen/{count}", get(seen))
        .route("/end", post(end))
        .with_state(Arc::clone(receivers))
}

/// A delivery: 202 when it is good, 400 when anything is wrong with it.
async fn take(
    State(receivers): State<Arc<Receivers>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> StatusCode {
    let at = wall_us();
    let keys = Arc::clone(&receivers.keys.lock());
    let read = keys.read(bearer(&headers));
    let mut checks = receivers.checks.lock();
    match read.and_then(|token| checks.take(token, &client_id, at)) {
        Ok(count) => {
            drop(checks);
            receivers.count.send_replace(count);
            StatusCode::ACCEPTED
        }
        Err(error) => {
            checks.wrong(&error);
            StatusCode::BAD_REQUEST
        }
    }
}

/// The same work for the limit, whose tokens come again and again: only not remembered.
async fn take_bare(State(receivers): State<Arc<Receivers>>, headers: HeaderMap) -> StatusCode {
    let keys = Arc::clone(&receivers.keys.lock());
    keys.read(bearer(&headers)).map_or(StatusCode::BAD_REQUEST, |_| StatusCode::ACCEPTED)
}

fn bearer(headers: &HeaderMap) -> &str {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    authorization.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default()
}

/// From now on these keys are good, and nothing has come.
async fn begin(State(receivers): State<Arc<Receivers>>, keys: Bytes) -> StatusCode {
    let Ok(keys) = JwkSet::parse(&keys) else { return StatusCode::BAD_REQUEST };
    *receivers.keys.lock() = Arc::new(Keys::new(keys));
    *receivers.checks.lock() = Checks::default();
    receivers.count.send_replace(0);
    StatusCode::NO_CONTENT
}

/// How many have come, as soon as it is that many, or after a moment.
async fn seen(State(receivers): State<Arc<Receivers>>, Path(count): Path<usize>) -> String {
    let mut counts = receivers.count.subscribe();
    // Late or not, the number is told.
    drop(tokio::time::timeout(PATIENCE, counts.wait_for(|seen| *seen >= count)).await);
    receivers.count.borrow().to_string()
}

/// What has come since the last time this was asked.
async fn end(State(receivers): State<Arc<Receivers>>) -> Json<Heard> {
    Json(receivers.checks.lock().hand_over())
}
