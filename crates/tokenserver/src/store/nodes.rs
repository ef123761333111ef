use super::lookup::no_service;
use crate::rules::{NodeName, NodeUrl, ServiceName};
use serde::{Deserialize, Serialize};
use store::{Operation, Row, StoreError, Tx};
use utoipa::ToSchema;

/// What `downed` holds for a node that has failed: its users move as they come. To others it is a node that is down.
const FAILED: i64 = 2;

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
    /// One that has failed is not merely down: only clearing the flag changes that.
    static UPDATE = both(
        "update nodes set available = coalesce($2, available), current_load = coalesce($3, current_load),
            capacity = coalesce($4, capacity), backoff = coalesce($6, backoff),
            downed = case when $5 = 1 and downed = 2 then 2 else coalesce($5, downed) end
        where id = $1
        returning id, node, available, current_load, capacity, downed, backoff"
    );
    static DRAINED = both("select 1 from drains where node_id = $1 and ended_at is null");
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
    /// Whether it gets no users for now: it asked to be spared, or was cordoned.
    pub backoff: bool,
    /// Whether it has failed: its users move to others as they come.
    pub failed: bool,
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
    /// Sets or clears: it is out of order. Clearing it ends a failure too.
    pub downed: Option<bool>,
    /// Sets or clears: it gets no users for now.
    pub backoff: Option<bool>,
}

/// Adds a node.
pub(crate) struct AddNode {
    /// Whose node it is.
    pub service: ServiceName,
    /// Its URL.
    pub node: NodeUrl,
    /// How many users it can hold.
    pub capacity: i64,
    /// How many it takes at once.
    pub available: i64,
    /// All else.
    pub rest: NodeChange,
}

/// What came of adding a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// It was not there.
    New(Node),
    /// It was, and is as it was; perhaps in another form than it would be stored in now.
    There(String),
}

/// All nodes of a service, by URL.
pub(crate) struct ListNodes(pub ServiceName);

/// One node; `None` when there is no such node.
pub(crate) struct FindNode(pub NodeName);

/// Changes a node.
pub(crate) struct UpdateNode {
    /// Which one.
    pub name: NodeName,
    /// What is set.
    pub change: NodeChange,
}

/// What came of changing a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Updated {
    /// As it is now.
    Done(Node),
    /// There is no such node.
    Unknown,
    /// It is being drained, and so cannot be opened.
    Draining,
}

pub(super) async fn service_id(tx: &mut Tx<'_>, service: &ServiceName) -> Result<i64, StoreError> {
    find_service(tx, service).await?.ok_or_else(|| no_service(service))
}

pub(super) async fn find_service(tx: &mut Tx<'_>, service: &ServiceName) -> Result<Option<i64>, StoreError> {
    tx.query_opt(&SERVICE_ID, &[service.as_str().into()], |row| row.int(0)).await
}

pub(super) async fn list(tx: &mut Tx<'_>, service: &ServiceName) -> Result<Vec<Node>, StoreError> {
    // One that has no row yet has no nodes either.
    let Some(service) = find_service(tx, service).await? else { return Ok(Vec::new()) };
    tx.query(&LIST, &[service.into()], read).await
}

/// The node that is meant. There are hundreds at most, and only operators name them.
pub(super) async fn find(tx: &mut Tx<'_>, name: &NodeName) -> Result<Option<Node>, StoreError> {
    let nodes = list(tx, &name.service).await?;
    let named: Vec<_> = nodes.iter().map(|node| (node.id, node.url.as_str())).collect();
    let found = name.find(&named);
    Ok(nodes.into_iter().find(|node| Some(node.id) == found))
}

impl Operation for AddNode {
    const NAME: &'static str = "tokenserver.add_node";
    type Output = Added;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let Self { service, node, capacity, available, rest } = self;
        if let Some(there) = list(tx, service).await?.into_iter().find(|there| node.is_written(&there.url)) {
            return Ok(Added::There(there.url));
        }
        let service = service_id(tx, service).await?;
        let given = [
            service.into(),
            node.as_str().into(),
            (*available).into(),
            rest.current_load.unwrap_or(0).into(),
            (*capacity).into(),
            i64::from(rest.downed.unwrap_or(false)).into(),
            i64::from(rest.backoff.unwrap_or(false)).into(),
        ];
        let added = tx.query_opt(&ADD, &given, read).await?;
        Ok(added.map_or_else(|| Added::There(node.to_string()), Added::New))
    }
}

impl Operation for ListNodes {
    const NAME: &'static str = "tokenserver.list_nodes";
    type Output = Vec<Node>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        list(tx, &self.0).await
    }
}

impl Operation for FindNode {
    const NAME: &'static str = "tokenserver.find_node";
    type Output = Option<Node>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        find(tx, &self.0).await
    }
}

impl Operation for UpdateNode {
    const NAME: &'static str = "tokenserver.update_node";
    type Output = Updated;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let Some(node) = find(tx, &self.name).await? else { return Ok(Updated::Unknown) };
        let change = &self.change;
        if change.backoff == Some(false) && is_drained(tx, node.id).await? {
            return Ok(Updated::Draining);
        }
        let values = [
            node.id.into(),
            change.available.into(),
            change.current_load.into(),
            change.capacity.into(),
            change.downed.map(i64::from).into(),
            change.backoff.map(i64::from).into(),
        ];
        Ok(tx.query_opt(&UPDATE, &values, read).await?.map_or(Updated::Unknown, Updated::Done))
    }
}

async fn is_drained(tx: &mut Tx<'_>, id: i64) -> Result<bool, StoreError> {
    Ok(tx.query_opt(&DRAINED, &[id.into()], |_| Ok(())).await?.is_some())
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
        failed: row.int(5)? == FAILED,
    })
}
