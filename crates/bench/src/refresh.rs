//! Upstream sessions kept fresh: from the due-time index through the worker, one POST to an identity provider in a process
//! of its own, and back into the store.
//!
//! * `zero_latency`, `latency_50ms`: 10,000 sessions that are due all the time, as fast as they go; the limit is the same
//!   presented by the same client, with no store. What counts is committed.
//! * `…_half`: the same sessions due at half that rate, and how late they are presented.
//! * `sessions_10k`, `sessions_100k`, with `--large` `sessions_1m`: so many stored, 10,000 of them due: the memory held, and
//!   the time from the start of the process to the first new tokens.

use crate::home::Home;
use crate::pin::Cores;
use crate::process::{self, Server};
use crate::report::{Measured, Report, rounded};
use crate::serve::{Done, Paced, Refreshed, Told};
use crate::wall::wall_us;
use crate::{Engine, Options};
use anyhow::Result;
use keys::RootKey;
use serde::de::DeserializeOwned;

/// Sessions of people who have logged in, whose time comes.
const LIVE: u32 = 10_000;
/// Those that are paced are all created before the first of them is due.
const HEAD_START: u64 = 15;

const REFRESHES: &str = "refreshes/s";

/// So many sessions are stored, and the figures' name.
const SIZES: [(u32, &str); 3] =
    [(LIVE, "sessions_10k"), (100_000, "sessions_100k"), (1_000_000, "sessions_1m")];

/// Runs it on each engine that was asked for.
pub(crate) fn bench(options: &Options) -> Result<Report> {
    let cores = Cores::share_out();
    cores.move_to_load();
    let mut results = Vec::new();
    for engine in options.engines() {
        let bench = Bench { engine, cores: &cores, options };
        let sizes = SIZES.iter().take(if options.large { 3 } else { 2 });
        for (number, (sessions, name)) in sizes.enumerate() {
            let (first_ms, refreshed) = bench.at_full(*sessions)?;
            if number == 0 {
                results.extend(bench.full(&refreshed));
                results.extend(bench.paced(&refreshed)?);
            }
            results.push(bench.stored(name, *sessions, first_ms, &refreshed));
        }
    }
    Ok(Report { bench: "refresh", results })
}

struct Bench<'a> {
    engine: Engine,
    cores: &'a Cores,
    options: &'a Options,
}

impl Bench<'_> {
    /// On a fresh store with so many; in how many milliseconds the first was refreshed, and the rest.
    fn at_full(&self, sessions: u32) -> Result<(f64, Refreshed)> {
        let site = Site::make(self)?;
        let [live, sessions] = [LIVE, sessions].map(|count| count.to_string());
        site.job::<Done>("fill-sessions", &["--live", &live, "--sessions", &sessions])?;
        let began = wall_us();
        let refreshed: Refreshed = site.job("refresh", &["--seconds", &self.options.seconds.to_string()])?;
        site.provider.end()?;
        let first_us = u32::try_from(refreshed.first_us - began).unwrap_or(u32::MAX);
        Ok((f64::from(first_us) / 1e3, refreshed))
    }

    fn full(&self, it: &Refreshed) -> [Measured; 2] {
        let near = self.figure("zero_latency", it.near).against(it.near_limit.rate());
        let far = self.figure("latency_50ms", it.far).against(it.far_limit.rate());
        [Measured { rss_mib: Some(rounded(it.rss_mib)), ..near }, far]
    }

    /// Each is due again after so many seconds that they make half of the lower rate.
    fn paced(&self, full: &Refreshed) -> Result<[Measured; 2]> {
        let half = full.near.rate().min(full.far.rate()) / 2.0;
        let lasting = ((f64::from(LIVE) / half).ceil().max(2.0)).to_string();
        let site = Site::make(self)?;
        let [live, due_in] = [LIVE.to_string(), HEAD_START.to_string()];
        let filling = ["--live", &live, "--sessions", &live, "--due-in", &due_in, "--due-over", &lasting];
        site.job::<Done>("fill-sessions", &filling)?;
        let seconds = self.options.seconds.to_string();
        let it: Paced = site.job("refresh-paced", &["--seconds", &seconds, "--life", &lasting])?;
        site.provider.end()?;
        let late = |name, told, lag: Option<crate::latency::Percentiles>| Measured {
            lag_p99_ms: lag.map(|it| rounded(it.p99 / 1e3)),
            latency: lag,
            ..self.figure(name, told)
        };
        let near = late("zero_latency_half", it.near, it.near_lag);
        Ok([near, late("latency_50ms_half", it.far, it.far_lag)])
    }

    fn stored(&self, name: &'static str, sessions: u32, first_ms: f64, it: &Refreshed) -> Measured {
        Measured {
            rss_mib: Some(rounded(it.rss_mib)),
            first_ms: Some(rounded(first_ms)),
            items: Some(sessions.into()),
            ..self.figure(name, it.near)
        }
    }

    fn figure(&self, name: &'static str, told: Told) -> Measured {
        Measured {
            name,
            engine: Some(self.engine.name()),
            rate: rounded(told.rate()),
            unit: REFRESHES,
            cpu_us: Some(rounded(told.cpu_each())),
            items: Some(told.items.into()),
            ..Measured::default()
        }
    }
}

/// A store, and an identity provider on the load's core.
struct Site<'a> {
    cores: &'a Cores,
    home: Home,
    provider: Server,
    key: String,
}

impl<'a> Site<'a> {
    fn make(bench: &Bench<'a>) -> Result<Self> {
        let provider = Server::beside_the_load(bench.cores, &["provide"])?;
        let home = Home::make(bench.engine, bench.cores)?;
        Ok(Self { cores: bench.cores, home, provider, key: RootKey::generate().reveal() })
    }

    fn job<D: DeserializeOwned>(&self, job: &str, arguments: &[&str]) -> Result<D> {
        let store = self.home.url();
        let ground = ["--store", &store, "--key", &self.key, "--provider", self.provider.place()];
        process::job(self.cores, &[&[job], &ground[..], arguments].concat())
    }
}
