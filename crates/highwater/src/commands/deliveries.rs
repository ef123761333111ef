//! `deliveries list|show|retry|replay`.

use crate::cli::{DeliveriesCommand, ListOptions};
use crate::client::Admin;
use crate::moment::Moment;
use crate::output::{self, Column, Shown, word};
use account::Millis;
use anyhow::Result;
use axum::http::Method;
use serde_json::{Value, json};
use store::Clock;
use url::form_urlencoded::Serializer;

const PATH: &str = "/deliveries";
const COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("MADE", "created_at"),
    ("TO", "client_id"),
    ("EVENT", "event"),
    ("SUBJECT", "subject"),
    ("STATE", "state"),
    ("FAILED", "failures"),
    ("ENDED", "settled_at"),
    ("REASON", "reason"),
];
const MEMBERS: &[Column] = &[
    ("id", "id"),
    ("to", "client_id"),
    ("identity provider", "idp"),
    ("subject", "subject"),
    ("event", "event_type"),
    ("says", "payload"),
    ("token", "jti"),
    ("tokens of this event", "txn"),
    ("happened", "event_at"),
    ("made", "created_at"),
    ("state", "state"),
    ("reason", "reason"),
    ("failures", "failures"),
    ("due", "due_at"),
    ("ended", "settled_at"),
];
const ATTEMPTS: &[Column] = &[
    ("ATTEMPT", "at"),
    ("MS", "duration_ms"),
    ("STATUS", "status"),
    ("OUTCOME", "outcome"),
    ("DETAIL", "detail"),
    ("ANSWER", "answer"),
];

/// Carries the command out.
pub(crate) async fn run(command: DeliveriesCommand, admin: &Admin) -> Result<Shown> {
    match command {
        DeliveriesCommand::List(options) => list(&options, admin).await,
        DeliveriesCommand::Show { id } => {
            let delivery = admin.get(&format!("{PATH}/{id}")).await?;
            let attempts =
                output::table(output::rows(&delivery["attempts"]), ATTEMPTS, "No attempt is kept.");
            let text = format!("{}\n\n{attempts}", output::card(&delivery, MEMBERS));
            Ok(Shown::new(delivery, text))
        }
        DeliveriesCommand::Retry { ids } => {
            for id in &ids {
                admin.ask(Method::POST, &format!("{PATH}/{id}/retry"), None::<&()>).await?;
            }
            let text = format!(
                "{} on the way again; `highwater deliveries show ID` tells how it went.",
                counted(ids.len())
            );
            Ok(Shown::new(json!({ "retried": ids }), text))
        }
        DeliveriesCommand::Replay { rp, since, state } => {
            let body = json!({ "rp": rp, "since": moment(since), "state": state.map(|it| word(&it)) });
            let replayed = admin.ask(Method::POST, &format!("{PATH}/replay"), Some(&body)).await?;
            let count = replayed["deliveries"].as_u64().and_then(|it| usize::try_from(it).ok());
            let text = format!("{} on the way again.", counted(count.unwrap_or_default()));
            Ok(Shown::new(replayed, text))
        }
    }
}

async fn list(options: &ListOptions, admin: &Admin) -> Result<Shown> {
    let listed = admin.get(&format!("{PATH}?{}", query(options))).await?;
    let rows: Vec<Value> = output::rows(&listed).iter().map(output::with_event_name).collect();
    let table = output::table(&rows, COLUMNS, "There are no such deliveries.");
    let last = rows.last().filter(|_| i64::try_from(rows.len()) == Ok(options.limit));
    let more = last.map(|last| format!("\n\nThere may be more: --after {}.", last["id"]));
    Ok(Shown::new(listed, table + &more.unwrap_or_default()))
}

fn query(options: &ListOptions) -> String {
    let ListOptions { rp, state, since, idp, subject, after, limit } = options;
    let mut query = Serializer::new(String::new());
    query.append_pair("after", &after.to_string()).append_pair("limit", &limit.to_string());
    let said = [
        ("rp", rp.clone()),
        ("state", state.as_ref().map(word)),
        ("since", since.map(|since| moment(since).get().to_string())),
        ("idp", idp.clone()),
        ("subject", subject.clone()),
    ];
    for (name, value) in said {
        if let Some(value) = value {
            query.append_pair(name, &value);
        }
    }
    query.finish()
}

fn moment(moment: Moment) -> Millis {
    moment.seen_from(Clock::system().now())
}

fn counted(deliveries: usize) -> String {
    if deliveries == 1 { "1 delivery is".to_owned() } else { format!("{deliveries} deliveries are") }
}
