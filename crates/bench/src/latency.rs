//! How long answers took.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Every latency of a run, in tenths of a microsecond.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<u32>);

/// The middle, and what one in a hundred and one in a thousand exceed; microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Percentiles {
    #[serde(rename = "p50_us")]
    pub(crate) p50: f64,
    #[serde(rename = "p99_us")]
    pub(crate) p99: f64,
    #[serde(rename = "p999_us")]
    pub(crate) p999: f64,
}

impl Latencies {
    pub(crate) fn add(&mut self, took: Duration) {
        self.0.push(u32::try_from(took.as_nanos() / 100).unwrap_or(u32::MAX));
    }

    pub(crate) fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// `None` when nothing was measured.
    pub(crate) fn percentiles(mut self) -> Option<Percentiles> {
        self.0.sort_unstable();
        let last = self.0.len().checked_sub(1)?;
        let at = |thousandths: usize| f64::from(self.0[last * thousandths / 1000]) / 10.0;
        Some(Percentiles { p50: at(500), p99: at(990), p999: at(999) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let mut latencies = Latencies::default();
        (1..=1000).rev().for_each(|microseconds| latencies.add(Duration::from_micros(microseconds)));
        let expected = Percentiles { p50: 500.0, p99: 990.0, p999: 999.0 };
        assert_eq!(latencies.percentiles(), Some(expected));
        assert_eq!(Latencies::default().percentiles(), None);
    }
}
