//! Sessions whose tokens are refreshed: by the product's worker, at an identity provider on a real socket.

mod asked;
mod fill;
mod noted;

pub(crate) use fill::Filling;

use super::deliver::Told;
use super::house::{House, IDP, Keeping, Staff};
use super::job::{Done, Job};
use super::telemetry;
use crate::latency::Percentiles;
use crate::usage::Usage;
use account::{AccountId, IdpId, Subject};
use anyhow::{Result, ensure};
use asked::Provider;
use clap::Args;
use futures::future::try_join_all;
use noted::Noted;
use serde::{Deserialize, Serialize};
use sessions::rules::Rotation;
use sessions::upstream::{Ask, Upstream};
use sessions::{IdpSettings, Settings};
use std::io::{Write, stdout};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::Clock;

/// Refreshes that may be on their way at once; a quarter of the places is kept for whom somebody waits for.
const PLACES: u32 = 256;
const IN_FLIGHT: u64 = 192;
const WARM_UP: Duration = Duration::from_secs(1);
/// How far away the identity provider is, in the second half.
const FAR: Duration = Duration::from_millis(50);
/// Whoever logs in for the limits is nobody that sessions are kept of.
const OTHERS: u64 = 1_000_000_000;
const STEP: Duration = Duration::from_millis(2);
/// How long everything that is under way may take to be settled.
const GRACE: Duration = Duration::from_secs(20);

/// Where it all is.
#[derive(Clone, Debug, Args)]
pub(crate) struct Ground {
    /// The store's URL.
    #[arg(long)]
    store: String,
    /// The root key; one in sixty-four begins with a hyphen.
    #[arg(long, allow_hyphen_values = true)]
    key: String,
    /// Where the identity provider is: JSON, as it says it.
    #[arg(long)]
    provider: String,
}

/// Refreshes as fast as they go.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Refreshed {
    /// When the first new tokens were there; microseconds since the epoch.
    pub(crate) first_us: i64,
    /// At an identity provider that is near, and at one that is far away.
    pub(crate) near: Told,
    pub(crate) far: Told,
    /// The same without a store: what is presented, and how many come back.
    pub(crate) near_limit: Told,
    pub(crate) far_limit: Told,
    /// Memory held after the first of it, in MiB.
    pub(crate) rss_mib: f64,
}

/// Refreshes at a steady rate, and how late they were.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Paced {
    pub(crate) near: Told,
    pub(crate) near_lag: Option<Percentiles>,
    pub(crate) far: Told,
    pub(crate) far_lag: Option<Percentiles>,
}

pub(crate) fn print<T: Serialize>(done: &T) -> Result<()> {
    Ok(writeln!(stdout(), "{}", serde_json::to_string(done)?)?)
}

/// Fills a store with sessions.
pub(super) async fn fill(ground: Ground, filling: Filling) -> Result<Done> {
    telemetry::warn_on_stderr()?;
    fill::fill(ground, &filling).await
}

/// As fast as they go: everything is due all the time.
pub(super) async fn at_full(ground: Ground, seconds: u64) -> Result<Refreshed> {
    telemetry::warn_on_stderr()?;
    let provider = Provider::at(&ground.provider)?;
    provider.answer(1, Duration::ZERO).await?;
    let worker = Worker::start(&ground, Noted::new(provider.logins(PLACES)?), provider).await?;
    let first_us = worker.first_us().await;
    tokio::time::sleep(WARM_UP).await;
    let near = worker.refreshes(seconds).await?;
    let rss_mib = Usage::of("self")?.rss_mib;
    worker.provider.answer(1, FAR).await?;
    tokio::time::sleep(WARM_UP).await;
    let far = worker.refreshes(seconds).await?;
    let provider = worker.end().await?;
    provider.answer(1, Duration::ZERO).await?;
    let near_limit = limit(&provider, seconds).await?;
    provider.answer(1, FAR).await?;
    let far_limit = limit(&provider, seconds).await?;
    Ok(Refreshed { first_us, near, far, near_limit, far_limit, rss_mib })
}

/// When their time has come, and not before: each so many seconds after it was refreshed.
pub(super) async fn paced(ground: Ground, seconds: u64, life: u64) -> Result<Paced> {
    telemetry::warn_on_stderr()?;
    let provider = Provider::at(&ground.provider)?;
    provider.answer(life, Duration::ZERO).await?;
    let noted = Noted::paced(provider.logins(PLACES)?, Duration::from_secs(life));
    let worker = Worker::start(&ground, noted, provider).await?;
    worker.first_us().await;
    // Each has had its turn once: from now on it is known when it was due.
    tokio::time::sleep(Duration::from_secs(life) + WARM_UP).await;
    worker.noted.lags()?;
    let near = worker.refreshes(seconds).await?;
    let near_lag = worker.noted.lags()?;
    worker.provider.answer(life, FAR).await?;
    tokio::time::sleep(WARM_UP).await;
    worker.noted.lags()?;
    let far = worker.refreshes(seconds).await?;
    let far_lag = worker.noted.lags()?;
    worker.end().await?;
    Ok(Paced { near, near_lag, far, far_lag })
}

