//! `service list`.

use crate::cli::ServiceCommand;
use crate::client::Admin;
use crate::output::{self, Column, Shown};
use anyhow::Result;

const COLUMNS: &[Column] = &[
    ("SERVICE", "service"),
    ("SCOPE", "scope"),
    ("ENDPOINTS", "pattern"),
    ("ALLOCATION", "allocation"),
    ("NEW USERS", "takes_new_users"),
    ("TOKENS LIVE", "token_duration_seconds"),
    ("SECRETS", "secrets"),
    ("NODES", "nodes"),
];

/// Carries the command out.
pub(crate) async fn run(command: ServiceCommand, admin: &Admin) -> Result<Shown> {
    let ServiceCommand::List = command;
    let listed = admin.get("/services").await?;
    let table = output::table(output::rows(&listed), COLUMNS, "There are no services.");
    Ok(Shown::new(listed, table))
}
