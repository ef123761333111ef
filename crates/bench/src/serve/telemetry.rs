//! What the product tells about itself, as it does: metrics recorded for a scrape and tidied once a second, a line of JSON
//! for each request.

use anyhow::{Result, anyhow};
use metrics_exporter_prometheus::PrometheusBuilder;
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

/// Installs the process's recorder; what it gives back tidies until it is told to stop.
pub(super) fn install() -> Result<impl FnOnce(CancellationToken) -> Tidying> {
    let recorder = PrometheusBuilder::new().set_buckets(BUCKETS)?.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)
        .map_err(|_| anyhow!("the metrics recorder was installed twice"))?;
    Ok(move |stop: CancellationToken| -> Tidying {
        Box::pin(async move {
            let mut tick = interval(Duration::from_secs(1));
            while stop.run_until_cancelled(tick.tick()).await.is_some() {
                handle.run_upkeep();
            }
        })
    })
}

/// Log lines go to the end of that file, one write each.
pub(super) fn start_logs(file: &Path) -> Result<()> {
    let file = File::options().create(true).append(true).open(file)?;
    let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_writer(Arc::new(file));
    lines.json().flatten_event(true).try_init().map_err(|error| anyhow!("logging was started twice: {error}"))
}

type Tidying = futures::future::BoxFuture<'static, ()>;

/// Warnings go to standard error.
pub(super) fn warn_on_stderr() -> Result<()> {
    let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr);
    lines.try_init().map_err(|error| anyhow!("logging was started twice: {error}"))
}
