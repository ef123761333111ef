//! What is printed: a table for people, and one JSON object for the record.

use crate::latency::Percentiles;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{Write as _, stdout};

/// One figure with what belongs to it; what has no meaning for it is absent.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Measured {
    /// Its name, the same over the years.
    pub(crate) name: &'static str,
    /// On which engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) engine: Option<&'static str>,
    /// How many a second.
    pub(crate) rate: f64,
    /// Of what.
    pub(crate) unit: &'static str,
    /// What could be had at most, by the limit measured in the same run; in the same unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<f64>,
    /// `rate / limit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ratio: Option<f64>,
    /// Latencies in microseconds.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) latency: Option<Percentiles>,
    /// The server's processor time for one, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_us: Option<f64>,
    /// The server's memory at the end, in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rss_mib: Option<f64>,
    /// What one of many takes in memory, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes_per_item: Option<f64>,
    /// What one in a hundred exceeds, where the latency is a delay that is known by this name, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lag_p99_ms: Option<f64>,
    /// From the start of the process to the first of them, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_ms: Option<f64>,
    /// How many were measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) items: Option<u64>,
}

/// What a bench has to say.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The bench's name.
    pub(crate) bench: &'static str,
    /// In the order they were measured.
    pub(crate) results: Vec<Measured>,
}

impl Measured {
    /// With its limit, and so its ratio.
    pub(crate) fn against(self, limit: f64) -> Self {
        Self { limit: Some(rounded(limit)), ratio: Some(rounded(self.rate / limit)), ..self }
    }
}

impl Report {
    /// The table; with `json`, the JSON object after it, alone on the last line.
    pub(crate) fn print(&self, json: bool) -> anyhow::Result<()> {
        let mut out = stdout().lock();
        write!(out, "{}", self.table())?;
        if json {
            writeln!(out, "{}", serde_json::to_string(self)?)?;
        }
        Ok(out.flush()?)
    }

    fn table(&self) -> String {
        let heads = [
            "result",
            "engine",
            "rate",
            "of",
            "limit",
            "ratio",
            "p50 µs",
            "p99 µs",
            "p99.9 µs",
            "CPU µs",
            "RSS MiB",
            "bytes",
            "lag p99 ms",
            "first ms",
        ];
        let rows: Vec<[String; 14]> =
            [heads.map(str::to_owned)].into_iter().chain(self.results.iter().map(cells)).collect();
        let widths: [usize; 14] = std::array::from_fn(|column| {
            rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        });
        let mut table = String::new();
        for row in rows {
            for (column, cell) in row.iter().enumerate() {
                let width = widths[column];
                // Words to the left, numbers to the right.
                let padded = if matches!(column, 0 | 1 | 3) {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                };
                let _ = write!(table, "{padded}  ");
            }
            table.truncate(table.trim_end().len());
            table.push('\n');
        }
        table
    }
}

fn cells(measured: &Measured) -> [String; 14] {
    let number = |value: Option<f64>, digits: usize| {
        value.map_or_else(String::new, |value| format!("{value:.digits$}"))
    };
    let latency = |of: fn(Percentiles) -> f64| number(measured.latency.map(of), 0);
    [
        measured.name.to_owned(),
        measured.engine.unwrap_or_default().to_owned(),
        number(Some(measured.rate), 0),
        measured.unit.to_owned(),
        number(measured.limit, 0),
        number(measured.ratio, 3),
        latency(|latency| latency.p50),
        latency(|latency| latency.p99),
        latency(|latency| latency.p999),
        number(measured.cpu_us, 1),
        number(measured.rss_mib, 1),
        number(measured.bytes_per_item, 0),
        number(measured.lag_p99_ms, 1),
        number(measured.first_ms, 0),
    ]
}

/// To what is worth printing: four digits behind the point.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_figures_are_absent_in_json_and_blank_in_the_table() {
        let bare = Measured { name: "bare", rate: 10.0, unit: "requests/s", ..Measured::default() };
        let report = Report { bench: "tokens", results: vec![bare.clone(), bare.against(40.0)] };
        assert_eq!(
            serde_json::to_string(&report).expect("it is plain data"),
            r#"{"bench":"tokens","results":[{"name":"bare","rate":10.0,"unit":"requests/s"},{"name":"bare","rate":10.0,"unit":"requests/s","limit":40.0,"ratio":0.25}]}"#
        );
        let table = report.table();
        assert_eq!(table.lines().nth(1), Some("bare              10  requests/s"));
        assert!(table.lines().nth(2).is_some_and(|line| line.ends_with("40  0.250")), "{table}");
    }
}
