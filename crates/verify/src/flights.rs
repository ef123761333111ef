//! Questions under way, so that what many ask at once is one question.

use crate::errands::Errands;
use crate::lives::Life;
use crate::memory::TokenKey;
use crate::shared::Via;
use crate::{CheckError, Facts};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A failure that names no longer wait than this is worth another try at once, if others wait too.
pub(crate) const WORTH_ANOTHER_TRY: Duration = Duration::from_secs(10);
/// What one who had no patience is told.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What was found out.
#[derive(Clone, Debug)]
pub(crate) struct Learned {
    pub(crate) facts: Arc<Facts>,
    pub(crate) life: Arc<Life>,
    pub(crate) via: Via,
}

pub(crate) type Outcome = Result<Learned, CheckError>;
type Flight = BoxFuture<'static, Outcome>;

/// How one came to a flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// By beginning it.
    Began,
    /// By joining one that was under way.
    Joined,
}

pub(crate) struct Flights {
    under_way: Mutex<HashMap<TokenKey, UnderWay>>,
    errands: Arc<Errands>,
}

struct UnderWay {
    flight: WeakShared<Flight>,
    crew: Arc<Crew>,
}

/// Who else is on a flight.
#[derive(Default)]
struct Crew {
    joined: AtomicBool,
    left_to_errands: AtomicBool,
}

/// One who waits for a flight. When all who wait go before it arrives, it goes on as an errand.
struct Waiting {
    flight: Shared<Flight>,
    crew: Arc<Crew>,
    errands: Arc<Errands>,
    role: Role,
}

/// Clears the flight away, whether it arrived or everybody gave it up.
struct Landing {
    flights: Arc<Flights>,
    key: TokenKey,
    crew: Arc<Crew>,
}

impl Flights {
    pub(crate) fn new(errands: Arc<Errands>) -> Arc<Self> {
        Arc::new(Self { under_way: Mutex::default(), errands })
    }

    /// Waits for the flight of this key, or begins it; no longer than `patience`. Those who wait carry it on when the
    /// one who began it goes. One that fails while others wait is begun anew, once, by one for all.
    pub(crate) async fn join<F>(
        self: &Arc<Self>,
        key: TokenKey,
        patience: Option<Duration>,
        begin: impl Fn() -> F + Send + 'static,
    ) -> (Outcome, Role)
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let waiting = self.waiting(key, begin);
        if waiting.role == Role::Joined {
            waiting.crew.joined.store(true, Ordering::Relaxed);
        }
        let flight = waiting.flight.clone();
        let outcome = match patience {
            None => flight.await,
            Some(patience) => tokio::time::timeout(patience, flight)
                .await
                .unwrap_or(Err(CheckError::TimedOut { retry_after: RETRY_AFTER })),
        };
        (outcome, waiting.role)
    }

    /// Begins a flight that nobody waits for, unless it is under way.
    pub(crate) fn begin<F>(self: &Arc<Self>, key: TokenKey, begin: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        drop(self.waiting(key, begin));
    }

    fn waiting<F>(self: &Arc<Self>, key: TokenKey, begin: impl Fn() -> F + Send + 'static) -> Waiting
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let errands = Arc::clone(&self.errands);
        let mut under_way = self.under_way.lock();
        if let Some((flight, crew)) = under_way.get(&key).and_then(UnderWay::upgrade) {
            return Waiting { flight, crew, errands, role: Role::Joined };
        }
        let crew = Arc::new(Crew::default());
        let landing = Landing { flights: Arc::clone(self), key, crew: Arc::clone(&crew) };
        let flight = flown(begin, landing).boxed().shared();
        let weak = flight.downgrade().expect("it has not been polled yet");
        under_way.insert(key, UnderWay { flight: weak, crew: Arc::clone(&crew) });
        Waiting { flight, crew, errands, role: Role::Began }
    }
}

async fn flown<F: Future<Output = Outcome>>(begin: impl Fn() -> F, landing: Landing) -> Outcome {
    match begin().await {
        Err(CheckError::Unavailable { retry_after })
            if retry_after <= WORTH_ANOTHER_TRY && landing.crew.joined.load(Ordering::Relaxed) =>
        {
            begin().await
        }
        outcome => outcome,
    }
}

