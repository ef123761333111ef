//! Work that ends by itself, and what this process used for it.

use crate::usage::Usage;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::io::{Write, stdout};
use std::time::Instant;

/// What a job came to: printed by the process that did it, read by the one that started it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    /// How many were done.
    pub(crate) items: u32,
    /// In how many seconds.
    pub(crate) seconds: f64,
    /// Processor time used for it, in microseconds.
    pub(crate) cpu_us: f64,
    /// Memory held at its end, in MiB.
    pub(crate) rss_mib: f64,
    /// The limit, measured in the same process: how many a second.
    pub(crate) limit: Option<f64>,
}

/// A job in the doing.
pub(super) struct Job {
    began: Instant,
    cpu_us: f64,
}

impl Job {
    pub(super) fn begin() -> Result<Self> {
        Ok(Self { cpu_us: Usage::of("self")?.cpu_us, began: Instant::now() })
    }

    pub(super) fn end(self, items: u32) -> Result<Done> {
        let seconds = self.began.elapsed().as_secs_f64();
        let usage = Usage::of("self")?;
        Ok(Done { items, seconds, cpu_us: usage.cpu_us - self.cpu_us, rss_mib: usage.rss_mib, limit: None })
    }
}

impl Done {
    /// How many a second.
    pub(crate) fn rate(&self) -> f64 {
        f64::from(self.items) / self.seconds
    }

    pub(super) fn print(&self) -> Result<()> {
        Ok(writeln!(stdout(), "{}", serde_json::to_string(self)?)?)
    }
}
