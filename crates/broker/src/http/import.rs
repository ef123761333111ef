//! Taking over what fxa-event-broker kept, in pieces.

use super::known_idp;
use crate::capability::Inner;
use crate::import::{Document, document};
use crate::store::import::Import;
use crate::store::registry::TOPIC;
use crate::worker;
use account::IdpId;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use ledger::Problem;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// So many documents are taken over in one transaction.
const CHUNK: usize = 200;
const MOST_REFUSED_SHOWN: usize = 100;

pub(super) fn routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(import)).with_state(inner)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ImportQuery {
    /// The identity provider whose accounts the users are.
    #[param(value_type = String)]
    idp: IdpId,
}

/// What was taken over.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
struct ImportReport {
    /// Relying parties, added or as they were already.
    relying_parties: usize,
    /// Logins, remembered or known already.
    logins: usize,
    /// Accounts that are deleted here and were left so.
    deleted_accounts: usize,
    /// Lines that could not be taken over.
    refused: usize,
    /// The first hundred of them.
    refusals: Vec<RefusedLine>,
}

/// A line that could not be taken over.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct RefusedLine {
    /// Its number in the piece, from 1 on.
    line: usize,
    /// What is wrong with it.
    why: String,
}

/// Take over documents of fxa-event-broker: one JSON object `{path, fields}` a line; the same ones again change nothing
#[utoipa::path(post, path = "/rps/import", tag = "relying parties", params(ImportQuery),
    request_body(content = String, content_type = "application/x-ndjson"),
    responses((status = 200, body = ImportReport), (status = 400, body = Problem), (status = 503, body = Problem)))]
async fn import(
    State(inner): State<Arc<Inner>>,
    query: Result<Query<ImportQuery>, QueryRejection>,
    body: Bytes,
) -> Result<Json<ImportReport>, Problem> {
    let Query(ImportQuery { idp }) =
        query.map_err(|rejection| Problem::unreadable(&rejection.body_text()))?;
    known_idp(&inner, Some(&idp))?;
    let text = std::str::from_utf8(&body).map_err(|_| Problem::invalid("the body is not UTF-8"))?;
    let mut report = ImportReport::default();
    let documents = read(text, &mut report);
    for documents in documents.chunks(CHUNK) {
        let import = Import {
            documents: documents.to_vec(),
            idp: idp.clone(),
            tombstones: inner.tombstones.clone(),
            cipher: inner.snapshots.cipher.clone(),
            now: inner.now(),
        };
        let imported = inner.store.run(import).await?;
        report.relying_parties += imported.rps;
        report.logins += imported.logins;
        report.deleted_accounts += imported.deleted;
    }
    inner.store.signals().send(TOPIC);
    inner.store.signals().send(worker::TOPIC);
    Ok(Json(report))
}

fn read(text: &str, report: &mut ImportReport) -> Vec<Document> {
    let mut documents = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match document(line) {
            Ok(document) => documents.push(document),
            Err(why) => {
                report.refused += 1;
                if report.refusals.len() < MOST_REFUSED_SHOWN {
                    report.refusals.push(RefusedLine { line: at + 1, why });
                }
            }
        }
    }
    documents
}
