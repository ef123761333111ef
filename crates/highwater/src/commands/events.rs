//! `events ingest|dead|receipt|sources`.

mod ingest;
pub(crate) mod parts;

use crate::cli::{AccountName, DeadCommand, EventsCommand};
use crate::client::{Admin, path};
use crate::output::{self, Column, Shown};
use anyhow::{Result, ensure};
use axum::http::Method;
use serde_json::{Value, json};

const LETTERS: &[Column] = &[
    ("ID", "id"),
    ("RECEIVED", "received_at"),
    ("SOURCE", "source"),
    ("REASON", "reason"),
    ("DETAIL", "detail"),
];
const LETTER: &[Column] = &[
    ("id", "id"),
    ("received", "received_at"),
    ("source", "source"),
    ("message", "message_id"),
    ("reason", "reason"),
    ("detail", "detail"),
];
const SOURCES: &[Column] = &[("NAME", "name"), ("STATE", "state"), ("REASON", "reason")];

const RECEIPTS: &[Column] = &[
    ("CLIENT ID", "client_id"),
    ("STATE", "state"),
    ("TO BE TOLD", "requested_at"),
    ("ENDED", "settled_at"),
    ("TOKEN", "jti"),
    ("REASON", "reason"),
];

/// Carries the command out.
pub(crate) async fn run(command: EventsCommand, admin: &Admin) -> Result<Shown> {
    match command {
        EventsCommand::Ingest { file, idp } => ingest::run(&file, idp.as_deref(), admin).await,
        EventsCommand::Dead(command) => dead(command, admin).await,
        EventsCommand::Receipt(AccountName { idp, subject }) => {
            let receipts = admin.get(&path(&["accounts", &idp, &subject, "deletion-receipts"])).await?;
            let text = told(output::rows(&receipts));
            Ok(Shown::new(receipts, text))
        }
        EventsCommand::Sources => {
            let listed = admin.get("/sources").await?;
            let table =
                output::table(output::rows(&listed), SOURCES, "No source is configured (ingest.sqs).");
            Ok(Shown::new(listed, table))
        }
    }
}

fn told(receipts: &[Value]) -> String {
    let confirmed = receipts.iter().filter(|it| it["state"] == "delivered").count();
    let nothing = "No relying party had to be told that this account is gone.";
    let table = output::table(receipts, RECEIPTS, nothing);
    if receipts.is_empty() {
        table
    } else {
        format!("{table}\n\n{confirmed} of {} confirmed it.", receipts.len())
    }
}

async fn dead(command: DeadCommand, admin: &Admin) -> Result<Shown> {
    match command {
        DeadCommand::List { after, limit } => {
            let listed = admin.get(&format!("/dead-letters?after={after}&limit={limit}")).await?;
            let table = output::table(output::rows(&listed), LETTERS, "There are no dead letters.");
            Ok(Shown::new(listed, table))
        }
        DeadCommand::Show { id } => {
            let letter = admin.get(&format!("/dead-letters/{id}")).await?;
            let body = letter["body"].as_str().unwrap_or_default();
            let text = format!("{}\n\n{body}", output::card(&letter, LETTER));
            Ok(Shown::new(letter, text))
        }
        DeadCommand::Retry { ids } => retry(&ids, admin).await,
        DeadCommand::Drop { ids } => {
            for id in &ids {
                admin.ask(Method::DELETE, &format!("/dead-letters/{id}"), None::<&()>).await?;
            }
            Ok(Shown::new(json!({ "dropped": ids }), format!("Dropped {}.", counted(ids.len()))))
        }
    }
}

/// Tries every one of them; done only when all are events now.
async fn retry(ids: &[i64], admin: &Admin) -> Result<Shown> {
    let mut still = Vec::new();
    for id in ids {
        let retried = admin.ask(Method::POST, &format!("/dead-letters/{id}/retry"), None::<&()>).await?;
        if retried["accepted"] != Value::Bool(true) {
            still.push(id.to_string());
        }
    }
    ensure!(
        still.is_empty(),
        "still no event: {} of {}: {}",
        still.len(),
        counted(ids.len()),
        still.join(", ")
    );
    Ok(Shown::new(json!({ "accepted": ids }), format!("Accepted {}.", counted(ids.len()))))
}

fn counted(letters: usize) -> String {
    if letters == 1 { "1 letter".to_owned() } else { format!("{letters} letters") }
}
