//! `account show|disable|enable`.

use crate::cli::{AccountCommand, AccountName};
use crate::client::{Admin, path};
use crate::output::{self, Column, Shown};
use anyhow::Result;
use axum::http::Method;

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
