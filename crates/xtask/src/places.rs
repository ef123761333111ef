//! No file in the tree names the place where somebody's copy of it stands.

use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;

/// Fails with every tracked text file that holds the absolute path of this workspace.
pub(crate) fn check(root: &Path) -> Result<()> {
    let place = root.to_string_lossy();
    let found: Vec<String> =
        tracked(root)?.into_iter().filter(|file| holds(&root.join(file), &place)).collect();
    ensure!(found.is_empty(), "these files name the folder this copy stands in:\n  {}", found.join("\n  "));
    Ok(())
}

fn tracked(root: &Path) -> Result<Vec<String>> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output();
    let listed = listed.context("`git ls-files` could not be run")?;
    // A copy without history (an unpacked archive) has nothing to list, and nothing to leak.
    let names = String::from_utf8(listed.stdout).context("a tracked file's name is not UTF-8")?;
    Ok(names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

fn holds(file: &Path, place: &str) -> bool {
    std::fs::read_to_string(file).is_ok_and(|text| text.contains(&format!("{place}/")))
}
