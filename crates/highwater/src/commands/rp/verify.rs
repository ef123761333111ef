//! `rp verify URL`: the conformance suite against a receiver.

use crate::cli::VerifyOptions;
use crate::client::Admin;
use crate::commands::trial::{Alone, receiver};
use crate::output::{self, Shown};
use account::Subject;
use anyhow::{Context, Result};
use axum::http::Method;
use broker::conformance::conformance;
use serde_json::{Value, json};

/// Signed by the house.
pub(super) async fn run(options: &VerifyOptions, admin: &Admin) -> Result<Shown> {
    let client_id = match &options.client_id {
        Some(client_id) => client_id.clone(),
        None => registered(&options.url, admin).await?,
    };
    let receiver = receiver(&client_id, Some(&options.url), &options.trial)?;
    let body = json!({ "receiver": receiver, "subject": options.trial.subject });
    Ok(shown(admin.ask(Method::POST, "/trials/conformance", Some(&body)).await?))
}

/// Signed by a key of one's own; no house is needed.
pub(crate) async fn alone(options: &VerifyOptions) -> Result<Shown> {
    let client_id = options.client_id.as_deref();
    let client_id = client_id.context("without a house nothing is registered: give --client-id")?;
    let subject = options.trial.subject.as_deref().map(Subject::new).transpose()?;
    let alone = Alone::begin(client_id, &options.url, &options.trial).await?;
    let came_to = serde_json::to_value(conformance(&alone.trial, subject.as_ref()).await?)?;
    Ok(shown(alone.answer(&options.trial, came_to.as_object().cloned().unwrap_or_default())))
}

/// The client id of whoever is registered with that webhook.
async fn registered(url: &str, admin: &Admin) -> Result<String> {
    let rps = admin.get("/rps").await?;
    let found = output::rows(&rps).iter().find(|rp| rp["config"]["webhook"] == url);
    let client_id = found.and_then(|rp| rp["client_id"].as_str()).map(str::to_owned);
    client_id.with_context(|| format!("no relying party is registered with {url}: give --client-id"))
}

/// Done only when nothing failed.
fn shown(answer: Value) -> Shown {
    let cases = output::rows(&answer["cases"]);
    let failed = cases.iter().filter(|case| case["grade"] == "fail").count();
    let all = cases.len();
    let text = cases.iter().map(told).collect::<Vec<_>>().join("\n");
    let shown = Shown::new(answer, text);
    if failed == 0 { shown } else { shown.but(format!("{failed} of {all} cases failed; see above")) }
}

/// A case in a line, and what to do about it beneath.
fn told(case: &Value) -> String {
    let text = |name: &str| case[name].as_str().unwrap_or_default();
    let line = format!("{:<5} {:<18}{}: {}", text("grade"), text("case"), text("sent"), text("came"));
    match case["advice"].as_str() {
        Some(advice) => format!("{line}\n      expected {}; {advice}", text("expected")),
        None => line,
    }
}
