//! `account show|disable|enable|logins|disconnect`.

use crate::cli::{AccountCommand, AccountName};
use crate::client::{Admin, path};
use crate::output::{self, Column, Shown};
use anyhow::Result;
use axum::http::Method;
use serde_json::json;

const MEMBERS: &[Column] = &[
    ("identity provider", "idp"),
    ("subject", "subject"),
    ("state", "state"),
    ("state since", "state_at"),
    ("held by an operator since", "held_at"),
    ("mark", "mark"),
    ("password changed", "credential_at"),
    ("events", "version"),
    ("first seen", "first_seen_at"),
    ("updated", "updated_at"),
];

const LOGINS: &[Column] = &[("CLIENT ID", "client_id"), ("FIRST", "first_at"), ("LAST", "last_at")];

/// Carries the command out.
pub(crate) async fn run(command: AccountCommand, admin: &Admin) -> Result<Shown> {
    match command {
        AccountCommand::Show(AccountName { idp, subject }) => {
            let account = admin.get(&path(&["accounts", &idp, &subject])).await?;
            let card = output::card(&account, MEMBERS);
            Ok(Shown::new(account, card))
        }
        AccountCommand::Disable(account) => change(admin, account, "disable").await,
        AccountCommand::Enable(account) => change(admin, account, "enable").await,
        AccountCommand::Logins(AccountName { idp, subject }) => {
            let logins = admin.get(&path(&["accounts", &idp, &subject, "logins"])).await?;
            let nothing = "No login to a relying party is remembered.";
            let table = output::table(output::rows(&logins), LOGINS, nothing);
            Ok(Shown::new(logins, table))
        }
        AccountCommand::Disconnect { account: AccountName { idp, subject }, client_id } => {
            let login = path(&["accounts", &idp, &subject, "logins", &client_id]);
            admin.ask(Method::DELETE, &login, None::<&()>).await?;
            let text = format!("{client_id} hears no more of it, until it logs in there again.");
            Ok(Shown::new(json!({ "disconnected": client_id }), text))
        }
    }
}

async fn change(admin: &Admin, account: AccountName, verb: &str) -> Result<Shown> {
    let path = path(&["accounts", &account.idp, &account.subject, verb]);
    let answer = admin.ask(Method::POST, &path, None::<&()>).await?;
    let changed = answer["changed"].as_bool().unwrap_or_default();
    let first = if changed { format!("Done: {verb}d.") } else { "It was so already.".to_owned() };
    let text = format!("{first}\n{}", output::card(&answer, MEMBERS));
    Ok(Shown::new(answer, text))
}
