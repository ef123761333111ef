//! `keys list|rotate`.

use crate::cli::{KeyKind, KeysCommand};
use crate::client::{Admin, OfService};
use crate::output::{self, Column, Shown, word};
use anyhow::{Context, Result};
use axum::http::Method;
use serde_json::{Value, json};

const COLUMNS: &[Column] = &[
    ("ALGORITHM", "algorithm"),
    ("STATE", "state"),
    ("KEPT", "kept"),
    ("CREATED", "created_at"),
    ("KEY", "kid"),
];

const DATA: &[Column] =
    &[("KEY", "id"), ("STATE", "state"), ("CREATED", "created_at"), ("CHANGED", "changed_at")];

const SECRETS: &[Column] = &[
    ("SERVICE", "service"),
    ("PLACE", "place"),
    ("STATE", "state"),
    ("CHANGED", "changed_at"),
    ("LAST TOKEN ENDS", "tokens_end_at"),
    ("FINGERPRINT", "fingerprint"),
];

/// Carries the command out.
pub(crate) async fn run(command: KeysCommand, admin: &Admin) -> Result<Shown> {
    match command {
        KeysCommand::List { kind: KeyKind::Tokens } => Ok(data(admin.get("/token-keys").await?)),
        KeysCommand::Rotate { kind: KeyKind::Tokens, .. } => {
            Ok(data(admin.ask(Method::POST, "/token-keys", None::<&()>).await?))
        }
        KeysCommand::List { kind: KeyKind::Nodes } => Ok(secrets(admin.get("/secrets").await?)),
        KeysCommand::Rotate { kind: KeyKind::Nodes, service, .. } => {
            let of = OfService { admin, service };
            Ok(secrets(of.ask(Method::POST, "/secrets/rotate", None::<&()>).await?))
        }
        KeysCommand::List { kind: KeyKind::Signing } => Ok(shown(admin.get("/keys").await?)),
        KeysCommand::Rotate { kind: KeyKind::Signing, algorithm, at_once, service: _ } => {
            let algorithm = algorithm.context("which algorithm's keys?")?;
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

fn data(keys: Value) -> Shown {
    let table = output::table(output::rows(&keys), DATA, "There are no keys yet.");
    Shown::new(keys, table)
}

fn secrets(secrets: Value) -> Shown {
    let nothing = "No Tokenserver is configured, and so no secret is shared with nodes.";
    let table = output::table(output::rows(&secrets), SECRETS, nothing);
    Shown::new(secrets, table)
}
