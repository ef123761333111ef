//! Nodes that have failed.

use super::services::{Of, OfService};
use super::{Desk, asked, unknown};
use crate::rules::NodeName;
use crate::store::{CountRows, FailNode, Failing, Failure, FindFailure, Mover, Node, UndoFailure};
use account::Millis;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use ledger::Problem;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes(desk: Desk) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(show_failure, fail_node, undo_failure)).with_state(desk)
}

/// A failure, as it stands.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct FailureView {
    /// The node.
    node: Node,
    /// Since when, in milliseconds since the epoch.
    #[schema(value_type = i64)]
    failed_at: Millis,
    /// How many users have left it since then.
    moved: i64,
    /// How many live there still: they move when they come.
    left: i64,
    /// Who has moved, by their rows on the failed node.
    who: Vec<Mover>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Page {
    /// Only users whose row on the failed node is above this one.
    #[serde(default)]
    after: i64,
    /// At most so many users: 0 to 1000.
    #[serde(default = "a_hundred")]
    limit: i64,
    /// Which service is meant, by its name; the only one unless set.
    service: Option<String>,
}

fn a_hundred() -> i64 {
    100
}

/// Show who has moved away from a failed node
#[utoipa::path(get, path = "/nodes/{node}/failure", tag = "nodes", params(Page),
    responses((status = 200, body = FailureView), (status = 400, body = Problem),
        (status = 404, description = "No such node, or it has never failed", body = Problem), (status = 503, body = Problem)))]
async fn show_failure(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    query: Result<Query<Page>, QueryRejection>,
) -> Result<Json<FailureView>, Problem> {
    let page = asked(query)?;
    if !(0..=1000).contains(&page.limit) {
        return Err(Problem::invalid(format!("limit is {}; it must be from 0 to 1000", page.limit)));
    }
    let service = desk.counter(page.service.as_deref())?;
    report(&desk, &NodeName::new(&service.name, &name), page.after, page.limit).await
}

async fn report(desk: &Desk, name: &NodeName, after: i64, limit: i64) -> Result<Json<FailureView>, Problem> {
    let found = desk.store.scan(FindFailure { name: name.clone(), after, limit }).await?;
    let (node, failure) = found.ok_or_else(|| unknown(name))?;
    let never = || Problem::not_found(format!("{} has never failed", node.url));
    let Failure { node, failed_at, moved, who } = failure.ok_or_else(never)?;
    let left = desk.store.scan(CountRows(node.id)).await?.live;
    Ok(Json(FailureView { node, failed_at, moved, left, who }))
}

/// Mark a node as failed: each of its users moves to another node at the next request
#[utoipa::path(put, path = "/nodes/{node}/failure", tag = "nodes", params(OfService),
    responses((status = 200, body = FailureView), (status = 404, body = Problem),
        (status = 409, description = "It has failed already, or everybody goes to it", body = Problem),
        (status = 503, body = Problem)))]
async fn fail_node(
    State(desk): State<Desk>,
    Of(service): Of,
    Path(name): Path<String>,
) -> Result<Json<FailureView>, Problem> {
    let node = desk.node(&service.name, &name).await?;
    if service.placement.only_node == Some(node.id) {
        return Err(Problem::conflict(format!(
            "everybody goes to {}, by tokenserver.spanner_node_id; there is nowhere to move its users to",
            node.url
        )));
    }
    let name = NodeName::id(&service.name, node.id);
    match desk.store.run(FailNode { name: name.clone(), now: desk.now() }).await? {
        Failing::Unknown => Err(unknown(&name)),
        Failing::Already(node) => Err(Problem::conflict(format!("{} has failed already", node.url))),
        Failing::Done(_) | Failing::Moved(_) => report(&desk, &name, 0, 0).await,
    }
}

/// Undo a failure while nobody has moved: the node is as it was before
#[utoipa::path(delete, path = "/nodes/{node}/failure", tag = "nodes", params(OfService),
    responses((status = 200, body = Node), (status = 404, body = Problem),
        (status = 409, description = "Users have moved already, or it has not failed", body = Problem),
        (status = 503, body = Problem)))]
async fn undo_failure(
    State(desk): State<Desk>,
    Of(service): Of,
    Path(name): Path<String>,
) -> Result<Json<Node>, Problem> {
    let name = NodeName::new(&service.name, &name);
    match desk.store.run(UndoFailure(name.clone())).await? {
        Failing::Done(node) => Ok(Json(node)),
        Failing::Unknown => Err(unknown(&name)),
        Failing::Already(node) => Err(Problem::conflict(format!("{} has not failed", node.url))),
        Failing::Moved(moved) => Err(Problem::conflict(format!(
            "{moved} users have left it since, and stay where they are; `highwater node update {name} --downed=false` \
             opens it again for the others"
        ))),
    }
}
