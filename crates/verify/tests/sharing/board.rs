use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use verify::{Claimed, Kept, Kind, SharedTier, TierDown, Value};

/// A tier in memory.
#[derive(Default)]
pub(crate) struct Board {
    places: Mutex<HashMap<String, Place>>,
    pub(crate) is_down: AtomicBool,
}

type Ending = Option<(Vec<u8>, Instant)>;

#[derive(Default)]
struct Place {
    facts: Ending,
    no: Ending,
    flight: Ending,
}

fn living(it: &Ending) -> Option<Vec<u8>> {
    it.as_ref().filter(|(_, end)| Instant::now() < *end).map(|(bytes, _)| bytes.clone())
}

impl Board {
    fn at<T>(&self, name: &str, with: impl FnOnce(&mut Place) -> T) -> Result<T, TierDown> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(TierDown);
        }
        Ok(with(self.places.lock().entry(name.to_owned()).or_default()))
    }

    /// How many names have something.
    pub(crate) fn names(&self) -> usize {
        self.places.lock().values().filter(|it| it.facts.is_some() || it.no.is_some()).count()
    }

    pub(crate) fn is_flown(&self) -> bool {
        self.places.lock().values().any(|place| living(&place.flight).is_some())
    }

    /// Every flight's term ends now.
    pub(crate) fn ends_terms(&self) {
        self.places.lock().values_mut().for_each(|place| place.flight = None);
    }

    /// Puts something else in the place of all facts.
    pub(crate) fn spoil(&self, bytes: &[u8]) {
        let facts = |place: &mut Place| {
            if let Some((facts, _)) = &mut place.facts {
                *facts = bytes.to_vec();
            }
        };
        self.places.lock().values_mut().for_each(facts);
    }
}

fn looked(place: &Place) -> Kept {
    Kept { facts: living(&place.facts), no: living(&place.no) }
}

impl SharedTier for Board {
    fn look<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Kept, TierDown>> {
        Box::pin(async move { self.at(name, |place| looked(place)) })
    }

    fn claim<'a>(
        &'a self,
        name: &'a str,
        flight: &'a str,
        term: Duration,
    ) -> BoxFuture<'a, Result<Claimed, TierDown>> {
        Box::pin(async move {
            self.at(name, |place| {
                let holder = living(&place.flight);
                if holder.is_none() {
                    place.flight = Some((flight.as_bytes().to_vec(), Instant::now() + term));
                }
                (holder, looked(place))
            })
        })
    }

    fn hold<'a>(
        &'a self,
        name: &'a str,
        flight: &'a str,
        term: Duration,
    ) -> BoxFuture<'a, Result<(), TierDown>> {
        Box::pin(async move {
            self.at(name, |place| {
                if living(&place.flight).as_deref() == Some(flight.as_bytes()) {
                    place.flight = Some((flight.as_bytes().to_vec(), Instant::now() + term));
                }
            })
        })
    }

    fn keep<'a>(
        &'a self,
        name: &'a str,
        value: Value<'a>,
        flight: &'a str,
    ) -> BoxFuture<'a, Result<(), TierDown>> {
        Box::pin(async move {
            self.at(name, |place| {
                let kept = Some((value.sealed.to_vec(), Instant::now() + value.life));
                match value.kind {
                    Kind::Facts => place.facts = kept,
                    Kind::No => (place.facts, place.no) = (None, kept),
                }
            })?;
            self.leave(name, flight, &[], Duration::ZERO).await
        })
    }

    fn leave<'a>(
        &'a self,
        name: &'a str,
        flight: &'a str,
        last_words: &'a [u8],
        term: Duration,
    ) -> BoxFuture<'a, Result<(), TierDown>> {
        Box::pin(async move {
            self.at(name, |place| {
                if living(&place.flight).as_deref() == Some(flight.as_bytes()) {
                    let words =
                        (!last_words.is_empty()).then(|| (last_words.to_vec(), Instant::now() + term));
                    place.flight = words;
                }
            })
        })
    }

    fn trouble(&self) -> Option<String> {
        self.is_down.load(Ordering::Relaxed).then(|| "down".to_owned())
    }
}
