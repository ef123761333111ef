//! Verification: an event that a receiver asks for, to see that it would get others (SSF 1.0 section 8.1.4).

use super::{Fault, body, no_store, receiver};
use crate::capability::Inner;
use crate::receiver_tokens::Scope;
use crate::store::verification::{AskVerification, Asked};
use crate::worker;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

const LONGEST_STATE: usize = 1_024;

#[derive(Debug, Deserialize)]
struct Wanted {
    stream_id: String,
    #[serde(default)]
    state: Option<String>,
}

pub(super) async fn verify(State(inner): State<Arc<Inner>>, request: Request) -> Result<Response, Fault> {
    let client_id = receiver(&inner, request.headers(), Scope::Manage).await?;
    let Wanted { stream_id, state } = body(request).await?;
    if state.as_ref().is_some_and(|state| state.len() > LONGEST_STATE) {
        return Err(Fault::invalid("the state is over 1024 bytes"));
    }
    let interval = Duration::from_secs(u64::from(inner.settings.verification_interval_seconds));
    let cipher = inner.snapshots.cipher.clone();
    let ask = AskVerification { client_id, stream_id, state, cipher, interval, now: inner.now() };
    match inner.store.run(ask).await? {
        Asked::Done => {
            inner.store.signals().send(worker::TOPIC);
            Ok(no_store(StatusCode::NO_CONTENT))
        }
        Asked::NoStream => Err(Fault::NoStream),
        Asked::TooSoon(wait) => {
            Err(Fault::TooSoon(wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)))
        }
    }
}
