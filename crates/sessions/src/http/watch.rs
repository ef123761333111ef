//! `GET /watch`: server-sent events.

use super::{WATCH, allowed};
use crate::capability::Inner;
use crate::feed::{Cursor, Watcher, Word};
use crate::meters;
use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::{Stream, unfold};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use keys::Caller;
use ledger::Problem;
use serde::Deserialize;
use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Between two tries while the store is down.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) fn routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(watch)).with_state(inner)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct WatchQuery {
    /// The `id` of the last bookmark that was read; without it, how everything is comes first.
    after: Option<String>,
}

/// Watch sessions: how each is, then each that changes
///
/// Server-sent events: `session`, with how it is now (a session that has ended is told once more, as ended); `bookmark`,
/// whose `id` is the place to go on from, after everything up to there was told, and every few seconds; `too-old`, when
/// what follows the place is kept no longer: start over without one. No event carries a token.
#[utoipa::path(get, path = "/watch", tag = "sessions", params(WatchQuery),
    responses((status = 200, description = "Events, until one side ends it", content_type = "text/event-stream", body = String),
        (status = 400, body = Problem), (status = 403, body = Problem)),
    security(("caller" = [])))]
async fn watch(
    State(inner): State<Arc<Inner>>,
    caller: Option<Extension<Caller>>,
    headers: HeaderMap,
    query: Result<Query<WatchQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    allowed(caller, WATCH)?;
    let Query(query) = query.map_err(|rejection| Problem::unreadable(&rejection.body_text()))?;
    // Browsers and their like say by themselves where they were.
    let last = headers.get("last-event-id").and_then(|it| it.to_str().ok()).map(str::to_owned);
    let from = match query.after.or(last) {
        None => None,
        Some(text) => Some(
            text.parse::<Cursor>()
                .map_err(|()| Problem::invalid("the place is the id of a bookmark, as it was told"))?,
        ),
    };
    let stop = inner.life.stopping();
    let events = events(Watcher::new(inner, from), stop);
    let mut response = (StatusCode::OK, Body::from_stream(events)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Counts who watches, for as long as they do.
struct Counted(Watcher);

impl Drop for Counted {
    fn drop(&mut self) {
        meters::watching(-1.0);
    }
}

fn events(watcher: Watcher, stop: CancellationToken) -> impl Stream<Item = Result<Bytes, Infallible>> {
    meters::watching(1.0);
    unfold((Counted(watcher), stop), async |(mut watcher, stop)| {
        loop {
            let words = stop.run_until_cancelled(watcher.0.next()).await?;
            match words {
                Ok(words) if words.is_empty() => return None,
                Ok(words) => return Some((Ok(rendered(&watcher.0, &words)), (watcher, stop))),
                // Nothing is missed: the place has not moved.
                Err(error) => {
                    tracing::warn!(%error, "what watchers are told cannot be read now");
                    stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await?;
                }
            }
        }
    })
}

fn rendered(watcher: &Watcher, words: &[Word]) -> Bytes {
    let mut text = String::new();
    for word in words {
        // Writing to a text does not fail.
        let _ = match word {
            Word::Session(view) => {
                let view = watcher.judged((**view).clone());
                let json = serde_json::to_string(&view).unwrap_or_default();
                write!(text, "event: session\ndata: {json}\n\n")
            }
            Word::Bookmark(cursor) => write!(text, "event: bookmark\nid: {cursor}\ndata: {{}}\n\n"),
            Word::TooOld => write!(text, "event: too-old\ndata: {{}}\n\n"),
        };
    }
    text.into()
}
