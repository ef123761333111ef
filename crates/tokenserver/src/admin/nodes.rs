//! Nodes: what there is of them, and what can be set.

use super::services::{Of, OfService};
use super::{Desk, given, unknown};
use crate::rules::{NodeName, NodeUrl};
use crate::store::{
    AddNode, AddService, Added, CountRows, Drain, ListDrains, ListNodes, Node, NodeChange, Occupancy,
    Recount, UpdateNode, Updated,
};
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use http::StatusCode;
use ledger::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes(desk: Desk) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_nodes, add_node))
        .routes(routes!(show_node, update_node, super::leaving::remove_node))
        .routes(routes!(cordon_node))
        .routes(routes!(uncordon_node))
        .routes(routes!(recount_node))
        .with_state(desk)
}

/// A node to add.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewNode {
    /// Its URL: `http` or `https`, at most 64 characters; stored without a trailing slash and with its host in lower
    /// case.
    url: String,
    /// How many users it can hold.
    capacity: i64,
    /// How many it takes before a further part of its capacity is opened; a tenth of it, rounded up, unless set.
    available: Option<i64>,
    /// How many users live on it; 0 unless set.
    current_load: Option<i64>,
    /// Whether it is out of order.
    downed: Option<bool>,
    /// Whether it gets no users for now.
    backoff: Option<bool>,
}

/// A change of a node; at least one thing is set.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangedNode {
    /// How many users it takes before a further part of its capacity is opened.
    available: Option<i64>,
    /// How many users live on it.
    current_load: Option<i64>,
    /// How many users it can hold.
    capacity: Option<i64>,
    /// Sets or clears: it is out of order. Clearing it ends a failure, too.
    downed: Option<bool>,
    /// Sets or clears: it gets no users for now.
    backoff: Option<bool>,
}

/// A node with what is on it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct NodeView {
    #[serde(flatten)]
    node: Node,
    /// How many live rows there are, counted now. It is `current_load` unless others wrote that.
    live_rows: i64,
    /// How many replaced rows wait for the purge.
    replaced_rows: i64,
    /// Its latest drain, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drain: Option<Drain>,
}

/// A node that was recounted.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct Recounted {
    #[serde(flatten)]
    node: Node,
    /// By how many its load was too high; below zero: too low.
    off_by: i64,
}

/// List the service nodes
#[utoipa::path(
    get,
    path = "/nodes",
    tag = "nodes",
    params(OfService),
    responses((status = 200, description = "All nodes, by URL", body = Vec<Node>), (status = 503, body = Problem))
)]
async fn list_nodes(State(desk): State<Desk>, Of(service): Of) -> Result<Json<Vec<Node>>, Problem> {
    Ok(Json(desk.store.run(ListNodes(service.name.clone())).await?))
}

/// Add a service node
#[utoipa::path(
    post,
    path = "/nodes",
    tag = "nodes",
    params(OfService),
    request_body = NewNode,
    responses(
        (status = 201, description = "The node as it is stored", body = Node),
        (status = 400, description = "A bad URL or a number that cannot be", body = Problem),
        (status = 409, description = "It is there already", body = Problem),
        (status = 503, body = Problem),
    )
)]
async fn add_node(
    State(desk): State<Desk>,
    Of(service): Of,
    body: Result<Json<NewNode>, JsonRejection>,
) -> Result<(StatusCode, Json<Node>), Problem> {
    let NewNode { url, capacity, available, current_load, downed, backoff } = given(body)?;
    let node = NodeUrl::parse(&url)?;
    let rest = NodeChange { available, current_load, capacity: Some(capacity), downed, backoff };
    check(&rest)?;
    let available = available.unwrap_or((capacity + 9) / 10);
    let (service, pattern) = (service.name.clone(), service.pattern.clone());
    desk.store.run(AddService { service: service.clone(), pattern }).await?;
    match desk.store.run(AddNode { service, node, capacity, available, rest }).await? {
        Added::New(node) => Ok((StatusCode::CREATED, Json(node))),
        Added::There(url) => {
            Err(Problem::conflict(format!("the node {url} is there already; update it instead")))
        }
    }
}

