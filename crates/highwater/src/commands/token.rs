//! `token create|list|revoke`.

use crate::cli::{ListenerName, TokenCommand};
use crate::client::Admin;
use crate::output::{self, Column, Shown};
use anyhow::{Context as _, Result, anyhow};
use axum::http::Method;
use keys::{CertificateName, Listener, NewCaller};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use std::path::Path;

const SECONDS_A_DAY: u64 = 86_400;
const COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("NAME", "name"),
    ("LISTENER", "listener"),
    ("SCOPES", "scopes"),
    ("CREATED", "created_at"),
    ("EXPIRES", "expires_at"),
    ("REVOKED", "revoked_at"),
    ("CERTIFICATE", "certificate"),
];

/// Carries the command out.
pub(crate) async fn run(command: TokenCommand, admin: &Admin) -> Result<Shown> {
    match command {
        TokenCommand::Create { name, listener, scopes, days, certificate } => {
            let certificate = certificate.as_deref().map(named_by).transpose()?;
            let life_seconds = days.map(|days| u64::from(days) * SECONDS_A_DAY);
            let new = NewCaller { name, listener: named(listener), scopes, life_seconds, certificate };
            let made = admin.ask(Method::POST, "/tokens", Some(&new)).await?;
            let token =
                made["token"].as_str().map(|token| format!("{token}\n\nKeep it: it is not shown again.\n"));
            let is_shown = |key: &str| match key {
                "revoked_at" => false,
                "certificate" => token.is_none(),
                _ => true,
            };
            let columns: Vec<Column> = COLUMNS.iter().copied().filter(|(_, key)| is_shown(key)).collect();
            let card = output::card(&made["caller"], &columns);
            Ok(Shown::new(made, format!("{}{card}", token.unwrap_or_default())))
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

/// What a certificate goes by: said, or the fingerprint of the one in that file.
fn named_by(said: &str) -> Result<CertificateName> {
    let file = Path::new(said);
    if !file.exists() {
        return said.parse().with_context(|| format!("--certificate: there is no file {said}"));
    }
    let certificate = CertificateDer::from_pem_file(file)
        .map_err(|error| anyhow!("--certificate: {said}: no certificate (PEM) can be read: {error}"))?;
    Ok(CertificateName::fingerprint(&certificate))
}

fn named(listener: ListenerName) -> Listener {
    match listener {
        ListenerName::Service => Listener::Service,
        ListenerName::Admin => Listener::Admin,
    }
}
