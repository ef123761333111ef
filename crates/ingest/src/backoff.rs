use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(20);

/// How long to wait after failures: twice as long each time, up to twenty seconds, with jitter, so that many who
/// failed at once do not come back at once.
#[derive(Default)]
pub(crate) struct Backoff(Option<ExponentialBackoff>);

impl Backoff {
    /// It went well: the next failure is a first one again.
    pub(crate) fn reset(&mut self) {
        self.0 = None;
    }

    /// The wait after one more failure.
    pub(crate) fn next_wait(&mut self) -> Duration {
        let waits = self.0.get_or_insert_with(|| {
            ExponentialBuilder::default()
                .with_min_delay(SHORTEST)
                .with_max_delay(LONGEST)
                .without_max_times()
                .with_jitter()
                .build()
        });
        waits.next().unwrap_or(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..20).map(|_| backoff.next_wait()).collect();
        assert!(waits[0] >= SHORTEST && waits[0] <= 2 * SHORTEST);
        assert!(waits[6] > waits[0]);
        assert!(waits.iter().all(|wait| *wait <= 2 * LONGEST));
        backoff.reset();
        assert!(backoff.next_wait() <= 2 * SHORTEST);
    }
}
