//! `keys list|rotate`.

use crate::cli::KeysCommand;
use crate::client::Admin;
use crate::output::{self, Column, Shown, word};
use anyhow::Result;
use axum::http::Method;
use serde_json::{Value, json};

const COLUMNS: &[Column] = &[
    ("ALGORITHM", "algorithm"),
    ("STATE", "state"),
    ("KEPT", "kept"),
    ("CREATED", "created_at"),
    ("KEY", "kid"),
];

/// Carries the command out.
pub(crate) async fn run(command: KeysCommand, admin: &Admin) -> Result<Shown> {
    match command {
        KeysCommand::List => Ok(shown(admin.get("/keys").await?)),
        KeysCommand::Rotate { algorithm, at_once } => {
            let body = json!({ "algorithm": word(&algorithm), "at_once": at_once });
            Ok(shown(admin.ask(Method::POST, "/keys/rotate", Some(&body)).await?))
        }
    }
}

fn shown(keys: Value) -> Shown {
    let nothing = "There are no keys yet; a running node makes them when it starts.";
    let mut rows = output::rows(&keys).to_vec();
    rows.sort_by_cached_key(|key| (key["algorithm"].to_string(), key["state"].to_string()));
    let table = output::table(&rows, COLUMNS, nothing);
    Shown::new(keys, table)
}
