//! `import`: like `migrate` no request, because it comes before anybody is served. How far it is can be asked.

use super::progress::Steps;
use crate::cli::ImportOptions;
use crate::client::Admin;
use crate::house::House;
use crate::moment::date;
use crate::output::{self, Column, Shown};
use crate::settings::Settings;
use account::Millis;
use anyhow::{Context, Result, ensure};
use import::{Address, Outcome, Progress, Report, Secret, Stage, Tls};
use std::ffi::OsString;
use std::path::Path;
use store::StoreError;

/// Where the password may be too.
const PASSWORD: &str = "HIGHWATER_IMPORT_PASSWORD";
const TABLES: &[Column] = &[("TABLE", "table"), ("ROWS", "rows"), ("SHA-256", "sha256")];
const COPIED: &[Column] = &[("TABLE", "table"), ("ROWS COPIED", "rows")];

/// Copies the database, or tells what copying it would come to.
pub(crate) async fn run(options: &ImportOptions, settings: &Settings) -> Result<Shown> {
    let address = address(options, std::env::var_os(PASSWORD))?;
    ensure!(
        !settings.idp.is_empty(),
        "no identity provider is configured, and so no Tokenserver: a section [[idp]] makes one (`highwater init` shows it)"
    );
    let house = House::open(settings, None).map_err(explained)?;
    house.bring_up_to_date().await?;
    let mut steps = Steps::new();
    let mut tell = |progress: Progress| steps.tell(&said(progress), progress.done, progress.total);
    let report = if options.dry_run {
        import::rehearse(&house.store, &address, &mut tell).await
    } else if options.ahead {
        import::copy_ahead(&house.store, &address, &mut tell).await
    } else {
        import::import(&house.store, &address, &mut tell).await
    };
    steps.end();
    shown(&report?)
}

/// How far one is, or when it ended.
pub(crate) async fn status(admin: &Admin) -> Result<Shown> {
    let import = admin.get("/import").await?;
    let moment = |member: &str| date(Millis::new(import[member].as_i64().unwrap_or_default()));
    let (source, tables) = (import["source"].as_str().unwrap_or_default(), output::rows(&import["tables"]));
    let text = match import["state"].as_str() {
        Some("under_way") => format!(
            "An import of {source} was begun on {} and has not ended; nobody is served until it has.\n{}",
            moment("began_at"),
            output::table(tables, COPIED, "")
        ),
        Some("finished") => format!(
            "{source} was imported; both sides were the same on {}.\n{}",
            moment("finished_at"),
            output::table(tables, TABLES, "")
        ),
        _ => "Nothing was ever imported here.".to_owned(),
    };
    Ok(Shown::new(import, text))
}

/// Where the source is, and with which password: the file's, else the environment's, else the URL's own.
fn address(options: &ImportOptions, from_environment: Option<OsString>) -> Result<Address> {
    let source = options.source.as_ref().context("which database?")?;
    let address = Address::parse(source.expose()).context("the database's URL")?;
    let tls = match &options.tls_ca {
        Some(file) => Tls::Authorities(file.clone()),
        None if options.tls => Tls::System,
        None => Tls::Off,
    };
    let password = match (&options.password_file, from_environment) {
        (Some(file), _) => Some(in_file(file)?),
        (None, Some(text)) => {
            let text = text.into_string().ok().with_context(|| format!("{PASSWORD} is not UTF-8"))?;
            Some(Secret::new(text))
        }
        (None, None) => None,
    };
    let address = address.with_tls(tls);
    Ok(password.into_iter().fold(address, Address::with_password))
}

/// Without the end of its line.
fn in_file(file: &Path) -> Result<Secret> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    Ok(Secret::new(
        text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line)),
    ))
}

fn explained(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<StoreError>() {
        Some(StoreError::Owned { .. }) => {
            error.context("stop what serves here first: nobody is served until the import is done")
        }
        _ => error,
    }
}

fn said(progress: Progress) -> String {
    let verb = match progress.stage {
        Stage::Reading => "reading",
        Stage::Copying => "copying",
        Stage::Comparing => "comparing",
    };
    format!("{verb} {}", progress.table)
}

/// Done only when every row is here, or, of a rehearsal, could be.
fn shown(report: &Report) -> Result<Shown> {
    let json = serde_json::to_value(report)?;
    let table = output::table(output::rows(&json["tables"]), TABLES, "");
    let mut lines = vec![heading(report)];
    lines.extend((!table.is_empty()).then_some(table));
    if report.mended > 0 {
        lines.push(format!("{} rows had changed there meanwhile, and were caught up with.", report.mended));
    }
    if !report.ignored_columns.is_empty() {
        lines.push(format!(
            "Columns that the field does not have are not copied: {}.",
            report.ignored_columns.join(", ")
        ));
    }
    lines.extend(next(report));
    lines.extend(report.refusals.iter().map(ToString::to_string));
    let shown = Shown::new(json, lines.join("\n"));
    Ok(match report.refused {
        0 => shown,
        refused => {
            shown.but(format!("{refused} rows could not be held here; mend or delete them in the source"))
        }
    })
}

fn heading(report: &Report) -> String {
    let source = &report.source;
    match report.outcome {
        Outcome::Imported => {
            let how = if report.resumed { ", in more than one run" } else { "" };
            format!("Imported {source}{how}. Both sides were read again, and every row is the same:")
        }
        Outcome::Ahead => format!("Copied {source} ahead. Nobody is served yet, and it is not done."),
        Outcome::ImportedBefore => format!("{source} was imported before; nothing is left to do. It had:"),
        Outcome::Rehearsed => format!("{source} was read, and nothing written. It has:"),
    }
}

fn next(report: &Report) -> Option<String> {
    let next = match report.outcome {
        Outcome::Imported => {
            "Next: highwater node recount (the field counts rows that were replaced), then highwater serve."
        }
        Outcome::Ahead => {
            "Next: stop what writes there, and run it again without --ahead: it brings what has changed."
        }
        Outcome::Rehearsed if report.refused == 0 => "All of it can be held here.",
        _ => return None,
    };
    Some(next.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(source: &str) -> ImportOptions {
        ImportOptions {
            source: Some(Secret::new(source)),
            password_file: None,
            tls: false,
            tls_ca: None,
            ahead: false,
            dry_run: false,
            status: false,
        }
    }

    #[test]
    fn the_password_is_taken_from_the_file_then_the_environment_then_the_url() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("password");
        std::fs::write(&file, "of the file\r\n").expect("it is ours");
        let of = |password_file: Option<&Path>, environment: Option<&str>| {
            let options = ImportOptions {
                password_file: password_file.map(Path::to_owned),
                ..options("mysql://me:of%20the%20url@db/sync")
            };
            address(&options, environment.map(OsString::from)).expect("an address")
        };
        let with = |password: &str| {
            Address::parse("mysql://me@db/sync").expect("one").with_password(Secret::new(password))
        };
        assert_eq!(of(Some(&file), Some("of the environment")), with("of the file"));
        assert_eq!(of(None, Some("of the environment")), with("of the environment"));
        assert_eq!(of(None, None), with("of the url"));
    }

    #[test]
    fn neither_options_nor_errors_show_a_password() {
        let options = options("postgres://me:hunter2@db/sync");
        let error = address(&options, None).expect_err("another kind of database");
        assert!(!format!("{error:?} {options:?}").contains("hunter2"));
    }
}
