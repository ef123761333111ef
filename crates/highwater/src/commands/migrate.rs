//! `migrate`: the one command that is no request: it is what must happen before any can be answered.

use crate::cli::MigrateOptions;
use crate::house::House;
use crate::output::Shown;
use crate::settings::Settings;
use anyhow::Result;
use serde_json::{Value, json};
use store::{Engine, Store};
use tokenserver::{Exclusive, TakeExclusive};

/// Applies the missing steps, or tells them; then takes the tables for Highwater alone, where that was asked.
pub(crate) async fn run(options: &MigrateOptions, settings: &Settings) -> Result<Shown> {
    let house = House::open(settings, None)?;
    let schema = house.schema();
    schema.refuse_a_later_file().await?;
    let report = if options.dry_run { schema.pending().await? } else { schema.migrate().await? };
    let word = if options.dry_run { "pending" } else { "applied" };
    let lines: Vec<String> = report.applied.iter().map(|step| format!("{word}: {step}")).collect();
    let text = match (lines.is_empty(), report.already) {
        (true, already) => format!("The tables are up to date ({already} steps)."),
        (false, already) => format!("{}\n{already} steps were there before.", lines.join("\n")),
    };
    let json = json!({ (word): report.applied, "already": report.already });
    if options.exclusive {
        exclusive(&house.store, options.dry_run, json, text).await
    } else {
        Ok(Shown::new(json, text))
    }
}

async fn exclusive(store: &Store, dry_run: bool, mut json: Value, text: String) -> Result<Shown> {
    let Exclusive { writers, left } = store.run(TakeExclusive { dry_run }).await?;
    let word = if dry_run { "would be" } else { "was" };
    let said = match (store.engine(), writers.is_empty()) {
        (Engine::Sqlite, _) => "Nobody else writes: a SQLite file has one owner.".to_owned(),
        (_, true) if left.is_empty() => "Nobody else has the right to write.".to_owned(),
        (_, true) => "Nobody's right to write could be taken.".to_owned(),
        (_, false) => format!("The right to write {word} taken from: {}.", writers.join(", ")),
    };
    json["writers"] = writers.into();
    json["left"] = left.clone().into();
    let shown = Shown::new(json, format!("{text}\n{said}"));
    Ok(if left.is_empty() {
        shown
    } else {
        shown.but(format!(
            "{} can write still: their right was given by another user of the database, who has to take it back",
            left.join(", ")
        ))
    })
}
