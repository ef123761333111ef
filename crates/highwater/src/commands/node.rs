//! `node add|list|update`.

use crate::cli::{NodeCommand, NodeNumbers};
use crate::client::Admin;
use crate::output::{self, Column, Shown};
use anyhow::Result;
use axum::http::Method;
use serde_json::{Map, Value, json};

/// The nodes, on the admin API.
pub(crate) const PATH: &str = "/nodes";

const COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("URL", "url"),
    ("AVAILABLE", "available"),
    ("LOAD", "current_load"),
    ("CAPACITY", "capacity"),
    ("DOWNED", "downed"),
    ("BACKOFF", "backoff"),
];

/// Carries the command out.
pub(crate) async fn run(command: NodeCommand, admin: &Admin) -> Result<Shown> {
    match command {
        NodeCommand::List => {
            let listed = admin.get(PATH).await?;
            let nothing = "There are no nodes; `highwater node add URL --capacity N` adds one.";
            let table = output::table(output::rows(&listed), COLUMNS, nothing);
            Ok(Shown::new(listed, table))
        }
        NodeCommand::Add { node, capacity, change } => {
            let body = body(&node, Some(capacity), &change);
            Ok(shown(admin.ask(Method::POST, PATH, Some(&body)).await?))
        }
        NodeCommand::Update { node, capacity, change } => {
            let body = body(&node, capacity, &change);
            Ok(shown(admin.ask(Method::PATCH, PATH, Some(&body)).await?))
        }
    }
}

fn shown(node: Value) -> Shown {
    let card = output::card(&node, COLUMNS);
    Shown::new(node, card)
}

/// Only what was said: what is absent stays as it is.
fn body(node: &str, capacity: Option<i64>, change: &NodeNumbers) -> Value {
    let NodeNumbers { available, current_load, downed, backoff } = change;
    let said = [
        ("capacity", capacity.map(Value::from)),
        ("available", available.map(Value::from)),
        ("current_load", current_load.map(Value::from)),
        ("downed", downed.map(Value::from)),
        ("backoff", backoff.map(Value::from)),
    ];
    let said = said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(std::iter::once(("url".to_owned(), json!(node))).chain(said).collect::<Map<_, _>>())
}
