//! `user show|allocate|move|count`.

use crate::cli::{Place, UserCommand};
use crate::client::{OfService, path};
use crate::moment::{Moment, date};
use crate::output::{self, Column, Shown};
use account::Millis;
use anyhow::{Context, Result};
use axum::http::Method;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use store::Clock;

const ROWS: &[Column] = &[
    ("UID", "uid"),
    ("NODE", "node"),
    ("MADE", "created_at"),
    ("REPLACED", "replaced_at"),
    ("GENERATION", "generation"),
    ("KEYS CHANGED", "keys_changed_at_ms"),
    ("CLIENT STATE", "client_state"),
];
/// The generation of a deleted account.
const RETIRED: i64 = i64::MAX;

/// Carries the command out.
pub(crate) async fn run(command: UserCommand, admin: &OfService<'_>) -> Result<Shown> {
    match command {
        UserCommand::Show { user } => {
            let shown = admin.get(&path(&["users", &user])).await?;
            let rows: Vec<Value> = output::rows(&shown["rows"]).iter().map(for_people).collect();
            let table = output::table(&rows, ROWS, "There are no rows.");
            let text = format!("{}\n\n{table}", shown["email"].as_str().unwrap_or_default());
            Ok(Shown::new(shown, text))
        }
        UserCommand::Allocate { user, place } => {
            let home =
                admin.ask(Method::POST, &path(&["users", &user, "allocate"]), Some(&body(&place))).await?;
            Ok(allocated(home))
        }
        UserCommand::Move { user, place } => {
            let home = admin.ask(Method::POST, &path(&["users", &user, "move"]), Some(&body(&place))).await?;
            Ok(moved(home))
        }
        UserCommand::Count { until, append } => count(until, append.as_deref(), admin).await,
    }
}

fn body(place: &Place) -> Value {
    json!({ "node": place.node, "force": place.force })
}

/// The time of a key is the client's own number, which is not always a moment; nor is a retired generation.
fn for_people(row: &Value) -> Value {
    let mut row = row.clone();
    row["keys_changed_at_ms"] = row["keys_changed_at"].clone();
    if row["generation"] == RETIRED {
        row["generation"] = "retired".into();
    }
    row
}

fn text<'a>(home: &'a Value, member: &str) -> &'a str {
    home[member].as_str().unwrap_or_default()
}

fn allocated(home: Value) -> Shown {
    let (email, node) = (text(&home, "email"), text(&home, "node"));
    let so = if home["changed"] == true { "lives" } else { "lived already" };
    let said = format!("{email} {so} on {node}, under uid {}.", home["uid"]);
    Shown::new(home, said)
}

fn moved(home: Value) -> Shown {
    let (email, node) = (text(&home, "email"), text(&home, "node"));
    let said = if home["changed"] == true {
        format!(
            "{email} lives on {node}, under uid {}; what is under uid {} waits for the purge.",
            home["uid"], home["replaced_uid"]
        )
    } else {
        format!("{email} lived on {node} already, under uid {}.", home["uid"])
    };
    Shown::new(home, said)
}

/// In the form of the field's script where it is JSON.
async fn count(until: Option<Moment>, append: Option<&Path>, admin: &OfService<'_>) -> Result<Shown> {
    let until = until.map(|until| until.seen_from(Clock::system().now()).get());
    let query = until.map(|until| format!("?until={until}")).unwrap_or_default();
    let counted = admin.get(&format!("/users/count{query}")).await?;
    let moment = |member: &str| date(Millis::new(counted[member].as_i64().unwrap_or_default()));
    let line = json!({
        "hostname": host(),
        "pid": std::process::id(),
        "op": "sync_count_users",
        "total_users": counted["total_users"],
        "time": moment("now"),
        "v": 0,
    });
    if let Some(file) = append {
        let written = std::fs::OpenOptions::new().create(true).append(true).open(file);
        let written = written.and_then(|mut file| writeln!(file, "{line}"));
        written.with_context(|| format!("{} cannot be appended to", file.display()))?;
    }
    let text = format!("{} users whose row was made by {}.", counted["total_users"], moment("until"));
    Ok(Shown::new(line, text))
}

fn host() -> String {
    let known = std::fs::read_to_string("/proc/sys/kernel/hostname");
    known.map_or_else(|_| "localhost".to_owned(), |name| name.trim().to_owned())
}
