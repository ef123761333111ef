use super::SERVICE;
use super::lookup::no_service;
use crate::rules::NodeUrl;
use serde::{Deserialize, Serialize};
use store::{Operation, Row, StoreError, Tx};
use utoipa::ToSchema;

store::statements! {
    static SERVICE_ID = both("select id from services where service = $1");
    static LIST = both(
        "select id, node, available, current_load, capacity, downed, backoff from nodes
        where service = $1 order by node"
    );
    static ADD = both(
        "insert into nodes (service, node, available, current_load, capacity, downed, backoff)
        values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing
        returning id, node, available, current_load, capacity, downed, backoff"
    );
    /// By the URL in its stored form, or as others may have written it.
    static UPDATE = both(
        "update nodes set available = coalesce($4, available), current_load = coalesce($5, current_load),
            capacity = coalesce($6, capacity), downed = coalesce($7, downed), backoff = coalesce($8, backoff)
        where service = $1 and node in ($2, $3)
        returning id, node, available, current_load, capacity, downed, backoff"
    );
}

/// A service node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Node {
    /// Its id.
    pub id: i64,
    /// Its URL, as stored.
    pub url: String,
    /// How many users it takes before a further part of its capacity is opened.
    pub available: i64,
    /// How many users live on it.
    pub current_load: i64,
    /// How many users it can hold.
    pub capacity: i64,
    /// Whether it is out of order. It gets no users; those it has keep it.
    pub downed: bool,
    /// Whether it asked to be spared. It gets no users for now.
    pub backoff: bool,
}

/// What is set of a node; what is absent stays, or is as by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeChange {
    /// How many users it takes before a further part of its capacity is opened.
    pub available: Option<i64>,
    /// How many users live on it.
    pub current_load: Option<i64>,
    /// How many users it can hold.
    pub capacity: Option<i64>,
    /// Sets or clears: it is out of order.
    pub downed: Option<bool>,
    /// Sets or clears: it asked to be spared.
    pub backoff: Option<bool>,
}

/// Adds a node; `None` when it is there already, which then stays as it is.
pub(crate) struct AddNode {
    /// Its URL.
    pub node: NodeUrl,
    /// How many users it can hold.
    pub capacity: i64,
    /// How many it takes at once.
    pub available: i64,
    /// All else.
    pub rest: NodeChange,
}

/// All nodes, by URL.
pub(crate) struct ListNodes;

/// Changes a node; `None` when there is no such node.
pub(crate) struct UpdateNode {
    /// Its URL as it was given.
    pub given: String,
    /// Its URL in the stored form, when it has one.
    pub node: Option<NodeUrl>,
    /// What is set.
    pub change: NodeChange,
}

async fn service_id(tx: &mut Tx<'_>) -> Result<i64, StoreError> {
    tx.query_opt(&SERVICE_ID, &[SERVICE.into()], |row| row.int(0)).await?.ok_or_else(no_service)
}

impl Operation for AddNode {
    const NAME: &'static str = "tokenserver.add_node";
    type Output = Option<Node>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let service = service_id(tx).await?;
        let Self { node, capacity, available, rest } = self;
        let given = [
            service.into(),
            node.as_str().into(),
            (*available).into(),
            rest.current_load.unwrap_or(0).into(),
            (*capacity).into(),
            i64::from(rest.downed.unwrap_or(false)).into(),
            i64::from(rest.backoff.unwrap_or(false)).into(),
        ];
        tx.query_opt(&ADD, &given, read).await
    }
}

impl Operation for ListNodes {
    const NAME: &'static str = "tokenserver.list_nodes";
    type Output = Vec<Node>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let service = service_id(tx).await?;
        tx.query(&LIST, &[service.into()], read).await
    }
}

impl Operation for UpdateNode {
    const NAME: &'static str = "tokenserver.update_node";
    type Output = Option<Node>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let service = service_id(tx).await?;
        let Self { given, node, change } = self;
        let stored = node.as_ref().map_or(given.as_str(), NodeUrl::as_str);
        let values = [
            service.into(),
            given.into(),
            stored.into(),
            change.available.into(),
            change.current_load.into(),
            change.capacity.into(),
            change.downed.map(i64::from).into(),
            change.backoff.map(i64::from).into(),
        ];
        tx.query_opt(&UPDATE, &values, read).await
    }
}

fn read(row: &Row<'_>) -> Result<Node, StoreError> {
    Ok(Node {
        id: row.int(0)?,
        url: row.text(1)?.to_owned(),
        available: row.int(2)?,
        current_load: row.int(3)?,
        capacity: row.int(4)?,
        downed: row.bool(5)?,
        backoff: row.bool(6)?,
    })
}
