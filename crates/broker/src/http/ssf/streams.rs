//! Making, reading, changing and deleting a stream (SSF 1.0 section 8.1.1).

use super::config::{Wanted, begin, end, shown};
use super::{Fault, body, change_rp, no_store, read_rp, receiver, with_stream};
use crate::Stream;
use crate::capability::Inner;
use crate::receiver_tokens::Scope;
use axum::Json;
use axum::extract::{Query, Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use uuid::Uuid;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Which {
    pub(super) stream_id: Option<String>,
}

impl Which {
    /// The stream that is named; it must be.
    pub(super) fn named(self) -> Result<String, Fault> {
        self.stream_id.ok_or_else(|| Fault::invalid("stream_id is needed"))
    }
}

/// What a query says; one that cannot be read names no stream.
pub(super) fn which(request: &Request) -> Which {
    Query::try_from_uri(request.uri()).map(|Query(which)| which).unwrap_or_default()
}

pub(super) async fn create(State(inner): State<Arc<Inner>>, request: Request) -> Result<Response, Fault> {
    let client_id = receiver(&inner, request.headers(), Scope::Manage).await?;
    let wanted: Wanted = body(request).await?;
    let (id, created_at) = (Uuid::new_v4().to_string(), inner.now());
    let kept = change_rp(&inner, client_id, move |kept| {
        if kept.rp.config.stream.is_some() {
            return Err(Fault::HasStream);
        }
        let stream = Stream { id: id.clone(), description: None, events_requested: Vec::new(), created_at };
        begin(kept, stream);
        wanted.update(kept)
    })
    .await?;
    Ok(no_store((StatusCode::CREATED, Json(shown(&inner, &kept)))))
}

pub(super) async fn read(State(inner): State<Arc<Inner>>, request: Request) -> Result<Response, Fault> {
    let client_id = receiver(&inner, request.headers(), Scope::Read).await?;
    let kept = read_rp(&inner, client_id).await?;
    let config = match which(&request).stream_id {
        Some(stream_id) => shown(&inner, with_stream(&kept, &stream_id)?),
        None if kept.rp.config.stream.is_some() => Value::Array(vec![shown(&inner, &kept)]),
        None => Value::Array(vec![]),
    };
    Ok(no_store(Json(config)))
}

pub(super) async fn update(state: State<Arc<Inner>>, request: Request) -> Result<Response, Fault> {
    change(state, request, Wanted::update).await
}

pub(super) async fn replace(state: State<Arc<Inner>>, request: Request) -> Result<Response, Fault> {
    change(state, request, Wanted::replace).await
}

async fn change(
    State(inner): State<Arc<Inner>>,
    request: Request,
    apply: fn(&Wanted, &mut crate::store::registry::KeptRp) -> Result<(), Fault>,
) -> Result<Response, Fault> {
    let client_id = receiver(&inner, request.headers(), Scope::Manage).await?;
    let wanted: Wanted = body(request).await?;
    let stream_id = Which { stream_id: wanted.stream_id.clone() }.named()?;
    let looking = Arc::clone(&inner);
    let kept = change_rp(&inner, client_id, move |kept| {
        with_stream(kept, &stream_id)?;
        wanted.agrees(&shown(&looking, kept))?;
        apply(&wanted, kept)
    })
    .await?;
    Ok(no_store(Json(shown(&inner, &kept))))
}

pub(super) async fn delete(State(inner): State<Arc<Inner>>, request: Request) -> Result<Response, Fault> {
    let client_id = receiver(&inner, request.headers(), Scope::Manage).await?;
    let stream_id = which(&request).named()?;
    change_rp(&inner, client_id, move |kept| {
        with_stream(kept, &stream_id)?;
        end(kept);
        Ok(())
    })
    .await?;
    Ok(no_store(StatusCode::NO_CONTENT))
}
