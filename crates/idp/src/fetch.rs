//! Keys that are fetched: the last good set, one fetch for all who wait, and not too often.

use crate::KeySet;
use arc_swap::{ArcSwap, Guard};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use jose::{Jwk, JwkSet, SkippedKey};
use metrics::Counter;
use outbound::{Answer, Client, OutboundError, Url};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Why the keys could not be fetched. The last good set stays in use.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error(transparent)]
    Http(#[from] OutboundError),
    #[error(transparent)]
    Set(#[from] jose::JwkSetError),
    /// An identity provider does not sign with nothing: more likely something is broken there.
    #[error("the key set has no usable key any more; the last good one stays in use")]
    Emptied,
}

/// The keys of one identity provider, and how to get them.
#[derive(Debug)]
pub(crate) struct Keys {
    now: Arc<Current>,
    source: Option<Source>,
}

#[derive(Debug)]
struct Current {
    configured: Vec<Jwk>,
    set: ArcSwap<KeySet>,
}

#[derive(Debug)]
struct Source {
    client: Client,
    url: Url,
    pace: Pace,
    idp: Arc<str>,
    last: Mutex<Option<Flight>>,
    counters: [Counter; 2],
}

/// How often keys are fetched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The least time between two fetches.
    pub(crate) floor: Duration,
    /// The usual time between two fetches; the longest that the other side may tell us to stay away.
    pub(crate) refresh: Duration,
}

#[derive(Clone, Debug)]
struct Flight {
    started: Instant,
    outcome: Shared<BoxFuture<'static, Result<(), FetchError>>>,
}

impl Keys {
    pub(crate) fn configured(configured: Vec<Jwk>) -> Self {
        let set = ArcSwap::from_pointee(KeySet::new(&configured, &[]));
        Self { now: Arc::new(Current { configured, set }), source: None }
    }

    pub(crate) fn fetched_from(mut self, client: Client, url: Url, pace: Pace, idp: &str) -> Self {
        metrics::describe_counter!("idp.key_fetches", "Fetches of an identity provider's keys");
        let counters = ["fetched", "failed"].map(
            |outcome| metrics::counter!("idp.key_fetches", "idp" => idp.to_owned(), "outcome" => outcome),
        );
        self.source =
            Some(Source { client, url, pace, idp: Arc::from(idp), last: Mutex::new(None), counters });
        self
    }

    /// The keys as known now. Cheap: no lock, no count.
    pub(crate) fn load(&self) -> Guard<Arc<KeySet>> {
        self.now.set.load()
    }

    /// Whether there is a place to fetch from.
    pub(crate) fn can_fetch(&self) -> bool {
        self.source.is_some()
    }

    /// Fetches the keys, unless that was done less than the floor ago: then what came of it counts. Whoever comes
    /// while a fetch is going on waits for that one, and carries it on if those who began it have gone.
    pub(crate) async fn refetch(&self) -> Result<(), FetchError> {
        match &self.source {
            Some(source) => source.flight(&self.now).outcome.await,
            None => Ok(()),
        }
    }
}

impl Source {
    fn flight(&self, current: &Arc<Current>) -> Flight {
        let now = Instant::now();
        let mut last = self.last.lock();
        match &*last {
            Some(flight) if flight.may_be_shared(now, self.pace) => flight.clone(),
            _ => last
                .insert(Flight { started: now, outcome: self.fetch(Arc::clone(current)).boxed().shared() })
                .clone(),
        }
    }

    fn fetch(&self, current: Arc<Current>) -> impl Future<Output = Result<(), FetchError>> + use<> {
        let (client, url, idp) = (self.client.clone(), self.url.clone(), Arc::clone(&self.idp));
        let [fetched, failed] = self.counters.clone();
        async move {
            let outcome = fetch(&client, &url).await.and_then(|set| current.replace(&set, &idp));
            match &outcome {
                Ok(()) => fetched.increment(1),
                Err(error) => {
                    failed.increment(1);
                    tracing::warn!(%idp, %error, "the identity provider's keys could not be fetched");
                }
            }
            outcome
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

impl Current {
    fn replace(&self, fetched: &JwkSet, idp: &str) -> Result<(), FetchError> {
        let (old, new) = (self.set.load(), KeySet::new(&self.configured, &fetched.keys));
        if **old == new {
            return Ok(());
        }
        if fetched.keys.is_empty() && old.keys().iter().any(|key| !self.configured.contains(key)) {
            return Err(FetchError::Emptied);
        }
        for skipped in &fetched.skipped {
            let SkippedKey { index, reason } = skipped;
            tracing::warn!(%idp, index, %reason, "a key of the identity provider is skipped");
        }
        let kids: Vec<_> = new.keys().iter().filter_map(Jwk::kid).collect();
        tracing::info!(%idp, ?kids, "the identity provider's keys have changed");
        self.set.store(Arc::new(new));
        Ok(())
    }
}

async fn fetch(client: &Client, url: &Url) -> Result<JwkSet, FetchError> {
    let answer = client.get(url).accept_json().send().await.and_then(Answer::success)?;
    Ok(JwkSet::parse(answer.body())?)
}

impl FetchError {
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Http(error) => error.retry_after(),
            Self::Set(_) | Self::Emptied => None,
        }
    }
}