impl UnderWay {
    fn upgrade(&self) -> Option<(Shared<Flight>, Arc<Crew>)> {
        Some((self.flight.upgrade()?, Arc::clone(&self.crew)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let arrived = self.flight.peek().is_some();
        if !arrived && self.errands.are_run() && !self.crew.left_to_errands.swap(true, Ordering::Relaxed) {
            self.errands.send(self.flight.clone().map(drop));
        }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut under_way = self.flights.under_way.lock();
        // Given up by everybody, it may have been begun anew already.
        if under_way.get(&self.key).is_some_and(|it| Arc::ptr_eq(&it.crew, &self.crew)) {
            under_way.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lives::Lives;
    use crate::memory::Memory;
    use crate::{Claims, Record, Source};
    use account::{IdpId, Millis};
    use futures::future::join_all;
    use std::sync::atomic::AtomicUsize;

    const LONG: Duration = Duration::from_secs(5);

    struct Airport {
        flights: Arc<Flights>,
        errands: Arc<Errands>,
        key: TokenKey,
        begun: Arc<AtomicUsize>,
    }

    fn airport() -> Airport {
        let errands = Arc::new(Errands::new());
        let key = Memory::new(0, 0, 0).key(b"token");
        Airport { flights: Flights::new(Arc::clone(&errands)), errands, key, begun: Arc::default() }
    }

    fn learned() -> Learned {
        let claims = Claims::read(br#"{"sub":"u"}"#).expect("good");
        let facts =
            Arc::new(claims.into_facts(IdpId::new("idp").expect("valid"), Source::Word, Millis::ZERO));
        let lives = Lives::new();
        let life = lives.join(&facts.account(), lives.stamp(), Record::default()).expect("unchanged");
        Learned { facts, life, via: Via::Asked }
    }

    impl Airport {
        /// A flight that takes five seconds; the first ones fail.
        fn flight(
            &self,
            failing: usize,
            retry_after: Duration,
        ) -> impl Fn() -> BoxFuture<'static, Outcome> + use<> {
            let begun = Arc::clone(&self.begun);
            move || {
                let number = begun.fetch_add(1, Ordering::Relaxed);
                async move {
                    tokio::time::sleep(LONG).await;
                    if number < failing {
                        Err(CheckError::Unavailable { retry_after })
                    } else {
                        Ok(learned())
                    }
                }
                .boxed()
            }
        }

        async fn join(&self, patience: Option<Duration>) -> (Outcome, Role) {
            self.flights.join(self.key, patience, self.flight(0, Duration::ZERO)).await
        }

        fn begun(&self) -> usize {
            self.begun.load(Ordering::Relaxed)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_who_ask_at_once_ask_once() {
        let airport = airport();
        let outcomes = join_all((0..1_000).map(|_| airport.join(None))).await;
        assert!(outcomes.iter().all(|(outcome, _)| outcome.is_ok()));
        assert_eq!(outcomes.iter().filter(|(_, role)| *role == Role::Began).count(), 1);
        assert_eq!(airport.begun(), 1);
        assert!(airport.join(None).await.0.is_ok());
        assert_eq!(airport.begun(), 2, "what has arrived is not under way");
    }

    #[tokio::test(start_paused = true)]
    async fn each_who_waits_has_a_patience_of_its_own() {
        let airport = airport();
        let (short, long) = tokio::join!(airport.join(Some(Duration::from_secs(1))), airport.join(None));
        assert_eq!(short.0.err(), Some(CheckError::TimedOut { retry_after: RETRY_AFTER }));
        assert!(long.0.is_ok());
        assert_eq!(airport.begun(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_tried_again_once_for_all_who_wait() {
        for (failing, begun, good) in [(1, 2, true), (2, 2, false), (9, 2, false)] {
            let airport = airport();
            let flight = || airport.flight(failing, Duration::from_secs(1));
            let outcomes =
                join_all((0..100).map(|_| airport.flights.join(airport.key, None, flight()))).await;
            assert!(outcomes.iter().all(|(outcome, _)| outcome.is_ok() == good), "{failing}");
            assert_eq!(airport.begun(), begun, "{failing}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_not_tried_again_for_one_alone_nor_when_told_to_stay_away() {
        let alone = airport();
        let (outcome, _) = alone.flights.join(alone.key, None, alone.flight(1, Duration::ZERO)).await;
        assert!(outcome.is_err());
        assert_eq!(alone.begun(), 1);
        let told = airport();
        let flight = || told.flight(1, Duration::from_mins(15));
        let outcomes = join_all((0..9).map(|_| told.flights.join(told.key, None, flight()))).await;
        assert!(outcomes.iter().all(|(outcome, _)| outcome.is_err()));
        assert_eq!(told.begun(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_everybody_gave_up_goes_on_as_an_errand_if_those_are_run() {
        let airport = airport();
        let brief = Some(Duration::from_secs(1));
        assert!(airport.join(brief).await.0.is_err());
        assert!(airport.join(brief).await.0.is_err());
        assert_eq!(airport.begun(), 2, "nobody runs errands: it ended with the first, and was begun anew");
        let later = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(airport.join(brief).await.0.is_err());
            let (outcome, role) = airport.join(None).await;
            assert!(outcome.is_ok() && role == Role::Joined);
        };
        tokio::select! { never = airport.errands.run() => match never {}, () = later => {} }
        assert_eq!(airport.begun(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_nobody_waits_for_is_flown_once() {
        let airport = airport();
        let later = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            for _ in 0..3 {
                airport.flights.begin(airport.key, airport.flight(1, Duration::ZERO));
            }
            tokio::time::sleep(LONG * 3).await;
        };
        tokio::select! { never = airport.errands.run() => match never {}, () = later => {} }
        assert_eq!(airport.begun(), 1, "and not again when it fails");
    }
}
