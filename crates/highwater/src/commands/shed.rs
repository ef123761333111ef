//! `shed`.

use crate::cli::ShedOptions;
use crate::client::Admin;
use crate::moment::date;
use crate::output::Shown;
use account::Millis;
use anyhow::Result;
use axum::http::Method;
use serde_json::{Value, json};

const PATH: &str = "/shedding";

/// Carries the command out.
pub(crate) async fn run(options: &ShedOptions, admin: &Admin) -> Result<Shown> {
    let ShedOptions { backoff, refuse, for_seconds, stop } = options;
    let asked = match (backoff, refuse) {
        _ if *stop => admin.ask(Method::DELETE, PATH, None::<&()>).await?,
        (None, None) => admin.get(PATH).await?,
        _ => {
            let body = json!({
                "backoff_seconds": backoff.unwrap_or(0), "refuse_percent": refuse.unwrap_or(0),
                "for_seconds": for_seconds,
            });
            admin.ask(Method::PUT, PATH, Some(&body)).await?
        }
    };
    Ok(shown(asked))
}

fn shown(asked: Value) -> Shown {
    let number = |member: &str| asked[member].as_u64().unwrap_or_default();
    let what = match (number("backoff_seconds"), number("refuse_percent")) {
        (0, 0) => "Nothing is asked of clients".to_owned(),
        (0, percent) => format!("{percent} of 100 clients are turned away"),
        (seconds, 0) => format!("Clients are asked to stay away for {seconds} seconds"),
        (seconds, percent) => format!(
            "Clients are asked to stay away for {seconds} seconds, and {percent} of 100 are turned away"
        ),
    };
    let until = asked["until"].as_i64().map(|until| format!(", until {}", date(Millis::new(until))));
    let text = format!("{what}{}.", until.unwrap_or_default());
    Shown::new(asked, text)
}
