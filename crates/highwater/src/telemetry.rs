//! What the process tells about itself: log lines and metrics.
//!
//! Metrics are recorded once, through the `metrics` facade, and reach both Prometheus (asked for on the admin
//! listener) and StatsD (sent every second where a host is configured).

mod logs;
mod prometheus;
mod statsd;

pub(crate) use logs::{LogSettings, Verbosity};
pub(crate) use prometheus::Prometheus;
pub(crate) use statsd::StatsdSettings;

use anyhow::{Context, Result, anyhow};
use metrics_util::layers::FanoutBuilder;
use statsd::Statsd;
use tokio_util::sync::CancellationToken;

/// What must run in the background for the metrics to leave the process.
pub(crate) struct Telemetry {
    /// Renders the metrics for a scrape.
    pub(crate) prometheus: Prometheus,
    statsd: Option<Statsd>,
}

impl Telemetry {
    /// Installs the process's one recorder.
    pub(crate) fn install(statsd: &StatsdSettings) -> Result<Self> {
        let (recorder, prometheus) = Prometheus::new()?;
        let statsd = Statsd::new(statsd).context("metrics.statsd")?;
        let fanout = FanoutBuilder::default().add_recorder(recorder);
        let fanout = match &statsd {
            Some(statsd) => fanout.add_recorder(statsd.recorder()),
            None => fanout,
        };
        metrics::set_global_recorder(fanout.build())
            .map_err(|_| anyhow!("the metrics recorder was installed twice"))?;
        Ok(Self { prometheus, statsd })
    }

    /// Sends and tidies once a second until `stop`, then sends what is left.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(std::time::Duration::from_secs(1));
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            self.prometheus.tidy();
            self.flush();
        }
        self.flush();
    }

    fn flush(&self) {
        if let Some(statsd) = &self.statsd {
            statsd.flush();
        }
    }
}

/// Starts logging, with panics among the lines.
pub(crate) fn start_logs(settings: &LogSettings, verbosity: Verbosity) -> Result<()> {
    logs::start(settings, verbosity)
}
