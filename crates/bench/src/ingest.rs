//! Account events a second, from their source to the ledger's commit.
//!
//! * `file`: lines of a file; the limit is decoding them and doing nothing else.
//! * `sqs`: messages of a queue, by parallel receivers; the limit is receiving and deleting them and doing nothing else.

use crate::home::Home;
use crate::pin::Cores;
use crate::process::{self, Server};
use crate::report::{Measured, Report, rounded};
use crate::serve::Done;
use crate::{Engine, Options};
use anyhow::Result;
use standins::StandInQueue;
use std::fs;
use std::time::Instant;
use testkit::data;
use tokio::runtime::Runtime;

/// Events for each second asked for. A run ends with the last of them, however long it takes.
const LINES_PER_SECOND: u64 = 40_000;
const MESSAGES_PER_SECOND: u64 = 10_000;
/// Lines with `--large`: two events of each of a million accounts.
const LARGE: u64 = 2_000_000;
/// Accounts come again after so many events: each has two.
const ROUNDS: u64 = 2;
/// When the first of them changed, milliseconds since the epoch.
const BEGIN: i64 = 1_700_000_000_000;
/// How many receivers read the queue side by side.
const RECEIVERS: &str = "16";

/// Runs it on each engine that was asked for.
pub(crate) fn bench(options: &Options) -> Result<Report> {
    let cores = Cores::share_out();
    cores.move_to_load();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut results = Vec::new();
    for engine in options.engines() {
        let lines = if options.large { LARGE } else { LINES_PER_SECOND * options.seconds };
        results.push(file(&cores, engine, lines)?);
        results.push(sqs(&cores, &runtime, engine, MESSAGES_PER_SECOND * options.seconds)?);
    }
    Ok(Report { bench: "ingest", results })
}

/// Password changes of accounts in turn, each later than the one before.
fn events(count: u64) -> impl Iterator<Item = String> {
    let accounts = count.div_ceil(ROUNDS);
    (0..count).zip(BEGIN..).map(move |(number, at)| data::password_change(&data::uid(number % accounts), at))
}

fn file(cores: &Cores, engine: Engine, count: u64) -> Result<Measured> {
    let home = Home::make(engine, cores)?;
    let path = home.folder().join("events.ndjson");
    let text: String = events(count).map(|event| event + "\n").collect();
    fs::write(&path, text)?;
    let done =
        process::job(cores, &["ingest-file", "--store", &home.url(), "--file", &path.to_string_lossy()])?;
    Ok(figure("file", engine, done))
}

fn sqs(cores: &Cores, runtime: &Runtime, engine: Engine, count: u64) -> Result<Measured> {
    let home = Home::make(engine, cores)?;
    let queue = runtime.block_on(StandInQueue::start())?;
    let reading = |job: &[&str]| {
        queue.put(events(count));
        let url = queue.url();
        let server = Server::start(cores, &[job, &["--url", &url, "--receivers", RECEIVERS]].concat())?;
        let (before, began) = (server.usage()?, Instant::now());
        runtime.block_on(queue.drained());
        let (seconds, after) = (began.elapsed().as_secs_f64(), server.usage()?);
        server.end()?;
        let cpu_us = after.cpu_us - before.cpu_us;
        anyhow::Ok(Done {
            items: u32::try_from(count)?,
            seconds,
            cpu_us,
            rss_mib: after.rss_mib,
            limit: None,
        })
    };
    let limit = reading(&["drain-queue"])?.rate();
    let done = reading(&["ingest-queue", "--store", &home.url()])?;
    Ok(figure("sqs", engine, Done { limit: Some(limit), ..done }))
}

fn figure(name: &'static str, engine: Engine, done: Done) -> Measured {
    let figure = Measured {
        name,
        engine: Some(engine.name()),
        rate: rounded(done.rate()),
        unit: "events/s",
        cpu_us: Some(rounded(done.cpu_us / f64::from(done.items))),
        rss_mib: Some(rounded(done.rss_mib)),
        items: Some(done.items.into()),
        ..Measured::default()
    };
    done.limit.map_or(figure.clone(), |limit| figure.against(limit))
}
