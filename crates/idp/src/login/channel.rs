//! Manners towards an identity provider where logins are kept: places, a rate, and a breaker for each endpoint.

use super::{HeldBack, Priority};
use crate::upstream::{Gate, Heard, Lane, Leave};
use crate::{ConfigError, IdpConfig, LoginConfig};
use account::Millis;
use outbound::{Client, Papers, Rate, TokenBucket};
use parking_lot::Mutex;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

/// What trouble that says nothing of its length is taken to last.
const SOON: Duration = Duration::from_secs(1);

/// Whom a request is for: each fails by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Token,
    UserInfo,
    Revocation,
}

/// The way to one identity provider.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) client: Client,
    timeout: Duration,
    places: Places,
    bucket: Mutex<Option<Bucket>>,
    gates: [Mutex<Gate>; 3],
}

/// A quarter is kept for requests that somebody waits for.
#[derive(Debug)]
struct Places {
    count: usize,
    all: Semaphore,
    background: Semaphore,
}

#[derive(Debug)]
struct Bucket {
    tokens: TokenBucket,
    /// What requests in the background leave in it.
    kept: u32,
    /// How many a second, and at once.
    pace: (u32, u32),
}

/// Leave to send one request, and the place it takes.
pub(crate) struct Pass<'a> {
    leave: Leave<'a>,
    begun: Instant,
    timeout: Duration,
    _place: (SemaphorePermit<'a>, Option<SemaphorePermit<'a>>),
}

impl Channel {
    pub(crate) fn configured(
        config: &IdpConfig,
        login: &LoginConfig,
        papers: &Papers,
    ) -> Result<Self, ConfigError> {
        let client = Client::for_one_operator_address(&config.login_manners(login)?, papers)?;
        Ok(Self {
            client,
            timeout: login.timeout,
            places: Places::new(login.max_in_flight),
            bucket: Mutex::new(Bucket::of(login.requests_per_second, login.burst)),
            gates: std::array::from_fn(|_| Mutex::new(Gate::new(None))),
        })
    }

    /// Leave for one request. Waiting for a place takes at most half of its time, so that the answer has the other half.
    pub(crate) async fn leave(
        &self,
        line: Line,
        priority: Priority,
        now: Millis,
    ) -> Result<Pass<'_>, HeldBack> {
        let begun = Instant::now();
        let gate = &self.gates[line as usize];
        let spared_for = gate.lock().spared_for(now);
        if !spared_for.is_zero() {
            return Err(HeldBack::Spared { retry_after: spared_for });
        }
        let place = timeout(self.timeout / 2, self.places.take(priority)).await;
        let place = place.map_err(|_| HeldBack::Busy { retry_after: SOON })?;
        self.take_token(priority, now.plus(begun.elapsed()))?;
        if let Ok(leave) = Leave::take(gate, Lane::Known, now, begun) {
            return Ok(Pass { leave, begun, timeout: self.timeout, _place: place });
        }
        self.give_back();
        let retry_after = gate.lock().spared_for(now).max(SOON);
        Err(HeldBack::Spared { retry_after })
    }

    /// From now on at most so many requests a second.
    pub(crate) fn pace(&self, per_second: Option<u32>, burst: Option<u32>) {
        let mut bucket = self.bucket.lock();
        let is_same = match (&*bucket, per_second) {
            (Some(bucket), Some(rate)) => bucket.pace == (rate, burst.unwrap_or(rate)),
            (None, None) => true,
            _ => false,
        };
        // One that stays the same stays as full as it is.
        if !is_same {
            *bucket = Bucket::of(per_second, burst);
        }
    }

    /// The breaker's name for its state, and how long the endpoint is left alone from now.
    pub(crate) fn breaker(&self, line: Line, now: Millis) -> (&'static str, Duration) {
        let gate = self.gates[line as usize].lock();
        (gate.breaker(), gate.spared_for(now))
    }

    /// How many requests are on their way.
    pub(crate) fn in_flight(&self) -> usize {
        self.places.count - self.places.all.available_permits()
    }

    /// How many requests in the background could be sent at once.
    pub(crate) fn room(&self, now: Millis) -> usize {
        let places = self.places.background.available_permits().min(self.places.all.available_permits());
        let tokens = self.bucket.lock().as_mut().map(|bucket| bucket.room(now));
        tokens.map_or(places, |tokens| places.min(tokens))
    }

    fn take_token(&self, priority: Priority, now: Millis) -> Result<(), HeldBack> {
        let mut bucket = self.bucket.lock();
        let Some(bucket) = bucket.as_mut() else { return Ok(()) };
        bucket.take(priority, now).map_err(|retry_after| HeldBack::Rate { retry_after })
    }

    fn give_back(&self) {
        if let Some(bucket) = self.bucket.lock().as_mut() {
            bucket.tokens.give_back(1);
        }
    }
}

impl Pass<'_> {
    /// The caller's time, moved on by what has passed since.
    pub(crate) fn now(&self) -> Millis {
        self.leave.now()
    }

    /// How much time the answer has.
    pub(crate) fn left(&self) -> Duration {
        self.timeout.saturating_sub(self.begun.elapsed())
    }

    /// Says what came of it, and makes room for others; the time then.
    pub(crate) fn heard(self, heard: Heard) -> Millis {
        self.leave.heard(heard)
    }
}

