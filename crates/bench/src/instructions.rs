//! Instruction counts of hot operations, guarded by a checked-in baseline: they do not depend on what else the machine
//! does.
//!
//! valgrind's callgrind counts what a process does within one function that does nothing but the operation. The baseline
//! holds for the release profile on x86-64.

use crate::serve::Operation;
use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// How often each is done.
const TIMES: u64 = 1_000;
/// The function that is counted, as a pattern.
const COUNTED: &str = "*operation::measured*";
/// How far a count may be from the baseline: chance (hash seeds, random salts) moves it by less.
const TOLERANCE: f64 = 0.05;

/// How to count.
#[derive(Debug, Args)]
pub(crate) struct Counting {
    /// Writes what is counted as the new baseline.
    #[arg(long)]
    update: bool,
}

type Counts = BTreeMap<String, u64>;

impl Counting {
    /// Counts, and fails when an operation takes more than the baseline says.
    pub(crate) fn run(&self) -> Result<()> {
        let counted: Counts =
            Operation::value_variants().iter().copied().map(count).collect::<Result<_>>()?;
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json"));
        if self.update {
            fs::write(&path, serde_json::to_string_pretty(&counted)? + "\n")?;
        }
        let baseline: Counts = serde_json::from_str(&fs::read_to_string(&path)?)?;
        print(&counted, &baseline)?;
        let worse: Vec<&str> = worse(&counted, &baseline).collect();
        ensure!(worse.is_empty(), "more instructions than the baseline allows: {}", worse.join(", "));
        Ok(())
    }
}

fn count(operation: Operation) -> Result<(String, u64)> {
    let value = operation.to_possible_value().context("every operation has a name")?;
    let name = value.get_name();
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("callgrind");
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind"]).arg(format!("--toggle-collect={COUNTED}"));
    command.arg(format!("--callgrind-out-file={}", file.display())).arg(std::env::current_exe()?);
    command.args(["serve", "operation", name, "--times", &TIMES.to_string()]).stdin(Stdio::null());
    let status = command.status().context("valgrind cannot be started; is it installed?")?;
    ensure!(status.success(), "{name} ended with {status}");
    let text = fs::read_to_string(&file)?;
    let totals =
        text.lines().find_map(|line| line.strip_prefix("totals: ")).context("callgrind writes totals")?;
    let counted = totals.trim().parse::<u64>()? / TIMES;
    ensure!(counted > 0, "nothing of {name} was counted");
    Ok((name.to_owned(), counted))
}

fn worse<'a>(counted: &'a Counts, baseline: &'a Counts) -> impl Iterator<Item = &'a str> {
    let is_worse = |(name, count): &(&String, &u64)| {
        baseline.get(*name).is_none_or(|at| change(**count, *at) > TOLERANCE)
    };
    counted.iter().filter(is_worse).map(|(name, _)| name.as_str())
}

/// By what part it has grown.
fn change(count: u64, baseline: u64) -> f64 {
    let exact = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    exact(count) / exact(baseline).max(1.0) - 1.0
}

fn print(counted: &Counts, baseline: &Counts) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{:<14}{:>12}{:>12}{:>9}", "operation", "counted", "baseline", "change")?;
    for (name, count) in counted {
        let at = baseline.get(name).copied().unwrap_or(0);
        writeln!(out, "{name:<14}{count:>12}{at:>12}{:>8.1}%", change(*count, at) * 100.0)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grew_beyond_the_tolerance_or_has_no_baseline_is_worse() {
        let counts = |of: &[(&str, u64)]| {
            of.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect::<Counts>()
        };
        let baseline = counts(&[("a", 1000), ("b", 1000), ("c", 1000)]);
        let counted = counts(&[("a", 1049), ("b", 1051), ("c", 10), ("d", 1)]);
        assert_eq!(worse(&counted, &baseline).collect::<Vec<_>>(), ["b", "d"]);
    }
}
