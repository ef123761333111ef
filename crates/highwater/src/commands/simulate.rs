//! `simulate CLIENT_ID [WEBHOOK_URL] [CAPABILITIES]`.

use super::trial::{Alone, receiver};
use crate::cli::SimulateOptions;
use crate::client::Admin;
use crate::output::{self, Column, Shown};
use account::Subject;
use anyhow::{Context, Result};
use axum::http::Method;
use broker::simulate::{Simulated, Simulation, simulate};
use serde_json::{Map, Value, json};

const COLUMNS: &[Column] = &[
    ("EVENT", "event"),
    ("OUTCOME", "verdict"),
    ("STATUS", "status"),
    ("MS", "duration_ms"),
    ("SAID", "payload"),
    ("DETAIL", "detail"),
    ("ANSWER", "answer"),
];

/// Signed by the house.
pub(crate) async fn run(options: &SimulateOptions, admin: &Admin) -> Result<Shown> {
    let receiver = receiver(&options.client_id, options.webhook_url.as_deref(), &options.trial)?;
    let capabilities = Some(&options.capabilities).filter(|it| !it.is_empty());
    let body = json!({
        "receiver": receiver,
        "event": options.event,
        "capabilities": capabilities,
        "subject": options.trial.subject,
    });
    Ok(shown(admin.ask(Method::POST, "/trials/simulation", Some(&body)).await?))
}

/// Signed by a key of one's own; no house is needed.
pub(crate) async fn alone(options: &SimulateOptions) -> Result<Shown> {
    let event = Simulated::from_word(&options.event)?;
    let url = options.webhook_url.as_deref();
    let url = url.context("without a house nothing is registered: give the receiver's URL")?;
    let subject = options.trial.subject.as_deref().map(Subject::new).transpose()?;
    let alone = Alone::begin(&options.client_id, url, &options.trial).await?;
    let simulation = Simulation { event, capabilities: options.capabilities.clone(), subject };
    let told = serde_json::to_value(simulate(&alone.trial, &simulation).await?)?;
    Ok(shown(alone.answer(&options.trial, Map::from_iter([("told".to_owned(), told)]))))
}

/// Done only when everything was taken.
fn shown(answer: Value) -> Shown {
    let rows: Vec<Value> = output::rows(&answer["told"]).iter().map(output::with_event_name).collect();
    let missed = rows.iter().filter(|it| it["verdict"] != "delivered").count();
    let table = output::table(&rows, COLUMNS, "Nothing was sent.");
    let all = rows.len();
    let shown = Shown::new(answer, table);
    if missed == 0 { shown } else { shown.but(format!("{missed} of {all} were not taken; see above")) }
}
