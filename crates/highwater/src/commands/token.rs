//! `token create|list|revoke`.

use crate::cli::{ListenerName, TokenCommand};
use crate::client::Admin;
use crate::output::{self, Column, Shown};
use anyhow::Result;
use axum::http::Method;
use keys::{Listener, NewCaller};
use serde_json::json;

const SECONDS_A_DAY: u64 = 86_400;
const COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("NAME", "name"),
    ("LISTENER", "listener"),
    ("SCOPES", "scopes"),
    ("CREATED", "created_at"),
    ("EXPIRES", "expires_at"),
    ("REVOKED", "revoked_at"),
];

/// Carries the command out.
pub(crate) async fn run(command: TokenCommand, admin: &Admin) -> Result<Shown> {
    match command {
        TokenCommand::Create { name, listener, scopes, days } => {
            let life_seconds = days.map(|days| u64::from(days) * SECONDS_A_DAY);
            let new = NewCaller { name, listener: named(listener), scopes, life_seconds };
            let made = admin.ask(Method::POST, "/tokens", Some(&new)).await?;
            let token = made["token"].as_str().unwrap_or_default().to_owned();
            let card = output::card(&made["caller"], &COLUMNS[..COLUMNS.len() - 1]);
            Ok(Shown::new(made, format!("{token}\n\nKeep it: it is not shown again.\n{card}")))
        }
        TokenCommand::List => {
            let listed = admin.get("/tokens").await?;
            let table = output::table(output::rows(&listed), COLUMNS, "There are no tokens.");
            Ok(Shown::new(listed, table))
        }
        TokenCommand::Revoke { id } => {
            admin.ask(Method::DELETE, &format!("/tokens/{id}"), None::<&()>).await?;
            let text = format!("Token {id} is revoked; every node refuses it within two seconds.");
            Ok(Shown::new(json!({ "revoked": id }), text))
        }
    }
}

fn named(listener: ListenerName) -> Listener {
    match listener {
        ListenerName::Service => Listener::Service,
        ListenerName::Admin => Listener::Admin,
    }
}
