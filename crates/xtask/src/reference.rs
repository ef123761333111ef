//! The generated pages of the handbook's reference: what the binary says about itself, kept in the tree.
//!
//! The pages come from `highwater reference PAGE`. They are checked in, so that the book can be read without a build;
//! the check fails when one no longer says what the binary says.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The pages: what to ask the binary for, and the file that keeps it.
const PAGES: &[(&str, &str)] = &[
    ("cli", "docs/src/reference/cli.md"),
    ("configuration", "docs/src/reference/configuration.md"),
    ("openapi-admin", "docs/src/reference/openapi-admin.json"),
    ("openapi-service", "docs/src/reference/openapi-service.json"),
    ("openapi-public", "docs/src/reference/openapi-public.json"),
];

/// Fails when a kept page differs from what the binary says now.
pub(crate) fn check(root: &Path) -> Result<()> {
    let binary = build(root)?;
    let mut stale = Vec::new();
    for (page, file) in PAGES {
        let kept = std::fs::read_to_string(root.join(file)).unwrap_or_default();
        if kept != ask(&binary, page)? {
            stale.push(*file);
        }
    }
    ensure!(
        stale.is_empty(),
        "not what the binary says now; run `cargo xtask generate`:\n  {}",
        stale.join("\n  ")
    );
    Ok(())
}

/// Writes every page anew, the page of decisions with them.
pub(crate) fn write(root: &Path) -> Result<()> {
    crate::book::write(root)?;
    let binary = build(root)?;
    for (page, file) in PAGES {
        let path = root.join(file);
        std::fs::create_dir_all(path.parent().expect("every page is in a folder"))?;
        std::fs::write(&path, ask(&binary, page)?).with_context(|| format!("{file} could not be written"))?;
    }
    Ok(())
}

fn build(root: &Path) -> Result<PathBuf> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "-p", "highwater"])
        .current_dir(root)
        .status()?;
    ensure!(built.success(), "highwater did not build");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("debug").join(format!("highwater{}", std::env::consts::EXE_SUFFIX)))
}

fn ask(binary: &Path, page: &str) -> Result<String> {
    let said =
        Command::new(binary).args(["reference", page]).output().context("the binary could not be run")?;
    ensure!(said.status.success(), "`highwater reference {page}`: {}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).context("the page is not UTF-8")
}
