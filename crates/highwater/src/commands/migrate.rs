//! `migrate`: the one command that is no request: it is what must happen before any can be answered.

use crate::cli::MigrateOptions;
use crate::house::House;
use crate::output::Shown;
use crate::settings::Settings;
use anyhow::Result;
use serde_json::json;

/// Applies the missing steps, or tells them.
pub(crate) async fn run(options: &MigrateOptions, settings: &Settings) -> Result<Shown> {
    let schema = House::open(settings, None)?.schema();
    let report = if options.dry_run { schema.pending().await? } else { schema.migrate().await? };
    let word = if options.dry_run { "pending" } else { "applied" };
    let lines: Vec<String> = report.applied.iter().map(|step| format!("{word}: {step}")).collect();
    let text = match (lines.is_empty(), report.already) {
        (true, already) => format!("The tables are up to date ({already} steps)."),
        (false, already) => format!("{}\n{already} steps were there before.", lines.join("\n")),
    };
    Ok(Shown::new(json!({ (word): report.applied, "already": report.already }), text))
}
