//! Nodes that are emptied at a rate.

use super::services::{Of, OfService};
use super::{Desk, given, unknown};
use crate::drain::TOPIC;
use crate::rules::NodeName;
use crate::store::{BeginDrain, Drain, ListDrains, Node, StopDrain};
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use ledger::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The most users a second.
const MOST: i64 = 10_000;

pub(super) fn routes(desk: Desk) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_drains))
        .routes(routes!(show_drain, drain_node, stop_drain))
        .with_state(desk)
}

/// How to drain.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Draining {
    /// How many users are moved a second, at most: 1 to 10000.
    rate: i64,
}

/// List the drains of every service, the latest first
#[utoipa::path(get, path = "/drains", tag = "nodes",
    responses((status = 200, body = Vec<Drain>), (status = 503, body = Problem)))]
async fn list_drains(State(desk): State<Desk>) -> Result<Json<Vec<Drain>>, Problem> {
    Ok(Json(desk.store.scan(ListDrains(None)).await?))
}

/// Show how far the drain of a node is
#[utoipa::path(get, path = "/nodes/{node}/drain", tag = "nodes", params(OfService),
    responses((status = 200, body = Drain), (status = 404, description = "No such node, or it was never drained", body = Problem),
        (status = 503, body = Problem)))]
async fn show_drain(
    State(desk): State<Desk>,
    Of(service): Of,
    Path(name): Path<String>,
) -> Result<Json<Drain>, Problem> {
    let node = desk.node(&service.name, &name).await?;
    let drain = desk.store.scan(ListDrains(Some(node.id))).await?.into_iter().next();
    drain.map(Json).ok_or_else(|| never_drained(&node))
}

fn never_drained(node: &Node) -> Problem {
    Problem::not_found(format!("{} is not being drained, and never was", node.url))
}

/// Drain a node: it is cordoned, and its users are moved to others, so many a second; or change the rate of a drain
///
/// The work is done by a serving process, and goes on by another when that one is gone.
#[utoipa::path(put, path = "/nodes/{node}/drain", tag = "nodes", params(OfService), request_body = Draining,
    responses((status = 200, body = Drain), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "Everybody goes to this node", body = Problem), (status = 503, body = Problem)))]
async fn drain_node(
    State(desk): State<Desk>,
    Of(service): Of,
    Path(name): Path<String>,
    body: Result<Json<Draining>, JsonRejection>,
) -> Result<Json<Drain>, Problem> {
    let Draining { rate } = given(body)?;
    if !(1..=MOST).contains(&rate) {
        return Err(Problem::invalid(format!(
            "the rate is {rate}; it must be from 1 to {MOST} users a second"
        )));
    }
    let node = desk.node(&service.name, &name).await?;
    if service.placement.only_node == Some(node.id) {
        return Err(Problem::conflict(format!(
            "everybody goes to {}, by tokenserver.spanner_node_id; there is nowhere to move its users to",
            node.url
        )));
    }
    let name = NodeName::id(&service.name, node.id);
    let began = desk.store.run(BeginDrain { name: name.clone(), rate, now: desk.now() }).await?;
    desk.store.signals().send(TOPIC);
    began.map(Json).ok_or_else(|| unknown(&name))
}

/// Stop draining a node; it stays cordoned
#[utoipa::path(delete, path = "/nodes/{node}/drain", tag = "nodes", params(OfService),
    responses((status = 200, body = Drain), (status = 404, body = Problem),
        (status = 409, description = "It has ended already", body = Problem), (status = 503, body = Problem)))]
async fn stop_drain(
    State(desk): State<Desk>,
    Of(service): Of,
    Path(name): Path<String>,
) -> Result<Json<Drain>, Problem> {
    let name = NodeName::new(&service.name, &name);
    match desk.store.run(StopDrain { name: name.clone(), now: desk.now() }).await? {
        None => Err(unknown(&name)),
        Some((node, None)) => Err(never_drained(&node)),
        Some((_, Some((drain, true)))) => Ok(Json(drain)),
        Some((node, Some((_, false)))) => {
            Err(Problem::conflict(format!("the drain of {} has ended already", node.url)))
        }
    }
}
