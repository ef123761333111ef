//! The operators' part: nodes, users, and what happens to the data of those who left.

mod buckets;
mod draining;
mod exclusive;
mod failing;
mod leaving;
mod nodes;
mod purging;
mod services;
mod shedding;
mod users;

pub(crate) use services::Counter;

use crate::Shedding;
use crate::rules::{InvalidNodeUrl, NodeName, NodeUrl, ServiceName};
use crate::store::{FindNode, Node};
use account::Millis;
use axum::Json;
use axum::extract::Query;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::middleware::map_response;
use idp::Idps;
use ledger::Problem;
use std::sync::Arc;
use store::Store;
use utoipa_axum::router::OpenApiRouter;

/// What the operators' routes share.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) store: Store,
    pub(crate) idps: Idps,
    /// The services: the field's one where no Tokenserver is configured.
    pub(crate) services: Arc<[Arc<Counter>]>,
    /// What is asked of clients when no operator asks for anything.
    pub(crate) shedding: Shedding,
}

impl Desk {
    fn now(&self) -> Millis {
        self.store.clock().now()
    }

    /// A service's node of that name.
    async fn node(&self, service: &ServiceName, name: &str) -> Result<Node, Problem> {
        let name = NodeName::new(service, name);
        let node = self.store.run(FindNode(name.clone())).await?;
        node.ok_or_else(|| unknown(&name))
    }
}

/// The routes for operators.
pub(crate) fn routes(desk: &Desk) -> OpenApiRouter {
    let rooms = [
        nodes::routes(desk.clone()),
        leaving::routes(desk.clone()),
        draining::routes(desk.clone()),
        failing::routes(desk.clone()),
        users::routes(desk.clone()),
        purging::routes(desk.clone()),
        services::routes(desk.clone()),
        buckets::routes(desk.clone()),
        shedding::routes(desk.clone()),
        exclusive::routes(desk.clone()),
    ];
    let all = rooms.into_iter().fold(OpenApiRouter::new(), OpenApiRouter::merge);
    all.layer(map_response(Problem::in_place_of))
}

fn unknown(name: &NodeName) -> Problem {
    match name.url().and_then(|url| NodeUrl::parse(url).err()) {
        Some(wrong) => wrong.into(),
        None => Problem::not_found(format!(
            "there is no node {name}; `highwater node list` shows those there are"
        )),
    }
}

fn given<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    body.map(|Json(body)| body).map_err(|rejection| Problem::unreadable(&rejection.body_text()))
}

fn asked<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    query.map(|Query(query)| query).map_err(|rejection| Problem::unreadable(&rejection.body_text()))
}

impl From<InvalidNodeUrl> for Problem {
    fn from(invalid: InvalidNodeUrl) -> Self {
        Self::invalid(invalid.to_string())
    }
}
