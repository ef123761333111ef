//! `init`: a configuration with comments and fresh secrets, readable by its owner alone.

use crate::cli::InitOptions;
use crate::output::Shown;
use anyhow::{Context, Result, bail};
use keys::RootKey;
use serde_json::json;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Every setting with its comment; also what the reference's page is made from.
pub(crate) const TEMPLATE: &str = include_str!("init/highwater.toml");

/// Writes it. A file that is there is left alone unless `--force` was given.
pub(crate) fn run(options: &InitOptions) -> Result<Shown> {
    let path = &options.path;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    }
    if options.force {
        remove(path)?;
    }
    write_private(path, &filled())?;
    let next = if path == Path::new("highwater.toml") { "" } else { " --config FILE" };
    let text = format!(
        "Wrote {} with fresh secrets, readable by you alone.\nNext: highwater{next} check, then highwater{next} serve.",
        path.display()
    );
    Ok(Shown::new(json!({ "path": path }), text))
}

/// The template with fresh secrets in its blanks.
fn filled() -> String {
    let mut text = TEMPLATE.to_owned();
    for blank in ["{{root_key}}", "{{master_secret}}", "{{metrics_hash_secret}}", "{{shared_secret}}"] {
        text = text.replace(blank, &RootKey::generate().reveal());
    }
    text
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be replaced", path.display()))
        }
        _ => Ok(()),
    }
}

/// The file is born private, and never follows what somebody put in its place.
fn write_private(path: &Path, text: &str) -> Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            file.write_all(text.as_bytes()).with_context(|| format!("{} cannot be written", path.display()))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} is there already; --force replaces it and the secrets in it", path.display())
        }
        Err(error) => Err(error).with_context(|| format!("{} cannot be written", path.display())),
    }
}