/// A house with sessions, at work.
struct Worker {
    keeping: Keeping,
    noted: Arc<Noted>,
    provider: Provider,
    before: u64,
}

impl Worker {
    async fn start(ground: &Ground, noted: Arc<Noted>, provider: Provider) -> Result<Self> {
        let before = provider.seen().await?.requests;
        let upstream: Arc<dyn Upstream> = Arc::clone(&noted) as _;
        let (store, key) = (&ground.store, &ground.key);
        let keeping = House::of_sessions(store, key, settings()?, upstream, Staff::Workers).await?;
        Ok(Self { keeping, noted, provider, before })
    }

    async fn first_us(&self) -> i64 {
        loop {
            if let Some(us) = self.noted.first_us() {
                return us;
            }
            tokio::time::sleep(STEP).await;
        }
    }

    fn kept(&self) -> u64 {
        self.keeping.house.recording.count("sessions_settled{fate=\"kept\"}")
    }

    /// For so long; what was kept, that is: committed.
    async fn refreshes(&self, seconds: u64) -> Result<Told> {
        let (kept, job) = (self.kept(), Job::begin()?);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let Done { items, seconds, cpu_us, .. } = job.end(u32::try_from(self.kept() - kept)?)?;
        Ok(Told { items, seconds, cpu_us })
    }

    /// Ends in good order. Everything that was presented is kept then, and nothing was presented twice.
    async fn end(self) -> Result<Provider> {
        let life = &self.keeping.house.life;
        life.stop();
        life.ended(GRACE).await?;
        let seen = self.provider.seen().await?;
        ensure!(self.noted.failed() == 0, "{} refreshes failed", self.noted.failed());
        let (kept, presented) = (self.kept(), seen.requests - self.before);
        ensure!(kept == presented, "{presented} were presented and {kept} kept");
        ensure!(kept == self.noted.renewed(), "more was kept than came");
        ensure!(seen.most_presented <= 1, "one was presented {} times", seen.most_presented);
        ensure!(seen.reuses == 0, "{} came back", seen.reuses);
        Ok(self.provider)
    }
}

/// As many side by side as the worker's, each with its own login, presenting what the last one brought.
async fn limit(provider: &Provider, seconds: u64) -> Result<Told> {
    let logins = provider.log_in(OTHERS, IN_FLIGHT).await?;
    let (there, clock) = (provider.logins(PLACES)?, Clock::system());
    let (job, end) = (Job::begin()?, Instant::now() + Duration::from_secs(seconds));
    let chains = logins.into_iter().map(async |login| {
        let account = AccountId::new(IdpId::new(IDP)?, Subject::new(&login.subject)?);
        let (mut token, mut count) = (login.refresh_token, 0_u32);
        while Instant::now() < end {
            let now = clock.now();
            let (account, refresh_token) = (&account, token.as_str());
            let (original, dpop_key, is_waited_for) = (None, None, false);
            let fresh =
                there.refresh(Ask { account, original, refresh_token, dpop_key, is_waited_for, now }).await;
            let fresh = fresh.map_err(|trouble| anyhow::anyhow!("a refresh failed: {}", trouble.text))?;
            token = fresh.refresh_token.map_or(token, |token| token.to_string());
            count += 1;
        }
        anyhow::Ok(count)
    });
    let items = try_join_all(chains).await?.into_iter().sum();
    let Done { items, seconds, cpu_us, .. } = job.end(items)?;
    Ok(Told { items, seconds, cpu_us })
}

/// A grant is due when its access token ends, to the millisecond; and a second after its last attempt where it lives no
/// longer than that. So it is known when each was due, and everything can be due all the time.
fn settings() -> Result<Settings> {
    let own = IdpSettings { rotation: Rotation::Always, ..IdpSettings::new(IdpId::new(IDP)?) };
    Ok(Settings {
        grace_seconds: 0,
        lifetime_share_percent: 0,
        cool_off_seconds: 1,
        unknown_lifetime_seconds: 1,
        concurrency: PLACES,
        userinfo_seconds: 0,
        idps: vec![own],
        ..Settings::default()
    })
}
