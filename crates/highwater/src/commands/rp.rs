//! `rp add|list|show|update|pause|resume|disable|enable|renew-secret|remove|import|verify|listen|token`.

mod import;
pub(crate) mod listen;
pub(super) mod said;
pub(crate) mod verify;

use crate::cli::{RpCommand, RpTokenCommand};
use crate::client::{Admin, path};
use crate::output::{self, Column, Shown};
use anyhow::{Result, ensure};
use axum::http::Method;
use said::Said;
use serde_json::{Value, json};

const SECONDS_A_DAY: u64 = 86_400;
const COLUMNS: &[Column] = &[
    ("CLIENT ID", "client_id"),
    ("NAME", "config.name"),
    ("STATUS", "status"),
    ("FAILING SINCE", "failing_since"),
    ("PENDING", "pending.deliveries"),
    ("OLDEST", "pending.oldest_at"),
    ("FORMAT", "config.format"),
    ("WEBHOOK", "config.webhook"),
];
const MEMBERS: &[Column] = &[
    ("client id", "client_id"),
    ("name", "config.name"),
    ("status", "status"),
    ("reason", "reason"),
    ("status since", "status_at"),
    ("failing since", "failing_since"),
    ("pending", "pending.deliveries"),
    ("the oldest since", "pending.oldest_at"),
    ("identity provider", "config.idp"),
    ("webhook", "config.webhook"),
    ("format", "config.format"),
    ("explicit type", "config.explicit_type"),
    ("vocabulary", "config.vocabulary"),
    ("events", "config.events"),
    ("capabilities", "config.capabilities"),
    ("resource server", "config.resource_server"),
    ("algorithm", "config.algorithm"),
    ("concurrency", "config.concurrency"),
    ("rate", "config.rate"),
    ("retry", "config.retry"),
    ("deadline, seconds", "config.deadline_seconds"),
    ("private addresses", "config.allow_private"),
    ("coalesce", "config.coalesce"),
    ("registered by", "origin"),
    ("stream", "config.stream.id"),
    ("authorization", "secrets.authorization"),
    ("headers", "secrets.headers"),
    ("access token", "secrets.oauth"),
    ("webhook secrets", "secrets.webhook"),
    ("client certificate", "secrets.client_certificate"),
    ("added", "created_at"),
    ("changed", "updated_at"),
];

/// Carries the command out.
pub(crate) async fn run(command: RpCommand, admin: &Admin) -> Result<Shown> {
    match command {
        RpCommand::Add { client_id, options } => {
            let Said { config, secrets } = Said::all(&options, &[])?;
            let new = json!({ "client_id": client_id, "config": config, "secrets": secrets });
            Ok(added(admin.ask(Method::POST, "/rps", Some(&new)).await?))
        }
        RpCommand::List => {
            let listed = admin.get("/rps").await?;
            let nothing =
                "There are no relying parties; `highwater rp add CLIENT_ID --webhook URL` adds one.";
            let table = output::table(output::rows(&listed), COLUMNS, nothing);
            Ok(Shown::new(listed, table))
        }
        RpCommand::Show { client_id } => Ok(shown(admin.get(&at(&client_id, &[])).await?)),
        RpCommand::Update { client_id, options, unset } => {
            let Said { config, secrets } = Said::all(&options, &unset)?;
            ensure!(
                !(config.is_empty() && secrets.is_empty()),
                "nothing to change is given; `highwater rp update --help` shows what there is"
            );
            let change = json!({ "config": config, "secrets": secrets });
            Ok(shown(admin.ask(Method::PATCH, &at(&client_id, &[]), Some(&change)).await?))
        }
        RpCommand::Pause { client_id } => {
            moved(admin, &client_id, "pause", None, "is paused: its deliveries are held until it is resumed")
                .await
        }
        RpCommand::Resume { client_id } => {
            moved(admin, &client_id, "resume", None, "is told again, from where it was paused").await
        }
        RpCommand::Disable { client_id, reason } => {
            let reason = json!({ "reason": reason });
            moved(admin, &client_id, "disable", Some(reason), "is disabled: what concerns it is discarded")
                .await
        }
        RpCommand::Enable { client_id } => {
            let so = "is told again; `highwater deliveries replay` brings back what it missed";
            moved(admin, &client_id, "enable", None, so).await
        }
        RpCommand::RenewSecret { client_id } => {
            let renewed = admin.ask(Method::POST, &at(&client_id, &["webhook-secret"]), None::<&()>).await?;
            Ok(with_secret(renewed))
        }
        RpCommand::Remove { client_id } => {
            admin.ask(Method::DELETE, &at(&client_id, &[]), None::<&()>).await?;
            let text = format!("{client_id} is removed; what was pending for it is discarded.");
            Ok(Shown::new(json!({ "removed": client_id }), text))
        }
        RpCommand::Import { file, idp } => import::run(&file, &idp, admin).await,
        RpCommand::Verify(options) => verify::run(&options, admin).await,
        RpCommand::Listen(_) => unreachable!("a receiver needs no house"),
        RpCommand::Token(command) => token(command, admin).await,
    }
}

async fn moved(admin: &Admin, client_id: &str, verb: &str, body: Option<Value>, so: &str) -> Result<Shown> {
    let rp = admin.ask(Method::POST, &at(client_id, &[verb]), body.as_ref()).await?;
    Ok(Shown::new(rp, format!("{client_id} {so}.")))
}

async fn token(command: RpTokenCommand, admin: &Admin) -> Result<Shown> {
    match command {
        RpTokenCommand::Create { client_id, scopes, days } => {
            let new =
                json!({ "scopes": scopes, "life_seconds": days.map(|it| u64::from(it) * SECONDS_A_DAY) });
            let made = admin.ask(Method::POST, &at(&client_id, &["tokens"]), Some(&new)).await?;
            let text =
                format!("{}\n\nKeep it: it is not shown again.", made["token"].as_str().unwrap_or_default());
            Ok(Shown::new(made, text))
        }
        RpTokenCommand::Revoke { client_id } => {
            admin.ask(Method::DELETE, &at(&client_id, &["tokens"]), None::<&()>).await?;
            Ok(Shown::new(json!({ "revoked": client_id }), format!("Every token of {client_id} is revoked.")))
        }
    }
}

/// A relying party's path, or one beneath it.
fn at(client_id: &str, beneath: &[&str]) -> String {
    path(&[&["rps", client_id], beneath].concat())
}

/// With what its receiver checks signatures with, where that was just made.
fn with_secret(rp: Value) -> Shown {
    let made = &rp["check_with"];
    let Some(check_with) = made["secret"].as_str().or_else(|| made["public_key"].as_str()) else {
        return shown(rp);
    };
    let card = output::card(&rp, MEMBERS);
    let text = format!("{check_with}\n\nIts receiver checks with this; it is not shown again.\n{card}");
    Shown::new(rp, text)
}

/// One that nothing can be sent to yet is told so.
fn added(rp: Value) -> Shown {
    let config = &rp["config"];
    if config["format"] == "poll" || !config["webhook"].is_null() {
        return with_secret(rp);
    }
    let client_id = rp["client_id"].as_str().unwrap_or_default();
    let hint = format!(
        "Nothing can be sent to it yet: `highwater rp update {client_id} --webhook URL` says where it listens."
    );
    with_secret(rp).and(&hint)
}

fn shown(rp: Value) -> Shown {
    let card = output::card(&rp, MEMBERS);
    Shown::new(rp, card)
}
