//! `account show|disable|enable|logins|disconnect`.

use crate::cli::{AccountCommand, AccountName};
use crate::client::{Admin, Refused, path};
use crate::output::{self, Column, Shown};
use anyhow::Result;
use axum::http::Method;
use serde_json::{Value, json};

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

/// Of an account that came here itself.
const LOCAL: &[Column] =
    &[("e-mail", "email"), ("locale", "locale"), ("as of", "profile_at"), ("since", "created_at")];

const LOGINS: &[Column] = &[("CLIENT ID", "client_id"), ("FIRST", "first_at"), ("LAST", "last_at")];

/// Carries the command out.
pub(crate) async fn run(command: AccountCommand, admin: &Admin) -> Result<Shown> {
    match command {
        AccountCommand::Show(account) => show(admin, account).await,
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

/// What the ledger knows of it, and what is kept here of one that came itself. To the latter nothing may have happened
/// yet: then it is not in the ledger.
async fn show(admin: &Admin, AccountName { idp, subject }: AccountName) -> Result<Shown> {
    let ledgers = admin.get(&path(&["accounts", &idp, &subject])).await;
    let Some(local) = found(admin.get(&path(&["accounts", &idp, &subject, "local"])).await)? else {
        let account = ledgers?;
        let card = output::card(&account, MEMBERS);
        return Ok(Shown::new(account, card));
    };
    let beside = format!("Came here itself:\n{}", output::card(&local, LOCAL));
    let (mut account, text) = match found(ledgers)? {
        Some(account) => {
            let text = format!("{}\n\n{beside}", output::card(&account, MEMBERS));
            (account, text)
        }
        None => (json!({ "idp": idp, "subject": subject }), format!("No event has come in yet.\n\n{beside}")),
    };
    account["local"] = local;
    Ok(Shown::new(account, text))
}

/// Nothing, when that is the answer.
fn found(answer: Result<Value>) -> Result<Option<Value>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.downcast_ref::<Refused>().is_some_and(|Refused(it)| it.status == 404) => Ok(None),
        Err(error) => Err(error),
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
