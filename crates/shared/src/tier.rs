use crate::commands::{self, Claimed, Looked, kept};
use crate::line::Line;
use crate::settings::Settings;
use futures::FutureExt;
use futures::future::BoxFuture;
use metrics::{Counter, Gauge};
use parking_lot::Mutex;
use redis::{FromRedisValue, Pipeline, RedisError};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use verify::{Kept, SharedTier, TierDown, Value};

/// Between two tries to connect; it doubles from the first to the second.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often a quiet connection is tried.
const BETWEEN_PINGS: Duration = Duration::from_secs(5);
/// So many answers in a row that do not come in time, and another connection is looked for.
const TOO_MANY_FAILURES: u32 = 3;

/// A [`SharedTier`] on Redis or Valkey.
pub struct Tier {
    settings: Settings,
    state: Mutex<State>,
    failures: AtomicU32,
    lost: Notify,
    meters: Meters,
}

#[derive(Default)]
struct State {
    line: Option<Line>,
    /// Which line it is; what is said of an earlier one does not count.
    number: u64,
    trouble: Option<String>,
}

/// What an operation does to the server; what is wrong with writing, reading does not mend.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

impl Tier {
    /// One for that server, not connected yet.
    pub fn new(settings: Settings) -> Arc<Self> {
        let state = State { trouble: Some("not connected yet".to_owned()), ..State::default() };
        Arc::new(Self {
            settings,
            state: Mutex::new(state),
            failures: AtomicU32::new(0),
            lost: Notify::new(),
            meters: Meters::new(),
        })
    }

    /// Connects, and again whenever the connection is lost, until it is told to stop.
    pub async fn keep_connected(self: Arc<Self>, stop: CancellationToken) {
        stop.run_until_cancelled(self.keep_connected_for_ever()).await;
    }

