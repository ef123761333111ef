//! The limit: what the bare handler does on this machine, at this moment, under the same load.

use crate::Options;
use crate::load::{Load, Order, Run};
use crate::pin::Cores;
use crate::process::Server;
use crate::report::{Measured, Report, rounded};
use crate::tokens::render;
use crate::usage::Usage;
use anyhow::{Result, ensure};
use std::time::Duration;

/// About the length of an access token: the bare handler is sent requests of the same size.
const TOKEN: usize = 800;
const WARM_UP: Duration = Duration::from_millis(500);

/// The bare handler, for itself.
pub(crate) fn bench(options: &Options) -> Result<Report> {
    let cores = Cores::share_out();
    cores.move_to_load();
    Ok(Report { bench: "bare", results: vec![measure(&cores, options)?] })
}

/// Measures it.
pub(crate) fn measure(cores: &Cores, options: &Options) -> Result<Measured> {
    let server = Server::start(cores, &["bare"])?;
    let ask = |duration| {
        let requests = [render("/", &"x".repeat(TOKEN), "1700000000000-AAAAAAAAAAAAAAAAAAAAAA")];
        let load = Load {
            address: server.address()?,
            requests: &requests,
            order: Order::InTurn,
            connections: options.connections,
            duration,
        };
        load.run(|_, body| {
            ensure!(body == crate::serve::BODY.as_bytes(), "another body");
            Ok(())
        })
    };
    ask(WARM_UP)?;
    let before = server.usage()?;
    let run = ask(options.duration())?;
    let measured = requests("bare_handler", run, &server, before)?;
    server.end()?;
    Ok(measured)
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
