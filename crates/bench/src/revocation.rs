//! From an account event to the first refusal, under load.
//!
//! * `one_process`: a node takes the event in and is asked about the account's token.
//! * `two_nodes`: one node takes it in, another is asked; they share a PostgreSQL.
//!
//! The delay begins when whoever brought the event knows that it is committed, and ends when the first refusal has arrived.

mod paced;
mod watch;

use crate::home::Home;
use crate::load::{Load, Order};
use crate::pin::Cores;
use crate::process::Server;
use crate::report::{Measured, Report, rounded};
use crate::signed::Signed;
use crate::verify::{caller, render_check, subject_header};
use crate::{Engine, Options};
use anyhow::{Result, ensure};
use paced::Paced;
use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;
use watch::Watch;

/// Accounts that nothing happens to.
const QUIET: u32 = 1_000;
/// Accounts that something happens to, one after the other; a run that has used them all ends early.
const CHANGED_PER_SECOND: u32 = 500;
/// How long the node is asked as fast as it goes, to know what half of it is.
const FULL: Duration = Duration::from_secs(1);
const UNBOUNDED: Duration = Duration::from_hours(1);

/// Runs it on each engine that was asked for.
pub(crate) fn bench(options: &Options) -> Result<Report> {
    let cores = Cores::share_out();
    let changed = CHANGED_PER_SECOND * u32::try_from(options.seconds)?;
    let signed = Signed::sign(QUIET + changed)?;
    cores.move_to_load();
    let bench = Bench { options, cores: &cores, signed: &signed, changed };
    let mut results = Vec::new();
    for engine in options.engines() {
        results.push(bench.one_process(engine)?);
        if engine == Engine::Postgres {
            results.push(bench.two_nodes()?);
        }
    }
    Ok(Report { bench: "revocation", results })
}

struct Bench<'a> {
    options: &'a Options,
    cores: &'a Cores,
    signed: &'a Signed,
    changed: u32,
}

impl Bench<'_> {
    fn one_process(&self, engine: Engine) -> Result<Measured> {
        let home = Home::make(engine, self.cores)?;
        let node = Server::start(self.cores, &self.node(&home.url()))?;
        let figure = self.figure("one_process", engine, node.address()?, &node)?;
        node.end()?;
        Ok(figure)
    }

    /// Who takes the events in has the load's core, as everything that is not asked about tokens.
    fn two_nodes(&self) -> Result<Measured> {
        let home = Home::make(Engine::Postgres, self.cores)?;
        let taker = Server::beside_the_load(self.cores, &self.node(&home.url()))?;
        let node = Server::start(self.cores, &self.node(&home.url()))?;
        let figure = self.figure("two_nodes", Engine::Postgres, taker.address()?, &node)?;
        node.end()?;
        taker.end()?;
        Ok(figure)
    }

    fn node<'b>(&'b self, store: &'b str) -> [&'b str; 5] {
        ["check", "--store", store, "--key", &self.signed.key]
    }

    fn figure(
        &self,
        name: &'static str,
        engine: Engine,
        takes_events: SocketAddr,
        node: &Server,
    ) -> Result<Measured> {
        let caller = caller(node, self.options)?;
        let render = |index| render_check(&caller, self.signed.token(index));
        let quiet: Vec<_> = (0..QUIET as usize).map(render).collect();
        let changed: Vec<_> = (QUIET as usize..(QUIET + self.changed) as usize).map(render).collect();
        let full = self.full(node, &quiet)?;

        let end = std::time::Instant::now() + self.options.duration();
        let is_over = Cell::new(false);
        let paced = Paced { address: node.address()?, requests: &quiet, rate: full / 2.0, is_over: &is_over };
        let watch =
            Watch { takes_events, node: node.address()?, requests: &changed, first: QUIET as usize, end };
        let before = node.usage()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (load, delays) = runtime.block_on(async {
            let watching = async {
                let delays = watch.run().await;
                is_over.set(true);
                delays
            };
            let (load, delays) = tokio::join!(paced.run(), watching);
            anyhow::Ok((load?, delays?))
        })?;
        let usage = node.usage()?;
        let items = delays.len() as u64;
        let latency = delays.percentiles();
        Ok(Measured {
            name,
            engine: Some(engine.name()),
            rate: rounded(load.rate()),
            unit: "checks/s",
            cpu_us: Some(rounded((usage.cpu_us - before.cpu_us) / load.rate() / load.elapsed.as_secs_f64())),
            rss_mib: Some(rounded(usage.rss_mib)),
            lag_p99_ms: latency.map(|it| rounded(it.p99 / 1e3)),
            latency,
            items: Some(items),
            ..Measured::default()
        }
        .against(full))
    }

    /// How many checks a second the node makes at most. Each quiet token is remembered by then.
    fn full(&self, node: &Server, quiet: &[Box<[u8]>]) -> Result<f64> {
        let subjects: Vec<_> = (0..quiet.len()).map(subject_header).collect();
        let ask = |order, duration| {
            let (address, connections) = (node.address()?, self.options.connections);
            let load = Load { address, requests: quiet, order, connections, duration };
            load.run_whole(|index, answer| {
                ensure!(answer.has(subjects[index].as_bytes()), "another account's");
                Ok(())
            })
        };
        ask(Order::Once, UNBOUNDED)?;
        Ok(ask(Order::InTurn, FULL)?.rate())
    }
}
