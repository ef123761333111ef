//! Metrics for a Prometheus scrape: names with underscores, under `highwater_`; histograms in seconds.

use anyhow::{Context, Result};
use metrics::Recorder;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_util::layers::{Layer, PrefixLayer};

/// The upper ends of the histograms' buckets, in seconds: from a cached answer to a time-out.
const BUCKETS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0,
];

/// The upper ends for how many there were of something (`…_size`).
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// The metrics so far, to be rendered.
#[derive(Clone)]
pub(crate) struct Prometheus(PrometheusHandle);

impl Prometheus {
    /// A recorder and what renders it.
    pub(crate) fn new() -> Result<(impl Recorder + Sync + 'static, Self)> {
        let builder = PrometheusBuilder::new().set_buckets(BUCKETS).context("the buckets are not empty")?;
        let sizes = Matcher::Suffix("_size".to_owned());
        let builder = builder.set_buckets_for_metric(sizes, SIZES).context("the buckets are not empty")?;
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        Ok((PrefixLayer::new("highwater").layer(recorder), Self(handle)))
    }

    /// The text exposition format, version 0.0.4.
    pub(crate) fn render(&self) -> String {
        self.0.render()
    }

    /// Folds what histograms gathered since the last time, so that memory stays flat without a scrape.
    pub(crate) fn tidy(&self) {
        self.0.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_rendered_under_the_projects_prefix() {
        let (recorder, prometheus) = Prometheus::new().expect("a recorder");
        metrics::with_local_recorder(&recorder, || {
            metrics::counter!("webhook.events_processed", "event_type" => "delete_user").increment(2);
            metrics::histogram!("token_creation").record(0.002);
            metrics::histogram!("store.group_size").record(3);
        });
        let text = prometheus.render();
        assert!(text.contains("highwater_webhook_events_processed{event_type=\"delete_user\"} 2"), "{text}");
        assert!(text.contains("highwater_token_creation_bucket{le=\"0.0025\"} 1"), "{text}");
        assert!(text.contains("highwater_store_group_size_bucket{le=\"4\"} 1"), "{text}");
    }
}
