//! `node drain` and `node drains`.

use super::{at, url};
use crate::cli::DrainOptions;
use crate::client::OfService;
use crate::commands::progress;
use crate::output::{self, Column, Shown};
use anyhow::{Result, ensure};
use axum::http::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// Between two looks, for those who wait.
const LOOK: Duration = Duration::from_millis(500);
const COLUMNS: &[Column] = &[
    ("NODE", "url"),
    ("STATE", "state"),
    ("RATE", "rate"),
    ("BEGAN", "began_at"),
    ("ENDED", "ended_at"),
    ("TOTAL", "total"),
    ("MOVED", "moved"),
    ("LEFT", "left"),
    ("TROUBLE", "trouble"),
];
const MEMBERS: &[Column] = &[
    ("node", "url"),
    ("state", "state"),
    ("users a second", "rate"),
    ("began", "began_at"),
    ("ended", "ended_at"),
    ("lived there then", "total"),
    ("moved", "moved"),
    ("live there now", "left"),
    ("trouble", "trouble"),
];

pub(super) async fn run(node: &str, options: &DrainOptions, admin: &OfService<'_>) -> Result<Shown> {
    let path = at(node, &["drain"]);
    let drain = if options.stop {
        let stopped = admin.ask(Method::DELETE, &path, None::<&()>).await?;
        let text = format!(
            "Stopped; {} users live on {} still, and nobody new comes.",
            stopped["left"],
            url(&stopped)
        );
        return Ok(Shown::new(stopped, text));
    } else if options.status {
        admin.get(&path).await?
    } else {
        ensure!(
            !(options.wait && admin.is_alone()),
            "no process serves here, and only a serving one drains; start it, or do not `--wait`"
        );
        admin.ask(Method::PUT, &path, Some(&json!({ "rate": options.rate }))).await?
    };
    if !options.wait {
        return Ok(if options.status || !admin.is_alone() {
            shown(drain)
        } else {
            shown(drain).and("It begins when a process serves.")
        });
    }
    wait(&path, drain, admin).await
}

pub(super) async fn list(admin: &OfService<'_>) -> Result<Shown> {
    let listed = admin.get("/drains").await?;
    let table = output::table(output::rows(&listed), COLUMNS, "No node was ever drained.");
    Ok(Shown::new(listed, table))
}

/// Until it has ended.
async fn wait(path: &str, mut drain: Value, admin: &OfService<'_>) -> Result<Shown> {
    let bar = progress::counter(drain["total"].as_u64().unwrap_or_default());
    while drain["state"] == "running" {
        bar.set_position(drain["moved"].as_u64().unwrap_or_default());
        bar.set_message(drain["trouble"].as_str().unwrap_or_default().to_owned());
        tokio::time::sleep(LOOK).await;
        drain = admin.get(path).await?;
    }
    bar.finish_and_clear();
    let left = drain["left"].to_string();
    Ok(match drain["state"].as_str() {
        Some("done") => shown(drain),
        _ => shown(drain).but(format!("the drain was stopped; {left} users live there still")),
    })
}

fn shown(drain: Value) -> Shown {
    let card = output::card(&drain, MEMBERS);
    Shown::new(drain, card)
}