impl Places {
    fn new(count: usize) -> Self {
        let count = count.min(Semaphore::MAX_PERMITS);
        let background = count - count / 4;
        Self { count, all: Semaphore::new(count), background: Semaphore::new(background) }
    }

    /// The narrower line comes first, so that many in the background stand in no line of those who wait.
    async fn take(&self, priority: Priority) -> (SemaphorePermit<'_>, Option<SemaphorePermit<'_>>) {
        const OPEN: &str = "the semaphores are never closed";
        let background = match priority {
            Priority::Waited => None,
            Priority::Background => Some(self.background.acquire().await.expect(OPEN)),
        };
        (self.all.acquire().await.expect(OPEN), background)
    }
}

impl Bucket {
    /// None where there is no bound.
    fn of(per_second: Option<u32>, burst: Option<u32>) -> Option<Self> {
        per_second.map(|rate| Self::new(rate, burst))
    }

    /// It was full at any time before the first request.
    fn new(per_second: u32, burst: Option<u32>) -> Self {
        let burst = burst.unwrap_or(per_second);
        let tokens = TokenBucket::new(Rate::per_second(per_second), burst, Millis::ZERO);
        Self { tokens, kept: burst / 4, pace: (per_second, burst) }
    }

    fn take(&mut self, priority: Priority, now: Millis) -> Result<(), Duration> {
        let needed = match priority {
            Priority::Waited => 1,
            Priority::Background => 1 + self.kept,
        };
        let wait = self.tokens.wait_for(needed, now).unwrap_or(SOON);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.tokens.take(1, now);
        Ok(())
    }

    fn room(&mut self, now: Millis) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a level is small and never negative"
        )]
        let level = self.tokens.level(now) as usize;
        level.saturating_sub(self.kept as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use account::IdpId;

    const T0: Millis = Millis::new(1_700_000_000_000);

    fn channel(change: impl FnOnce(&mut LoginConfig)) -> Channel {
        let config = IdpConfig::new(IdpId::new("idp").expect("valid"), "https://idp.example", "idp.example");
        let mut login = LoginConfig::new("web");
        change(&mut login);
        Channel::configured(&config, &login, &Papers::default()).expect("a channel")
    }

    async fn leave(channel: &Channel, priority: Priority, now: Millis) -> Result<Pass<'_>, HeldBack> {
        channel.leave(Line::Token, priority, now).await
    }

    #[tokio::test(start_paused = true)]
    async fn requests_in_the_background_leave_a_quarter_of_the_places() {
        let channel = channel(|login| login.max_in_flight = 8);
        let mut held = Vec::new();
        for _ in 0..6 {
            held.push(leave(&channel, Priority::Background, T0).await.expect("room"));
        }
        assert_eq!((channel.room(T0), channel.in_flight()), (0, 6));
        let busy = leave(&channel, Priority::Background, T0).await.err();
        assert!(matches!(busy, Some(HeldBack::Busy { .. })), "{busy:?}");
        held.push(leave(&channel, Priority::Waited, T0).await.expect("kept for it"));
        held.clear();
        assert_eq!((channel.room(T0), channel.in_flight()), (6, 0));
    }

    #[tokio::test]
    async fn no_more_begin_than_the_rate_allows_and_a_quarter_is_left_for_those_who_wait() {
        let channel = channel(|login| login.requests_per_second = Some(4));
        assert_eq!(channel.room(T0), 3);
        for _ in 0..3 {
            leave(&channel, Priority::Background, T0).await.expect("within the rate");
        }
        let held = leave(&channel, Priority::Background, T0).await.err();
        assert_eq!(held, Some(HeldBack::Rate { retry_after: Duration::from_millis(250) }));
        leave(&channel, Priority::Waited, T0).await.expect("kept for it");
        assert!(leave(&channel, Priority::Waited, T0).await.is_err());
        let later = T0.plus(Duration::from_millis(500));
        leave(&channel, Priority::Background, later).await.expect("the rate goes on");
    }

    #[tokio::test]
    async fn a_rate_may_change_and_one_that_stays_is_not_filled_anew() {
        let channel = channel(|login| login.requests_per_second = Some(4));
        for _ in 0..3 {
            leave(&channel, Priority::Background, T0).await.expect("within the rate");
        }
        channel.pace(Some(4), None);
        assert_eq!(channel.room(T0), 0, "it is as empty as it was");
        channel.pace(Some(40), Some(8));
        assert_eq!(channel.room(T0), 6);
        channel.pace(None, None);
        assert_eq!(channel.room(T0), 48, "the places alone bound it");
    }

    #[tokio::test]
    async fn an_endpoint_that_wants_to_be_left_alone_is_and_others_are_not() {
        let channel = channel(|_| ());
        let retry_after = Some(Duration::from_secs(30));
        leave(&channel, Priority::Background, T0).await.expect("open").heard(Heard::Failure { retry_after });
        let held = leave(&channel, Priority::Waited, T0).await.err();
        assert!(
            matches!(held, Some(HeldBack::Spared { retry_after }) if retry_after >= Duration::from_secs(30))
        );
        channel.leave(Line::UserInfo, Priority::Background, T0).await.expect("another endpoint");
        let later = T0.plus(Duration::from_secs(32));
        let probe = leave(&channel, Priority::Background, later).await.expect("one finds out");
        assert!(leave(&channel, Priority::Background, later).await.is_err(), "and no other");
        probe.heard(Heard::Answer);
        assert_eq!(channel.breaker(Line::Token, later), ("closed", Duration::ZERO));
    }
}
