//! What the product tells about itself, as it does: metrics recorded for a scrape and tidied once a second, a line of JSON
//! for each request.

use anyhow::{Result, anyhow};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

/// The upper ends of the histograms' buckets, in seconds.
const BUCKETS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0,
];

/// What the process has recorded of itself.
#[derive(Clone)]
pub(super) struct Recording(PrometheusHandle);

impl Recording {
    /// Installs the process's recorder.
    pub(super) fn install() -> Result<Self> {
        let transactions = Matcher::Full(TRANSACTIONS.to_owned());
        let recorder = PrometheusBuilder::new()
            .set_buckets(BUCKETS)?
            .set_buckets_for_metric(transactions, &fine_buckets())?
            .build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder)
            .map_err(|_| anyhow!("the metrics recorder was installed twice"))?;
        Ok(Self(handle))
    }

    /// Tidies until it is told to stop.
    pub(super) async fn tidy(self, stop: CancellationToken) {
        let mut tick = interval(Duration::from_secs(1));
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            self.0.run_upkeep();
        }
    }

    /// How long transactions of that name took so far: the upper ends of buckets, in seconds, and how many took no longer.
    pub(super) fn transactions(&self, operation: &str) -> Vec<(f64, u64)> {
        let begin = format!("{TRANSACTIONS}_bucket{{operation=\"{operation}\",result=\"ok\",le=\"");
        let bucket = |line: &str| {
            let (end, count) = line.strip_prefix(&begin)?.split_once("\"} ")?;
            Some((end.parse().ok()?, count.parse().ok()?))
        };
        self.0.render().lines().filter_map(bucket).collect()
    }

    /// What a counter has come to; its name and labels as in a scrape.
    pub(super) fn count(&self, series: &str) -> u64 {
        let count = |line: &str| line.strip_prefix(series)?.trim().parse().ok();
        self.0.render().lines().find_map(count).unwrap_or_default()
    }
}

/// The store's transactions, as they are named in a scrape.
const TRANSACTIONS: &str = "store_transaction";

/// From 50 µs to a minute, each bucket a tenth wider than the one before: what is read from them is as exact.
fn fine_buckets() -> Vec<f64> {
    std::iter::successors(Some(0.000_05), |end| Some(end * 1.1)).take_while(|end| *end < 60.0).collect()
}

/// Log lines go to the end of that file, one write each.
pub(super) fn start_logs(file: &Path) -> Result<()> {
    let file = File::options().create(true).append(true).open(file)?;
    let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_writer(Arc::new(file));
    lines.json().flatten_event(true).try_init().map_err(|error| anyhow!("logging was started twice: {error}"))
}

/// Warnings go to standard error.
pub(super) fn warn_on_stderr() -> Result<()> {
    let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr);
    lines.try_init().map_err(|error| anyhow!("logging was started twice: {error}"))
}
