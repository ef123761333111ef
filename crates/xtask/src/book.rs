//! The handbook holds together: every page is in its summary, every decision is in the book, no link leads nowhere.
//!
//! The page of decisions is generated from their folder.

use anyhow::{Context, Result, ensure};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

const DECISIONS: &str = "docs/src/decisions.md";
/// Files outside the book whose links are looked at too.
const BESIDE: &[&str] = &["README.md", "CONTRIBUTING.md"];

/// Fails with everything that is out of place.
pub(crate) fn check(root: &Path) -> Result<()> {
    let source = root.join("docs/src");
    let pages = pages(&source)?;
    let mut wrong = dead_links(root, &pages)?;
    let summary = read(&source.join("SUMMARY.md"))?;
    for page in pages.iter().filter(|page| !page.ends_with("SUMMARY.md")) {
        let name = page.strip_prefix(&source)?.display().to_string();
        if !summary.contains(&format!("({name})")) {
            wrong.push(format!("docs/src/{name} is not in SUMMARY.md"));
        }
    }
    if read(&root.join(DECISIONS))? != decisions(root)? {
        wrong.push(format!("{DECISIONS} does not have every decision; run `cargo xtask generate`"));
    }
    ensure!(wrong.is_empty(), "the handbook does not hold together:\n  {}", wrong.join("\n  "));
    Ok(())
}

/// Writes the page of decisions anew.
pub(crate) fn write(root: &Path) -> Result<()> {
    let page = decisions(root)?;
    fs::write(root.join(DECISIONS), page).with_context(|| format!("{DECISIONS} cannot be written"))
}

/// The page that includes every decision, in the order of their numbers.
fn decisions(root: &Path) -> Result<String> {
    let mut page =
        "# Decisions\n\nWhy things are as they are: the context, what was decided, and what it costs.\n"
            .to_owned();
    for decision in markdown(&root.join("docs/decisions"))? {
        let name = decision.file_name().unwrap_or_default().display();
        write!(page, "\n---\n\n{{{{#include ../decisions/{name}}}}}\n")?;
    }
    Ok(page)
}

fn pages(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut pages = markdown(folder)?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            pages.extend(self::pages(&path)?);
        }
    }
    Ok(pages)
}

fn markdown(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be listed", folder.display()))?;
    let files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let mut files: Vec<_> =
        files.into_iter().filter(|path| path.extension().is_some_and(|it| it == "md")).collect();
    files.sort();
    Ok(files)
}

fn dead_links(root: &Path, pages: &[PathBuf]) -> Result<Vec<String>> {
    let mut dead = Vec::new();
    for page in BESIDE.iter().map(|name| root.join(name)).chain(pages.iter().cloned()) {
        let folder = page.parent().expect("a page is in a folder");
        for target in local_links(&read(&page)?) {
            if !folder.join(&target).exists() {
                let page = page.strip_prefix(root)?.display();
                dead.push(format!("{page} links to {target}, which is not there"));
            }
        }
    }
    Ok(dead)
}

/// The targets of `](target)` that are files, without their anchors; code is passed over.
fn local_links(text: &str) -> Vec<String> {
    let prose = text.split("```").step_by(2);
    let targets = prose.flat_map(|part| part.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
    let files = targets.filter_map(|target| target.split('#').next());
    files.filter(|file| !file.is_empty() && !file.contains(':')).map(str::to_owned).collect()
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handbook_holds_together() {
        if let Err(error) = check(&crate::workspace_root()) {
            panic!("{error}");
        }
    }

    #[test]
    fn only_links_to_files_are_followed() {
        let text = "[a](one.md) [b](two/three.md#part) [c](https://example.com) [d](#here)\n```\n[e](code.md)\n```\n";
        assert_eq!(local_links(text), ["one.md", "two/three.md"]);
    }
}
