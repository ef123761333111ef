//! What the kernel says of a process.

use anyhow::{Context, Result};
use std::fs;
use std::process::Command;

/// What a process has used so far, and what it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Processor time, in microseconds.
    pub(crate) cpu_us: f64,
    /// Memory of its own, in MiB. Pages of files that it maps (SQLite's, its own program) are the kernel's, which takes
    /// them back when it needs them; how many of them are resident says what was read, not what is held.
    pub(crate) rss_mib: f64,
}

impl Usage {
    /// Of the process of that id, or of `self`.
    pub(crate) fn of(process: &str) -> Result<Self> {
        Ok(Self { cpu_us: cpu_us(process)?, rss_mib: rss_mib(process)? })
    }
}

fn cpu_us(process: &str) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field, the name, may hold anything; the rest follows its closing parenthesis.
    let (_, rest) = stat.rsplit_once(") ").context("a process has a name")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = fields[11].parse::<u32>()? + fields[12].parse::<u32>()?;
    Ok(f64::from(ticks) * 1e6 / f64::from(ticks_per_second()?))
}

fn ticks_per_second() -> Result<u32> {
    let output = Command::new("getconf").arg("CLK_TCK").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

fn rss_mib(process: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line =
        status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("a process holds memory")?;
    Ok(f64::from(line.trim().trim_end_matches(" kB").parse::<u32>()?) / 1024.0)
}
