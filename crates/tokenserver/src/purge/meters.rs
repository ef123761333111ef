//! What is counted, by the names operators of the field know.

use super::delete::Failure;
use super::{End, Progress};
use account::Millis;
use std::time::Duration;

pub(super) fn backlog(rows: i64) {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    metrics::gauge!("purge.backlog.size").set(rows as f64);
}

pub(super) fn fetched(rows: usize) {
    metrics::counter!("purge.batch.fetched").increment(rows as u64);
}

pub(super) fn max_records() {
    metrics::counter!("max_records").increment(1);
}

pub(super) fn ended(end: End, failure: Option<&Failure>) {
    match end {
        End::Nodeless => metrics::counter!("delete_user", "type" => "nodeless").increment(1),
        End::Shared => metrics::counter!("override").increment(1),
        End::Deleted { forced, gone } => {
            if forced {
                metrics::counter!("delete_data", "type" => "force").increment(1);
            } else {
                metrics::counter!("delete_user", "type" => "not_down").increment(1);
            }
            metrics::counter!("error.gone").increment(u64::from(gone));
        }
        End::Failed | End::Waits | End::Spared => {}
    }
    if let Some(failure) = failure {
        metrics::counter!("row_failure", "reason" => failure.reason.clone()).increment(1);
    }
}

pub(super) fn run_ended(run: &Progress, now: Millis) {
    let outcome = if run.failed + run.spared == 0 { "purge.run.success" } else { "purge.run.failure" };
    metrics::counter!(outcome).increment(1);
    let took = now.get().saturating_sub(run.began_at).max(0).unsigned_abs();
    metrics::histogram!("purge.run.duration_ms").record(Duration::from_millis(took));
}
