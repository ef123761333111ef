//! The limit: what the bare handler does on this machine, at this moment, under the same load.

use crate::Options;
use crate::load::{Load, Order, Run};
use crate::pin::Cores;
use crate::process::Server;
use crate::report::{Measured, Report, rounded};
use crate::tokens::render;
use crate::usage::Usage;
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// About the length of an access token: the bare handler is sent requests of the same size.
const TOKEN: usize = 800;
const WARM_UP: Duration = Duration::from_millis(500);
const SLICE: Duration = Duration::from_millis(250);

/// The bare handler, for itself.
pub(crate) fn bench(options: &Options) -> Result<Report> {
    let cores = Cores::share_out();
    cores.move_to_load();
    let bare = Bare::start(&cores, options)?;
    let before = bare.server.usage()?;
    let run = bare.run(options.duration())?;
    Ok(Report { bench: "bare", results: vec![requests("bare_handler", run, &bare.server, before)?] })
}

/// The bare handler at work.
pub(crate) struct Bare {
    server: Server,
    requests: [Box<[u8]>; 1],
    connections: usize,
}

impl Bare {
    pub(crate) fn start(cores: &Cores, options: &Options) -> Result<Self> {
        Self::sending(&"x".repeat(TOKEN), cores, options)
    }

    /// One that is sent that token.
    pub(crate) fn sending(token: &str, cores: &Cores, options: &Options) -> Result<Self> {
        let requests = [render("/", token, "1700000000000-AAAAAAAAAAAAAAAAAAAAAA")];
        let bare =
            Self { server: Server::start(cores, &["bare"])?, requests, connections: options.connections };
        bare.run(WARM_UP)?;
        Ok(bare)
    }

    /// Asks it for so long.
    pub(crate) fn run(&self, duration: Duration) -> Result<Run> {
        let load = Load {
            address: self.server.address()?,
            requests: &self.requests,
            order: Order::InTurn,
            connections: self.connections,
            duration,
        };
        load.run(|_, body| {
            ensure!(body == crate::serve::BODY.as_bytes(), "another body");
            Ok(())
        })
    }

    /// Runs `ask` in turn with itself, in short slices, for `duration` each: other work on the machine comes and goes,
    /// and so meets both alike. `ask` is told how many were asked so far. The figure has its limit then.
    pub(crate) fn beside(
        &self,
        name: &'static str,
        server: &Server,
        duration: Duration,
        mut ask: impl FnMut(usize, Duration) -> Result<Run>,
    ) -> Result<Measured> {
        let (mut limit, mut run) = (Run::default(), Run::default());
        let before = server.usage()?;
        let end = Instant::now() + duration * 2;
        while Instant::now() < end {
            limit.add(self.run(SLICE)?);
            run.add(ask(run.latencies.len(), SLICE)?);
        }
        Ok(requests(name, run, server, before)?.against(limit.rate()))
    }
}

/// A run of requests as a figure; `before` is what the server had used when it began.
pub(crate) fn requests(name: &'static str, run: Run, server: &Server, before: Usage) -> Result<Measured> {
    let items = run.latencies.len() as u64;
    let after = server.usage()?;
    let cpu = after.cpu_us - before.cpu_us;
    Ok(Measured {
        name,
        rate: rounded(run.rate()),
        unit: "requests/s",
        cpu_us: Some(rounded(cpu / run.rate() / run.elapsed.as_secs_f64())),
        rss_mib: Some(rounded(after.rss_mib)),
        items: Some(items),
        latency: run.latencies.percentiles(),
        ..Measured::default()
    })
}
