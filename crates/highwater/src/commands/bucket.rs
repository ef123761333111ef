//! `bucket list|spread|move|weigh|of`.

use crate::cli::BucketCommand;
use crate::client::{OfService, path};
use crate::output::{self, Column, Shown};
use anyhow::Result;
use axum::http::Method;
use serde_json::{Value, json};

const COLUMNS: &[Column] = &[
    ("NODE ID", "node_id"),
    ("NODE", "url"),
    ("WEIGHT", "weight"),
    ("COUNT", "count"),
    ("BUCKETS", "buckets"),
];
const COMING: &[Column] = &[("NODE ID", "node_id"), ("COUNT", "count"), ("BUCKETS", "buckets")];

/// Carries the command out.
pub(crate) async fn run(command: BucketCommand, admin: &OfService<'_>) -> Result<Shown> {
    match command {
        BucketCommand::List => {
            let listed = admin.get("/buckets").await?;
            let table = output::table(output::rows(&listed), COLUMNS, "There are no nodes.");
            Ok(Shown::new(listed, table))
        }
        BucketCommand::Spread { dry_run } => {
            let body = json!({ "dry_run": dry_run });
            let moving = admin.ask(Method::POST, "/buckets/spread", Some(&body)).await?;
            Ok(moved(moving, if dry_run { "would move" } else { "moved" }))
        }
        BucketCommand::Move { buckets, node } => {
            let body = json!({ "buckets": buckets, "node": node });
            Ok(moved(admin.ask(Method::POST, "/buckets/move", Some(&body)).await?, "moved"))
        }
        BucketCommand::Weigh { node, weight } => {
            let body = json!({ "weight": weight });
            let share = admin.ask(Method::PUT, &path(&["nodes", &node, "weight"]), Some(&body)).await?;
            let url = share["url"].as_str().unwrap_or_default();
            let text = format!("{url} weighs {}; `highwater bucket spread` goes by it.", share["weight"]);
            Ok(Shown::new(share, text))
        }
        BucketCommand::Of { user } => {
            let belongs = admin.get(&path(&["users", &user, "bucket"])).await?;
            let user = belongs["email"].as_str().unwrap_or(&user);
            let on = belongs["url"].as_str().map_or("on no node".to_owned(), |url| format!("on {url}"));
            let text = format!("{user} is in bucket {}, which is {on}.", belongs["bucket"]);
            Ok(Shown::new(belongs, text))
        }
    }
}

fn moved(moving: Value, verb: &str) -> Shown {
    let text = match moving["moved"].as_u64() {
        Some(0) | None => "Nothing moves: every node has its share.".to_owned(),
        Some(count) => {
            let to = output::table(output::rows(&moving["to"]), COMING, "");
            format!("{count} of 4096 buckets {verb}; their users move as they come.\n\n{to}")
        }
    };
    Shown::new(moving, text)
}