    async fn keep_connected_for_ever(&self) -> Infallible {
        let mut pause = FIRST_PAUSE;
        loop {
            let connecting = timeout(self.settings.connect_timeout(), Line::connect(&self.settings));
            match connecting.await {
                Ok(Ok(line)) => {
                    self.connected(line);
                    pause = FIRST_PAUSE;
                    self.until_lost().await;
                }
                Ok(Err(error)) => self.in_trouble(&error.to_string()),
                Err(_) => self.in_trouble("it cannot be connected to in time"),
            }
            sleep(jittered(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn until_lost(&self) {
        while self.line().is_some() {
            if timeout(BETWEEN_PINGS, self.lost.notified()).await.is_err() {
                // A look at nothing finds out whether there is somebody.
                drop(self.ask::<Looked>("ping", &commands::look("ping"), Access::Read).await);
            }
        }
    }

    fn line(&self) -> Option<(Line, u64)> {
        let state = self.state.lock();
        Some((state.line.clone()?, state.number))
    }

    async fn ask<T: FromRedisValue>(
        &self,
        operation: &'static str,
        commands: &Pipeline,
        access: Access,
    ) -> Result<T, TierDown> {
        let (line, number) = self.line().ok_or(TierDown)?;
        match timeout(self.settings.response_timeout(), line.ask(commands)).await {
            Ok(Ok(answer)) => {
                self.answered(access);
                Ok(answer)
            }
            Ok(Err(error)) => Err(self.failed(operation, Some(&error), &line, number)),
            Err(_) => Err(self.failed(operation, None, &line, number)),
        }
    }

    fn answered(&self, access: Access) {
        self.failures.store(0, Ordering::Relaxed);
        if access == Access::Write && self.state.lock().trouble.take().is_some() {
            tracing::info!("the shared tier takes what it is given again");
        }
    }

    /// `None`: it did not answer in time.
    fn failed(
        &self,
        operation: &'static str,
        error: Option<&RedisError>,
        line: &Line,
        number: u64,
    ) -> TierDown {
        self.meters.failed(operation);
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let is_slow = error.is_none_or(RedisError::is_timeout);
        let is_lost = error.is_some_and(|error| line.is_broken_by(error)) || failures >= TOO_MANY_FAILURES;
        if is_lost {
            self.lose(number);
        }
        if is_lost || !is_slow {
            let told = error.map_or_else(|| "it does not answer in time".to_owned(), ToString::to_string);
            self.in_trouble(&told);
        }
        TierDown
    }

    fn lose(&self, number: u64) {
        let mut state = self.state.lock();
        if state.number == number && state.line.take().is_some() {
            self.meters.connected.set(0);
            self.lost.notify_one();
        }
    }

    fn connected(&self, line: Line) {
        let had_trouble = {
            let mut state = self.state.lock();
            state.line = Some(line);
            state.number += 1;
            state.trouble.take().is_some()
        };
        self.failures.store(0, Ordering::Relaxed);
        self.meters.connected.set(1);
        if had_trouble {
            tracing::info!("the shared tier is connected");
        }
    }

    /// Logged once, until it is well again.
    fn in_trouble(&self, trouble: &str) {
        let before = self.state.lock().trouble.replace(trouble.to_owned());
        if before.is_none_or(|before| before == "not connected yet") {
            tracing::warn!(
                error = trouble,
                "the shared tier cannot be used: each process asks and remembers by itself"
            );
        }
    }
}

impl SharedTier for Tier {
    fn look<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Kept, TierDown>> {
        async move { self.ask("look", &commands::look(name), Access::Read).await.map(kept) }.boxed()
    }

    fn claim<'a>(
        &'a self,
        name: &'a str,
        flight: &'a str,
        term: Duration,
    ) -> BoxFuture<'a, Result<verify::Claimed, TierDown>> {
        async move {
            let commands = commands::claim(name, flight, term);
            let claimed: Claimed = self.ask("claim", &commands, Access::Write).await?;
            let (holder, facts, no) = claimed;
            Ok((holder, kept((facts, no))))
        }
        .boxed()
    }

    fn hold<'a>(
        &'a self,
        name: &'a str,
        flight: &'a str,
        term: Duration,
    ) -> BoxFuture<'a, Result<(), TierDown>> {
        async move { self.ask("hold", &commands::hold(name, flight, term), Access::Write).await }.boxed()
    }

    fn keep<'a>(
        &'a self,
        name: &'a str,
        value: Value<'a>,
        flight: &'a str,
    ) -> BoxFuture<'a, Result<(), TierDown>> {
        async move { self.ask("keep", &commands::keep(name, value, flight), Access::Write).await }.boxed()
    }

    fn leave<'a>(
        &'a self,
        name: &'a str,
        flight: &'a str,
        last_words: &'a [u8],
        term: Duration,
    ) -> BoxFuture<'a, Result<(), TierDown>> {
        async move {
            let commands = commands::leave(name, flight, last_words, term);
            self.ask("leave", &commands, Access::Write).await
        }
        .boxed()
    }

    fn trouble(&self) -> Option<String> {
        self.state.lock().trouble.clone()
    }
}

struct Meters {
    connected: Gauge,
}

impl Meters {
    fn new() -> Self {
        metrics::describe_gauge!("shared.connected", "Whether there is a connection to the shared tier");
        metrics::describe_counter!(
            "shared.errors",
            "Operations of the shared tier that failed, by operation"
        );
        let connected = metrics::gauge!("shared.connected");
        connected.set(0);
        Self { connected }
    }

    #[expect(clippy::unused_self, reason = "whoever counts has described what is counted")]
    fn failed(&self, operation: &'static str) {
        let counter: Counter = metrics::counter!("shared.errors", "operation" => operation);
        counter.increment(1);
    }
}

/// Up to a quarter less, so that not all nodes come at once.
fn jittered(pause: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let spread = u32::try_from(RandomState::new().hash_one(pause) % 256).unwrap_or_default();
    pause.saturating_sub(pause / 4 * spread / 255)
}
