//! Nodes that are left at once: unassigned, or removed.

use super::services::{Of, OfService};
use super::{Desk, asked, unknown};
use crate::email::account;
use crate::rules::NodeName;
use crate::store::{FindResidents, Node, NodeChange, Occupancy, RemoveNode, Removed, Unassign, UpdateNode};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use ledger::Problem;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How many users are unassigned in one transaction.
const PART: i64 = 256;
/// How often a node is looked through again for users who came meanwhile.
const LOOKS: u32 = 5;

pub(super) fn routes(desk: Desk) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(unassign_node)).with_state(desk)
}

/// What leaving a node came to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Left {
    /// The node's URL.
    url: String,
    /// How many users were unassigned.
    unassigned: i64,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Removing {
    /// Also when users live on it, who are unassigned then, and when data of replaced rows is on it still.
    #[serde(default)]
    force: bool,
    /// Which service is meant, by its name; the only one unless set.
    service: Option<String>,
}

/// Unassign a node's users: each is assigned anew at the next request, perhaps to the same node
#[utoipa::path(post, path = "/nodes/{node}/unassign", tag = "nodes", params(OfService),
    responses((status = 200, body = Left), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn unassign_node(
    State(desk): State<Desk>,
    Of(service): Of,
    Path(name): Path<String>,
) -> Result<Json<Left>, Problem> {
    let node = desk.node(&service.name, &name).await?;
    let unassigned = unassign(&desk, &node).await?;
    Ok(Json(Left { url: node.url, unassigned }))
}

/// All who live there, in parts that let others in between.
async fn unassign(desk: &Desk, node: &Node) -> Result<i64, Problem> {
    let (mut unassigned, mut after) = (0, 0);
    loop {
        let residents = desk.store.scan(FindResidents { node_id: node.id, after, limit: PART }).await?;
        let Some(last) = residents.last().map(|resident| resident.uid) else { return Ok(unassigned) };
        after = last;
        let accounts = residents.iter().filter_map(|it| account(&desk.idps, &it.email)).collect();
        let part = Unassign { node_id: node.id, residents, accounts, now: desk.now() };
        unassigned += desk.store.run(part).await?;
    }
}

/// Remove a node
#[utoipa::path(delete, path = "/nodes/{node}", tag = "nodes", params(Removing),
    responses(
        (status = 200, body = Left),
        (status = 404, body = Problem),
        (status = 409, description = "Users live on it, or their data is on it still", body = Problem),
        (status = 503, body = Problem),
    ))]
pub(super) async fn remove_node(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    query: Result<Query<Removing>, QueryRejection>,
) -> Result<Json<Left>, Problem> {
    let Removing { force, service } = asked(query)?;
    let service = desk.counter(service.as_deref())?;
    let node = desk.node(&service.name, &name).await?;
    let name = NodeName::id(&service.name, node.id);
    let mut unassigned = 0;
    if force {
        let closed = NodeChange { backoff: Some(true), ..NodeChange::default() };
        desk.store.run(UpdateNode { name: name.clone(), change: closed }).await?;
    }
    for _ in 0..LOOKS {
        if force {
            unassigned += unassign(&desk, &node).await?;
        }
        match desk.store.run(RemoveNode { node_id: node.id, with_data: force }).await? {
            Removed::Done => return Ok(Json(Left { url: node.url, unassigned })),
            Removed::Unknown => return Err(unknown(&name)),
            Removed::Occupied(_) if force => {}
            Removed::Occupied(rows) => return Err(occupied(&node.url, rows)),
        }
    }
    Err(Problem::conflict(format!("users keep coming to {}; try again", node.url)))
}

fn occupied(url: &str, rows: Occupancy) -> Problem {
    let Occupancy { live, replaced } = rows;
    Problem::conflict(if live > 0 {
        format!(
            "{live} users live on {url}; `highwater node drain {url}` moves them. Or remove it with `--force`: they are \
             assigned anew when they come, and their data on it is never deleted"
        )
    } else {
        format!(
            "{replaced} users have left {url}, and their data is on it still; `highwater purge` deletes it. Or remove \
             it with `--force`: then it is never deleted"
        )
    })
}
