//! Keys that are fetched: the last good set, one fetch for all who wait, and not too often.

use crate::ask::RETRY_AFTER;
use crate::flight::{Flights, Pace};
use crate::{KeySet, SignatureError};
use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use futures::FutureExt;
use jose::{Compact, Header, Jwk, JwkSet, SkippedKey, Thumbprint};
use metrics::Counter;
use outbound::{Answer, Client, OutboundError, Url};
use std::sync::Arc;
use std::time::Duration;

/// Why the keys, or the endpoints, could not be fetched. What was good last stays in use.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error(transparent)]
    Http(#[from] OutboundError),
    #[error(transparent)]
    Set(#[from] jose::JwkSetError),
    /// An identity provider does not sign with nothing: more likely something is broken there.
    #[error("the key set has no usable key any more; the last good one stays in use")]
    Emptied,
    /// What the identity provider says of itself is of no use.
    #[error("what the identity provider says of itself is of no use: {0}")]
    Metadata(&'static str),
}

/// The keys of one identity provider, and how to get them.
#[derive(Debug)]
pub(crate) struct Keys {
    now: Arc<Current>,
    source: ArcSwapOption<Source>,
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
    flights: Flights,
    counters: [Counter; 2],
}

impl Keys {
    pub(crate) fn configured(configured: Vec<Jwk>) -> Self {
        let set = ArcSwap::from_pointee(KeySet::new(&configured, &[]));
        Self { now: Arc::new(Current { configured, set }), source: ArcSwapOption::empty() }
    }

    /// Says where they are fetched from. What is known stays until something else comes from there.
    pub(crate) fn fetch_from(&self, client: Client, url: Url, pace: Pace, idp: &str) {
        if self.source.load().as_ref().is_some_and(|source| source.url == url) {
            return;
        }
        metrics::describe_counter!("idp.key_fetches", "Fetches of an identity provider's keys");
        let counters = ["fetched", "failed"].map(
            |outcome| metrics::counter!("idp.key_fetches", "idp" => idp.to_owned(), "outcome" => outcome),
        );
        let flights = Flights::default();
        let source = Source { client, url, pace, idp: Arc::from(idp), flights, counters };
        self.source.store(Some(Arc::new(source)));
    }

    /// The keys as known now. Cheap: no lock, no count.
    pub(crate) fn load(&self) -> Guard<Arc<KeySet>> {
        self.now.set.load()
    }

    /// Whether there is a place to fetch from.
    pub(crate) fn can_fetch(&self) -> bool {
        self.source.load().is_some()
    }

    /// Fetches the keys, unless that was done less than the floor ago: then what came of it counts. Whoever comes
    /// while a fetch is going on waits for that one, and carries it on if those who began it have gone.
    pub(crate) async fn refetch(&self) -> Result<(), FetchError> {
        let source = self.source.load_full();
        match source {
            Some(source) => source.fetched(&self.now).await,
            None => Ok(()),
        }
    }

    /// Verifies a signature, by keys fetched anew if the one it names is not known.
    pub(crate) async fn verify_signature(
        &self,
        token: &Compact<'_>,
        header: &Header,
    ) -> Result<Thumbprint, SignatureError> {
        if let Some(known) = self.verify_by_known_key(token, header) {
            return known;
        }
        let fetched = self.refetch().await;
        if let Some(known) = self.verify_by_known_key(token, header) {
            return known;
        }
        let retry_after =
            fetched.as_ref().map_or_else(FetchError::retry_after, |()| None).unwrap_or(RETRY_AFTER);
        Err(match fetched {
            _ if self.load().keys().is_empty() => SignatureError::NoKeys { retry_after },
            Ok(()) => SignatureError::UnknownKey,
            Err(_) => SignatureError::Unavailable { retry_after },
        })
    }

    pub(crate) fn verify_by_known_key(
        &self,
        token: &Compact<'_>,
        header: &Header,
    ) -> Option<Result<Thumbprint, SignatureError>> {
        let known = self.load().verify(token, header).ok()?;
        Some(known.map_err(|_| SignatureError::BadSignature))
    }
}

impl Source {
    async fn fetched(&self, current: &Arc<Current>) -> Result<(), FetchError> {
        self.flights.join(self.pace, || self.fetch(Arc::clone(current)).boxed()).await
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
            Self::Set(_) | Self::Emptied | Self::Metadata(_) => None,
        }
    }
}