/// Show a service node: by its URL (percent-encoded) or its id
#[utoipa::path(get, path = "/nodes/{node}", tag = "nodes", params(OfService),
    responses((status = 200, body = NodeView), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn show_node(
    State(desk): State<Desk>,
    Of(service): Of,
    Path(name): Path<String>,
) -> Result<Json<NodeView>, Problem> {
    let node = desk.node(&service.name, &name).await?;
    let Occupancy { live, replaced } = desk.store.scan(CountRows(node.id)).await?;
    let drain = desk.store.scan(ListDrains(Some(node.id))).await?.into_iter().next();
    Ok(Json(NodeView { node, live_rows: live, replaced_rows: replaced, drain }))
}

/// Change a service node: every number and flag can be set and cleared
#[utoipa::path(
    patch,
    path = "/nodes/{node}",
    tag = "nodes",
    params(OfService),
    request_body = ChangedNode,
    responses(
        (status = 200, description = "The node as it is now", body = Node),
        (status = 400, description = "A number that cannot be, or nothing to change", body = Problem),
        (status = 404, description = "No such node", body = Problem),
        (status = 409, description = "It is being drained, and cannot be opened", body = Problem),
        (status = 503, body = Problem),
    )
)]
async fn update_node(
    State(desk): State<Desk>,
    Of(service): Of,
    Path(name): Path<String>,
    body: Result<Json<ChangedNode>, JsonRejection>,
) -> Result<Json<Node>, Problem> {
    let ChangedNode { available, current_load, capacity, downed, backoff } = given(body)?;
    let change = NodeChange { available, current_load, capacity, downed, backoff };
    if change == NodeChange::default() {
        return Err(Problem::invalid(
            "there is nothing to change; set available, current_load, capacity, downed or backoff",
        ));
    }
    check(&change)?;
    set(&desk, &NodeName::new(&service.name, &name), change).await
}

/// Cordon a node: nobody new comes to it; those who live on it stay
#[utoipa::path(post, path = "/nodes/{node}/cordon", tag = "nodes", params(OfService),
    responses((status = 200, body = Node), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn cordon_node(
    State(desk): State<Desk>,
    Of(service): Of,
    Path(name): Path<String>,
) -> Result<Json<Node>, Problem> {
    let name = NodeName::new(&service.name, &name);
    set(&desk, &name, NodeChange { backoff: Some(true), ..NodeChange::default() }).await
}

/// Open a cordoned node again
#[utoipa::path(post, path = "/nodes/{node}/uncordon", tag = "nodes", params(OfService),
    responses((status = 200, body = Node), (status = 404, body = Problem),
        (status = 409, description = "It is being drained", body = Problem), (status = 503, body = Problem)))]
async fn uncordon_node(
    State(desk): State<Desk>,
    Of(service): Of,
    Path(name): Path<String>,
) -> Result<Json<Node>, Problem> {
    let name = NodeName::new(&service.name, &name);
    set(&desk, &name, NodeChange { backoff: Some(false), ..NodeChange::default() }).await
}

async fn set(desk: &Desk, name: &NodeName, change: NodeChange) -> Result<Json<Node>, Problem> {
    match desk.store.run(UpdateNode { name: name.clone(), change }).await? {
        Updated::Done(node) => Ok(Json(node)),
        Updated::Unknown => Err(unknown(name)),
        Updated::Draining => Err(Problem::conflict(format!(
            "{name} is being drained; stop that first: `highwater node drain {name} --stop`"
        ))),
    }
}

/// Count a node's users anew, for a load that others wrote
#[utoipa::path(post, path = "/nodes/{node}/recount", tag = "nodes", params(OfService),
    responses((status = 200, body = Recounted), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn recount_node(
    State(desk): State<Desk>,
    Of(service): Of,
    Path(name): Path<String>,
) -> Result<Json<Recounted>, Problem> {
    let name = NodeName::new(&service.name, &name);
    let recounted = desk.store.run(Recount(name.clone())).await?;
    let (node, off_by) = recounted.ok_or_else(|| unknown(&name))?;
    Ok(Json(Recounted { node, off_by }))
}

/// The columns hold 32 bits, and nothing below zero makes sense in them.
fn check(change: &NodeChange) -> Result<(), Problem> {
    let numbers = [
        ("available", change.available),
        ("current_load", change.current_load),
        ("capacity", change.capacity),
    ];
    for (name, number) in numbers {
        if let Some(number) = number.filter(|number| !(0..=i64::from(i32::MAX)).contains(number)) {
            return Err(Problem::invalid(format!("{name} is {number}; it must be from 0 to {}", i32::MAX)));
        }
    }
    Ok(())
}
