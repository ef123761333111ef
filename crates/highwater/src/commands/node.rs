//! `node add|list|show|update|cordon|uncordon|drain|drains|fail|unassign|remove|recount`.

mod drain;
mod fail;

use crate::cli::{NodeCommand, NodeNumbers};
use crate::client::{OfService, path};
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
    ("FAILED", "failed"),
];
const MEMBERS: &[Column] = &[
    ("id", "id"),
    ("URL", "url"),
    ("capacity", "capacity"),
    ("load", "current_load"),
    ("available", "available"),
    ("out of order", "downed"),
    ("takes nobody for now", "backoff"),
    ("failed", "failed"),
    ("live rows", "live_rows"),
    ("rows to be purged", "replaced_rows"),
    ("drain", "drain.state"),
    ("moved by it", "drain.moved"),
];

/// Carries the command out.
pub(crate) async fn run(command: NodeCommand, admin: &OfService<'_>) -> Result<Shown> {
    match command {
        NodeCommand::List => {
            let listed = admin.get(PATH).await?;
            let nothing = "There are no nodes; `highwater node add URL --capacity N` adds one.";
            let table = output::table(output::rows(&listed), COLUMNS, nothing);
            Ok(Shown::new(listed, table))
        }
        NodeCommand::Add { node, capacity, change } => {
            let body = body(Some(&node), Some(capacity), &change);
            Ok(shown(admin.ask(Method::POST, PATH, Some(&body)).await?))
        }
        NodeCommand::Show { node } => Ok(shown(admin.get(&at(&node, &[])).await?)),
        NodeCommand::Update { node, capacity, change } => {
            let body = body(None, capacity, &change);
            Ok(shown(admin.ask(Method::PATCH, &at(&node, &[]), Some(&body)).await?))
        }
        NodeCommand::Cordon { node } => {
            let node = admin.ask(Method::POST, &at(&node, &["cordon"]), None::<&()>).await?;
            let text = format!("Nobody new comes to {}; those who live on it stay.", url(&node));
            Ok(Shown::new(node, text))
        }
        NodeCommand::Uncordon { node } => {
            let node = admin.ask(Method::POST, &at(&node, &["uncordon"]), None::<&()>).await?;
            Ok(uncordoned(node))
        }
        NodeCommand::Drain { node, options } => drain::run(&node, &options, admin).await,
        NodeCommand::Drains => drain::list(admin).await,
        NodeCommand::Fail { node, options } => fail::run(&node, &options, admin).await,
        NodeCommand::Unassign { node } => {
            let left = admin.ask(Method::POST, &at(&node, &["unassign"]), None::<&()>).await?;
            let text =
                format!("{} users of {} are assigned anew when they come.", left["unassigned"], url(&left));
            Ok(Shown::new(left, text))
        }
        NodeCommand::Remove { node, force } => {
            let path = at(&node, &[]) + if force { "?force=true" } else { "" };
            let left = admin.ask(Method::DELETE, &path, None::<&()>).await?;
            let text = match left["unassigned"].as_u64() {
                Some(0) | None => format!("{} is removed.", url(&left)),
                Some(some) => {
                    format!("{} is removed; {some} users are assigned anew when they come.", url(&left))
                }
            };
            Ok(Shown::new(left, text))
        }
        NodeCommand::Recount { node } => recount(node, admin).await,
    }
}

/// A node's path, or one beneath it.
fn at(node: &str, beneath: &[&str]) -> String {
    path(&[&["nodes", node], beneath].concat())
}

fn url(node: &Value) -> &str {
    node["url"].as_str().unwrap_or_default()
}

fn uncordoned(node: Value) -> Shown {
    let text = if node["downed"] == true {
        format!(
            "{0} is not cordoned, but it is down; `highwater node update {0} --downed=false` opens it.",
            url(&node)
        )
    } else {
        format!("{} takes users again.", url(&node))
    };
    Shown::new(node, text)
}

async fn recount(node: Option<String>, admin: &OfService<'_>) -> Result<Shown> {
    let ids = match node {
        Some(node) => vec![node],
        None => output::rows(&admin.get(PATH).await?).iter().map(|node| node["id"].to_string()).collect(),
    };
    let mut counted = Vec::new();
    for id in ids {
        counted.push(admin.ask(Method::POST, &at(&id, &["recount"]), None::<&()>).await?);
    }
    let columns: &[Column] =
        &[("ID", "id"), ("URL", "url"), ("LOAD", "current_load"), ("WAS OFF BY", "off_by")];
    let table = output::table(&counted, columns, "There are no nodes.");
    Ok(Shown::new(counted.into(), table))
}

fn shown(node: Value) -> Shown {
    // What an answer does not speak of is not shown as if it were absent.
    let told: Vec<Column> = MEMBERS
        .iter()
        .filter(|(_, member)| !node[member.split('.').next().unwrap_or(member)].is_null())
        .copied()
        .collect();
    let card = output::card(&node, &told);
    Shown::new(node, card)
}

/// Only what was said: what is absent stays as it is.
fn body(url: Option<&str>, capacity: Option<i64>, change: &NodeNumbers) -> Value {
    let NodeNumbers { available, current_load, downed, backoff } = change;
    let said = [
        ("url", url.map(|url| json!(url))),
        ("capacity", capacity.map(Value::from)),
        ("available", available.map(Value::from)),
        ("current_load", current_load.map(Value::from)),
        ("downed", downed.map(Value::from)),
        ("backoff", backoff.map(Value::from)),
    ];
    let said = said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(said.collect::<Map<_, _>>())
}
