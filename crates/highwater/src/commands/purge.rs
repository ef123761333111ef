//! `purge`: part after part, until nothing is left.

use super::progress;
use crate::cli::PurgeOptions;
use crate::client::Admin;
use crate::output::{self, Column, Shown};
use anyhow::{Context, Result};
use axum::http::Method;
use serde_json::{Value, json};

const FAILURES: &[Column] = &[("UID", "uid"), ("NODE", "node"), ("REASON", "reason"), ("DETAIL", "detail")];

/// Carries the command out. Done only when nothing failed.
pub(crate) async fn run(options: &PurgeOptions, admin: &Admin) -> Result<Shown> {
    let PurgeOptions { service, grace_seconds, max, dry_run, force, override_node, above_uid, below_uid } =
        options;
    let said = json!({
        "service": service,
        "grace_seconds": grace_seconds, "max": max.unwrap_or(0), "dry_run": dry_run, "force": force,
        "override_node": override_node, "above_uid": above_uid, "below_uid": below_uid,
    });
    let (mut so_far, mut bar) = (Value::Null, None);
    loop {
        let part = json!({ "options": said, "progress": so_far });
        so_far = admin
            .ask(Method::POST, "/purge", Some(&part))
            .await
            .context("the purge stopped; run it again, it goes on where it was")?;
        let bar = bar.get_or_insert_with(|| {
            progress::counter(so_far["backlog"].as_u64().unwrap_or_default()).with_message("rows looked at")
        });
        bar.set_position(so_far["fetched"].as_u64().unwrap_or_default());
        if so_far["done"] == true {
            bar.finish_and_clear();
            return Ok(shown(so_far, *dry_run));
        }
    }
}

fn shown(run: Value, dry_run: bool) -> Shown {
    let count = |member: &str| run[member].as_u64().unwrap_or_default();
    let would = if dry_run { "would be deleted" } else { "was deleted" };
    let mut lines =
        vec![format!("The data of {} rows {would} on their nodes, and the rows with it.", count("deleted"))];
    for (member, what) in [
        ("gone", "rows had no data any more"),
        ("forced", "rows are of nodes that are out of order"),
        ("nodeless", "rows have no node any more: only they go"),
        ("shared", "rows share their data with a live row: only they go"),
        ("waiting", "rows wait until their node is in order again"),
        ("failed", "rows failed, and stay"),
        ("spared", "rows were not tried, their node having failed, and stay"),
    ] {
        if count(member) > 0 {
            lines.push(format!("{} {what}.", count(member)));
        }
    }
    let failures = output::rows(&run["failures"]);
    if !failures.is_empty() {
        lines.push(format!("\n{}", output::table(failures, FAILURES, "")));
    }
    let unfinished = count("failed") + count("spared");
    let shown = Shown::new(run, lines.join("\n"));
    if unfinished > 0 { shown.but(format!("{unfinished} rows could not be purged")) } else { shown }
}
