//! Fetches that are shared by all who wait for them, and not made too often.

use crate::IdpConfig;
use crate::fetch::FetchError;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// How often something is fetched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The least time between two fetches.
    pub(crate) floor: Duration,
    /// The usual time between two fetches; the longest that the other side may tell us to stay away.
    pub(crate) refresh: Duration,
}

impl Pace {
    /// How often keys are fetched.
    pub(crate) fn of_keys(config: &IdpConfig) -> Self {
        Self { floor: config.unknown_key_refetch, refresh: config.keys_refresh }
    }
}

/// The last fetch, or the one that is going on.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<Option<Flight>>);

type Outcome = Shared<BoxFuture<'static, Result<(), FetchError>>>;

#[derive(Clone, Debug)]
struct Flight {
    started: Instant,
    outcome: Outcome,
}

impl Flights {
    /// What comes of a fetch: of the last one if that began less than the floor ago, of the one that is going on if others
    /// wait for it, else of a new one.
    pub(crate) fn join(
        &self,
        pace: Pace,
        begin: impl FnOnce() -> BoxFuture<'static, Result<(), FetchError>>,
    ) -> Outcome {
        let now = Instant::now();
        let mut last = self.0.lock();
        match &*last {
            Some(flight) if flight.may_be_shared(now, pace) => flight.outcome.clone(),
            _ => last.insert(Flight { started: now, outcome: begin().shared() }).outcome.clone(),
        }
    }
}

impl Flight {
    /// Recent enough for its outcome to count, or still being waited for by others.
    fn may_be_shared(&self, now: Instant, pace: Pace) -> bool {
        let told =
            self.outcome.peek().and_then(|outcome| outcome.as_ref().err()).and_then(FetchError::retry_after);
        let pause = told.map_or(pace.floor, |told| told.min(pace.refresh).max(pace.floor));
        let going_on =
            self.outcome.peek().is_none() && self.outcome.strong_count().is_some_and(|count| count > 1);
        going_on || now.duration_since(self.started) < pause
    }
}
