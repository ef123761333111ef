//! Being the one process that asks.

use super::sealing::Name;
use super::written::{Ending, LastWords, WrittenFacts, WrittenNo, seal};
use super::{Kind, MAX_KEPT, SharedTier, Value};
use crate::flights::WORTH_ANOTHER_TRY;
use crate::{CheckError, Facts, Place};
use account::Millis;
use parking_lot::Mutex;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How long a flight is counted on without a sign of life. It gives one three times as often.
pub(super) const TERM: Duration = Duration::from_secs(2);
/// How long last words can be heard: long enough for all who wait.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// The shortest life of what is kept: so long do those who wait for it have to fetch it.
const LEAST_LIFE: Duration = Duration::from_millis(500);

/// This process's flight, which others wait for. Dropped without a word, it is over for them when its term is.
pub(crate) struct Claim {
    pub(super) tier: Arc<dyn SharedTier>,
    pub(super) name: Name,
    pub(super) flight: String,
}

/// How often a question failed, here or elsewhere, while one flight of this process waited for its answer.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<(u32, Duration)>);

impl Claim {
    /// Gives signs of life while something is under way.
    pub(crate) async fn held_while<T>(&self, under_way: impl Future<Output = T>) -> T {
        let mut under_way = pin!(under_way);
        loop {
            match tokio::time::timeout(TERM / 3, &mut under_way).await {
                Ok(done) => return done,
                // When nobody hears it, others ask too: no harm in that.
                Err(_) => drop(self.tier.hold(&self.name.text, &self.flight, TERM).await),
            }
        }
    }

    /// Leaves facts for everybody: what was learned by a question that began at that place of the feed. `life` is how long
    /// they count from now on.
    pub(crate) async fn keep_facts(self, facts: &Facts, began: &Place, life: Duration) {
        let sealed = seal(&self.name, &WrittenFacts::of(facts, &self.flight, began));
        self.keep(Kind::Facts, &sealed, life).await;
    }

    /// Leaves a no for everybody.
    pub(crate) async fn keep_no(self, learned_at: Millis, life: Duration) {
        let sealed = seal(&self.name, &WrittenNo { flight: self.flight.clone(), learned_at });
        self.keep(Kind::No, &sealed, life).await;
    }

    /// Leaves nothing: those who wait ask themselves.
    pub(crate) async fn let_go(self) {
        // When nobody hears it, the term ends.
        drop(self.tier.leave(&self.name.text, &self.flight, &[], LAST_WORDS).await);
    }

    /// Tells those who wait, and nobody later, that the identity provider said no.
    pub(crate) async fn tell_no(self, learned_at: Millis) {
        self.tell(Ending::No { learned_at }).await;
    }

    /// Tells those who wait, and nobody later, that it could not be asked.
    pub(crate) async fn tell_trouble(self, trouble: &CheckError, failures: &Failures) {
        let (retry_after, once_more) = match *trouble {
            CheckError::Unavailable { retry_after } => (retry_after, retry_after <= WORTH_ANOTHER_TRY),
            CheckError::TimedOut { retry_after } => (retry_after, false),
            CheckError::Refused(_) => return self.let_go().await,
        };
        failures.add(retry_after);
        let retry_after_ms = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
        self.tell(Ending::Trouble { retry_after_ms, once_more }).await;
    }

    async fn keep(self, kind: Kind, sealed: &[u8], life: Duration) {
        if sealed.len() > MAX_KEPT {
            return self.let_go().await;
        }
        let value = Value { kind, sealed, life: life.max(LEAST_LIFE) };
        // When it is not kept, those who wait ask themselves.
        drop(self.tier.keep(&self.name.text, value, &self.flight).await);
    }

    async fn tell(self, ending: Ending) {
        let words = seal(&self.name, &LastWords { flight: self.flight.clone(), ending });
        drop(self.tier.leave(&self.name.text, &self.flight, &words, LAST_WORDS).await);
    }
}

impl Failures {
    /// One more. When to come back is what the last one said.
    pub(super) fn add(&self, retry_after: Duration) {
        let mut failures = self.0.lock();
        *failures = (failures.0 + 1, retry_after);
    }

    /// What failed was tried again already; when to come back.
    pub(super) fn are_enough(&self) -> Option<Duration> {
        let (count, retry_after) = *self.0.lock();
        (count > 1).then_some(retry_after)
    }
}
