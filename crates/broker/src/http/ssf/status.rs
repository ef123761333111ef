//! A stream's status (SSF 1.0 section 8.1.2).

use super::streams::which;
use super::{Fault, body, change_rp, no_store, read_rp, receiver, with_stream};
use crate::Status;
use crate::capability::Inner;
use crate::receiver_tokens::Scope;
use crate::store::registry::KeptRp;
use axum::Json;
use axum::extract::{Request, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Why a stream is disabled that its receiver disabled.
const BY_RECEIVER: &str = "disabled by the receiver";

#[derive(Debug, Deserialize)]
struct Wanted {
    stream_id: String,
    status: String,
    #[serde(default)]
    reason: Option<String>,
}

pub(super) async fn read(State(inner): State<Arc<Inner>>, request: Request) -> Result<Response, Fault> {
    let client_id = receiver(&inner, request.headers(), Scope::Read).await?;
    let stream_id = which(&request).named()?;
    let kept = read_rp(&inner, client_id).await?;
    Ok(no_store(Json(shown(with_stream(&kept, &stream_id)?, &stream_id))))
}

pub(super) async fn update(State(inner): State<Arc<Inner>>, request: Request) -> Result<Response, Fault> {
    let client_id = receiver(&inner, request.headers(), Scope::Manage).await?;
    let Wanted { stream_id, status, reason } = body(request).await?;
    let status = match status.as_str() {
        "enabled" => Status::Enabled,
        "paused" => Status::Paused,
        "disabled" => Status::Disabled { reason: BY_RECEIVER.to_owned() },
        other => {
            return Err(Fault::invalid(format!("status {other:?} is none of enabled, paused, disabled")));
        }
    };
    if let Some(reason) = &reason {
        tracing::info!(%client_id, %status, reason = reason.get(..200).unwrap_or(reason), "a receiver set its stream's status");
    }
    let named = stream_id.clone();
    let kept = change_rp(&inner, client_id, move |kept| {
        with_stream(kept, &stream_id)?;
        // What an operator disabled stays so. What we disabled because it failed, its receiver may have mended.
        if let Status::Disabled { reason } = &kept.rp.status
            && !["gone", "failing", BY_RECEIVER].contains(&reason.as_str())
        {
            return Err(Fault::Forbidden("an operator has disabled the stream"));
        }
        kept.rp.status = status.clone();
        Ok(())
    })
    .await?;
    Ok(no_store(Json(shown(&kept, &named))))
}

fn shown(kept: &KeptRp, stream_id: &str) -> Value {
    let mut shown = json!({ "stream_id": stream_id, "status": kept.rp.status.as_str() });
    if let Some(reason) = kept.rp.status.reason() {
        shown["reason"] = json!(reason);
    }
    shown
}
