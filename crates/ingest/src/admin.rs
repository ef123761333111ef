//! The operators' routes: files in, dead letters once more, how the sources are doing.

use crate::door::{Door, RetryError, SOURCE as SET};
use crate::health::{Health, SourceState};
use crate::pump::{IngestSummary, Message, Pump};
use crate::sources::file::{FileError, ingest_lines_from};
use account::IdpId;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use futures::TryStreamExt;
use ledger::{KeptLetter, Ledger, LedgerError, Problem};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use tokio_util::io::StreamReader;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What the routes work on.
pub(crate) struct Desk {
    pub(crate) ledger: Ledger,
    pub(crate) door: Arc<Door>,
    /// Whose accounts a file's events are about when nothing else is said.
    pub(crate) home: IdpId,
    /// The way in for files, by the identity provider that is home.
    pub(crate) files: BTreeMap<IdpId, Arc<Pump>>,
    /// The way in of each queue, by its name.
    pub(crate) queues: BTreeMap<String, Arc<Pump>>,
    pub(crate) sources: BTreeMap<String, Health>,
}

pub(crate) fn routes(desk: Arc<Desk>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(ingest_file))
        .routes(routes!(retry_dead_letter))
        .routes(routes!(list_sources))
        .with_state(desk)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct FilePart {
    /// What the file is called in the names of its messages: the SHA-256 of what is in it, in hex, so that the same
    /// file is ingested once.
    origin: String,
    /// Where in the file this part begins, in bytes.
    #[serde(default)]
    offset: u64,
    /// The identity provider of events that name none; the first one configured unless said.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    idp: Option<IdpId>,
}

/// Take in the lines of a file, or a part of one that ends with a line
///
/// NDJSON: one event a line. All of it is committed when this answers. A large file comes in parts, each with its
/// offset.
#[utoipa::path(
    post,
    path = "/events",
    operation_id = "ingest_file",
    tag = "events",
    params(FilePart),
    request_body(content = String, content_type = "application/x-ndjson"),
    responses(
        (status = 200, description = "What the lines came to", body = IngestSummary),
        (status = 400, description = "No such identity provider, or the body broke off", body = Problem),
        (status = 503, description = "The store is down", body = Problem),
    ),
)]
async fn ingest_file(
    State(desk): State<Arc<Desk>>,
    Query(part): Query<FilePart>,
    body: Body,
) -> Result<Json<IngestSummary>, Problem> {
    let home = part.idp.as_ref().unwrap_or(&desk.home);
    let unknown = || Problem::invalid(format!("no identity provider has the id {home:?}"));
    let pump = desk.files.get(home).ok_or_else(unknown)?;
    let lines = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
    Ok(Json(ingest_lines_from(pump, &part.origin, part.offset, lines, |_| ()).await?))
}

impl From<FileError> for Problem {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Read { .. } => Self::invalid(error.to_string()),
            FileError::Ledger { .. } => Self::unavailable(error.to_string()),
        }
    }
}

/// What came of trying a dead letter once more.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
struct Retried {
    /// Whether it is an event now; then the letter is gone.
    accepted: bool,
    /// Whether it said something new.
    news: bool,
}

/// Try a dead letter once more: after what was wrong with it, or with us, is mended
#[utoipa::path(
    post,
    path = "/dead-letters/{id}/retry",
    operation_id = "retry_dead_letter",
    tag = "events",
    params(("id" = i64, Path, description = "Its number")),
    responses(
        (status = 200, description = "What came of it", body = Retried),
        (status = 404, description = "There is no letter of that number", body = Problem),
        (status = 409, description = "Its source is not configured on this node", body = Problem),
        (status = 503, description = "The store is down", body = Problem),
    ),
)]
async fn retry_dead_letter(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<i64>,
) -> Result<Json<Retried>, Problem> {
    let none = || {
        Problem::not_found(format!(
            "there is no dead letter {id}; `highwater events dead list` shows those there are"
        ))
    };
    let letter = desk.ledger.dead_letter(id).await?.ok_or_else(none)?;
    let summary = desk.take_again(letter).await?;
    let retried = Retried { accepted: summary.junk == 0, news: summary.news > 0 };
    if retried.accepted {
        desk.ledger.drop_dead_letter(id).await?;
    }
    Ok(Json(retried))
}

impl Desk {
    fn way_in_of(&self, source: &str) -> Option<&Arc<Pump>> {
        let of_a_file = || self.files.values().find(|pump| pump.source().as_str() == source);
        self.queues.get(source).or_else(of_a_file)
    }

    /// By the way it came, under its old name. Still junk, it is kept as it was.
    async fn take_again(&self, letter: KeptLetter) -> Result<IngestSummary, Problem> {
        if letter.source == SET {
            return match self.door.retry(&letter.message_id, &letter.body).await {
                Ok(summary) => Ok(summary),
                Err(RetryError::Refused(_)) => Ok(IngestSummary { junk: 1, ..IngestSummary::default() }),
                Err(RetryError::Ledger(error)) => Err(not_now(&error)),
            };
        }
        let Some(pump) = self.way_in_of(&letter.source) else {
            return Err(Problem::conflict(format!(
                "the source {:?} is not configured on this node, which so cannot tell for whom it may speak",
                letter.source
            )));
        };
        let message = Message { id: letter.message_id, body: letter.raw };
        pump.take(&[message]).await.map_err(|error| not_now(&error))
    }
}

fn not_now(error: &LedgerError) -> Problem {
    Problem::unavailable(error.to_string())
}

/// A source, and how it is doing.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
struct SourceView {
    /// Its name.
    name: String,
    /// `starting`, `running`, `backing_off` or `stopped`.
    state: String,
    /// What stands in its way, when it backs off.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// How the sources of this node are doing
#[utoipa::path(get, path = "/sources", operation_id = "list_sources", tag = "events",
    responses((status = 200, body = Vec<SourceView>)))]
async fn list_sources(State(desk): State<Arc<Desk>>) -> Json<Vec<SourceView>> {
    Json(desk.sources.iter().map(|(name, health)| view(name, health.state())).collect())
}

fn view(name: &str, state: SourceState) -> SourceView {
    let (state, reason) = match state {
        SourceState::Starting => ("starting", None),
        SourceState::Running => ("running", None),
        SourceState::BackingOff { reason } => ("backing_off", Some(reason)),
        SourceState::Stopped => ("stopped", None),
    };
    SourceView { name: name.to_owned(), state: state.to_owned(), reason }
}

#[cfg(test)]
mod tests;
