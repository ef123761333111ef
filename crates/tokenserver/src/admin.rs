//! The operators' part: nodes.

use crate::rules::{InvalidNodeUrl, NodeUrl};
use crate::store::{AddNode, ListNodes, Node, NodeChange, UpdateNode};
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use http::StatusCode;
use ledger::Problem;
use serde::{Deserialize, Serialize};
use store::Store;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes for operators.
pub(crate) fn routes(store: Store) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list_nodes, add_node, update_node)).with_state(store)
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
    /// Whether it asked to be spared.
    backoff: Option<bool>,
}

/// A change of a node; at least one thing is set.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangedNode {
    /// Which node: its URL.
    url: String,
    /// How many users it takes before a further part of its capacity is opened.
    available: Option<i64>,
    /// How many users live on it.
    current_load: Option<i64>,
    /// How many users it can hold.
    capacity: Option<i64>,
    /// Sets or clears: it is out of order.
    downed: Option<bool>,
    /// Sets or clears: it asked to be spared.
    backoff: Option<bool>,
}

/// List the service nodes
#[utoipa::path(
    get,
    path = "/nodes",
    tag = "nodes",
    responses((status = 200, description = "All nodes, by URL", body = Vec<Node>))
)]
async fn list_nodes(State(store): State<Store>) -> Result<Json<Vec<Node>>, Problem> {
    Ok(Json(store.run(ListNodes).await?))
}

/// Add a service node
#[utoipa::path(
    post,
    path = "/nodes",
    tag = "nodes",
    request_body = NewNode,
    responses(
        (status = 201, description = "The node as it is stored", body = Node),
        (status = 400, description = "A bad URL or a number that cannot be", body = Problem),
        (status = 409, description = "It is there already", body = Problem),
    )
)]
async fn add_node(
    State(store): State<Store>,
    given: Result<Json<NewNode>, JsonRejection>,
) -> Result<(StatusCode, Json<Node>), Problem> {
    let Json(new) = given.map_err(|rejection| Problem::unreadable(&rejection.body_text()))?;
    let NewNode { url, capacity, available, current_load, downed, backoff } = new;
    let node = NodeUrl::parse(&url)?;
    let rest = NodeChange { available, current_load, capacity: Some(capacity), downed, backoff };
    check(&rest)?;
    let already = Problem::conflict(format!("the node {node} is there already; update it instead"));
    let available = available.unwrap_or((capacity + 9) / 10);
    let added = store.run(AddNode { node, capacity, available, rest }).await?;
    Ok((StatusCode::CREATED, Json(added.ok_or(already)?)))
}

/// Change a service node: every number and flag can be set and cleared
#[utoipa::path(
    patch,
    path = "/nodes",
    tag = "nodes",
    request_body = ChangedNode,
    responses(
        (status = 200, description = "The node as it is now", body = Node),
        (status = 400, description = "A number that cannot be, or nothing to change", body = Problem),
        (status = 404, description = "No such node", body = Problem),
    )
)]
async fn update_node(
    State(store): State<Store>,
    given: Result<Json<ChangedNode>, JsonRejection>,
) -> Result<Json<Node>, Problem> {
    let Json(changed) = given.map_err(|rejection| Problem::unreadable(&rejection.body_text()))?;
    let ChangedNode { url: given, available, current_load, capacity, downed, backoff } = changed;
    let change = NodeChange { available, current_load, capacity, downed, backoff };
    if change == NodeChange::default() {
        return Err(Problem::invalid(
            "there is nothing to change; set available, current_load, capacity, downed or backoff",
        ));
    }
    check(&change)?;
    let unknown = Problem::not_found(format!("there is no node {given}; `highwater node list` shows them"));
    let node = NodeUrl::parse(&given).ok();
    let changed = store.run(UpdateNode { given, node, change }).await?;
    Ok(Json(changed.ok_or(unknown)?))
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

impl From<InvalidNodeUrl> for Problem {
    fn from(invalid: InvalidNodeUrl) -> Self {
        Self::invalid(invalid.to_string())
    }
}
