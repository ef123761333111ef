//! Token exchanges a second: the Tokenserver's one job.
//!
//! * `new_user`: accounts that were never here; each answer follows a durable commit.
//! * `existing_user_warm`: 2,000 tokens in turn, their verified facts remembered.
//! * `existing_user_cold`: the same accounts, but each token is seen for the first time.

mod check;
mod large;
mod pool;

pub(crate) use pool::{Pool, Who, render};

use crate::home::Home;
use crate::limit::Bare;
use crate::load::{Load, Order, Run};
use crate::pin::Cores;
use crate::process::Server;
use crate::report::{Measured, Report};
use crate::serve::{MASTER_SECRET, NODE};
use crate::{Engine, Options};
use account::Millis;
use anyhow::{Result, ensure};
use check::{Checker, Known};
use standins::StandInIdp;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use store::Clock;
use tokio::runtime::Runtime;

/// How many accounts come back again and again.
const EXISTING: u64 = 2_000;
/// Tokens minted for each second of a figure: more than the server can ask for in one. A run that has used them all
/// ends early.
const COLD_PER_SECOND: u64 = 30_000;
const NEW_PER_SECOND: u64 = 15_000;
/// What warms the server's code and connections before each token counts.
const FIRST: usize = 1_000;
const WARM_UP: Duration = Duration::from_millis(500);
/// How long a server may take until it gives tokens, and how often it is asked.
const PATIENCE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(20);
/// No run takes this long; it ends with its requests.
const UNBOUNDED: Duration = Duration::from_hours(1);

/// Runs it on each engine that was asked for.
pub(crate) fn bench(options: &Options) -> Result<Report> {
    let cores = Cores::share_out();
    let outside = Outside::start(options)?;
    cores.move_to_load();
    let bare = Bare::start(&cores, options)?;
    let mut results = Vec::new();
    for engine in options.engines() {
        let bench = Bench { options, cores: &cores, outside: &outside, bare: &bare, engine };
        results.extend(bench.run()?);
        if options.large {
            results.extend(bench.large()?);
        }
    }
    Ok(Report { bench: "tokens", results })
}

/// The identity provider.
pub(crate) struct Provider {
    idp: StandInIdp,
    issued_at: i64,
    /// Serves the identity provider's keys.
    _runtime: Runtime,
}

impl Provider {
    pub(crate) fn start() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let clock = Clock::system();
        let issued_at = clock.now().seconds();
        let idp = runtime.block_on(StandInIdp::start(Arc::new(move || -> Millis { clock.now() })))?;
        Ok(Self { idp, issued_at, _runtime: runtime })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        self.idp.url()
    }

    /// Requests with `count` tokens of these accounts.
    pub(crate) fn mint(&self, who: Who, count: u64) -> Pool {
        Pool::mint(&self.idp, who, count, self.issued_at)
    }
}

/// The identity provider, and the requests of everybody who has signed in there.
struct Outside {
    provider: Provider,
    warm: Pool,
    cold: Pool,
    new: Pool,
}

impl Outside {
    fn start(options: &Options) -> Result<Self> {
        let provider = Provider::start()?;
        let existing = Who { first: 0, stride: 1, count: EXISTING };
        let cold = COLD_PER_SECOND * options.seconds + FIRST as u64;
        let new = NEW_PER_SECOND * options.seconds + FIRST as u64;
        let newcomers = Who { first: EXISTING, count: new, ..existing };
        let mint = |who, count| provider.mint(who, count);
        let (warm, cold, new) = (mint(existing, EXISTING), mint(existing, cold), mint(newcomers, new));
        Ok(Self { provider, warm, cold, new })
    }

    fn mint(&self, who: Who, count: u64) -> Pool {
        self.provider.mint(who, count)
    }
}

/// One engine's turn.
struct Bench<'a> {
    options: &'a Options,
    cores: &'a Cores,
    outside: &'a Outside,
    bare: &'a Bare,
    engine: Engine,
}

impl Bench<'_> {
    fn run(&self) -> Result<[Measured; 3]> {
        let home = Home::make(self.engine, self.cores)?;
        let checker = Checker::new(MASTER_SECRET, NODE);

        let server = self.serve(&home)?;
        let new = self.new_users(&server, &checker)?;
        let known = self.settle(&server, &checker)?;
        let warm = self.warm(&server, &checker, &known)?;
        server.end()?;

        // Another process: it has verified nothing yet.
        let server = self.serve(&home)?;
        let cold = self.cold(&server, &checker, &known)?;
        server.end()?;
        Ok([warm, cold, new].map(|figure| Measured { engine: Some(self.engine.name()), ..figure }))
    }

    fn serve(&self, home: &Home) -> Result<Server> {
        let idp = self.outside.provider.url();
        let log = home.folder().join("log");
        let log = log.to_string_lossy();
        let url = home.url();
        let mut arguments = vec!["tokens", "--store", &url, "--idp", &idp];
        if self.options.logs {
            arguments.extend(["--log", &log]);
        }
        let server = Server::start(self.cores, &arguments)?;
        self.knock(&server)?;
        Ok(server)
    }

    /// Asks until a token comes: the first node is added, and keys are fetched, in the background.
    fn knock(&self, server: &Server) -> Result<()> {
        let began = Instant::now();
        let once = self.load(server, &self.outside.warm.requests[..1], Order::Once, UNBOUNDED)?;
        while let Err(error) = once.run(|_, _| Ok(())) {
            ensure!(began.elapsed() < PATIENCE, error.context("the server gives no tokens"));
            thread::sleep(STEP);
        }
        Ok(())
    }

    fn new_users(&self, server: &Server, checker: &Checker) -> Result<Measured> {
        let pool = &self.outside.new;
        let mut answers: Vec<(usize, Box<[u8]>)> = Vec::with_capacity(pool.requests.len());
        let mut ask = |skipped: usize, count: usize, duration| -> Result<Run> {
            let requests = &pool.requests[skipped..skipped + count];
            let load = self.load(server, requests, Order::Once, duration)?;
            load.run(|index, body| keep(&mut answers, skipped + index, body))
        };
        ask(0, FIRST, UNBOUNDED)?;
        let rest = pool.requests.len() - FIRST;
        let figure = self.bare.beside("new_user", server, self.options.duration(), |asked, slice| {
            ask(FIRST + asked, rest - asked, slice)
        })?;
        // Looked at when the clock has stopped, but each one.
        checker.learn(answers.iter().map(|(index, body)| (pool.subject(*index), &**body)))?;
        Ok(Measured { unit: "users/s", ..figure })
    }

    /// Lets the accounts that come back come for the first time.
    fn settle(&self, server: &Server, checker: &Checker) -> Result<Known> {
        let pool = &self.outside.warm;
        let mut answers = Vec::with_capacity(pool.requests.len());
        self.load(server, &pool.requests, Order::Once, UNBOUNDED)?
            .run(|index, body| keep(&mut answers, index, body))?;
        answers.sort_by_key(|(index, _)| *index);
        checker.learn(answers.iter().map(|(index, body)| (pool.subject(*index), &**body)))
    }

    fn warm(&self, server: &Server, checker: &Checker, known: &Known) -> Result<Measured> {
        let pool = &self.outside.warm;
        let ask = |_, duration| -> Result<Run> {
            let check = |index: usize, body: &[u8]| {
                checker.compare(known, index, index, || pool.subject(index), body)
            };
            self.load(server, &pool.requests, Order::InTurn, duration)?.run(check)
        };
        ask(0, WARM_UP)?;
        self.bare.beside("existing_user_warm", server, self.options.duration(), ask)
    }

    fn cold(&self, server: &Server, checker: &Checker, known: &Known) -> Result<Measured> {
        let pool = &self.outside.cold;
        let ask = |skipped: usize, count: usize, duration| -> Result<Run> {
            let requests = &pool.requests[skipped..skipped + count];
            self.load(server, requests, Order::Once, duration)?.run(|index, body| {
                let index = skipped + index;
                checker.compare(known, index % pool.accounts(), index, || pool.subject(index), body)
            })
        };
        ask(0, FIRST, UNBOUNDED)?;
        let rest = pool.requests.len() - FIRST;
        let next = |asked, slice| ask(FIRST + asked, rest - asked, slice);
        self.bare.beside("existing_user_cold", server, self.options.duration(), next)
    }

    fn load<'a>(
        &self,
        server: &Server,
        requests: &'a [Box<[u8]>],
        order: Order,
        duration: Duration,
    ) -> Result<Load<'a>> {
        Ok(Load {
            address: server.address()?,
            requests,
            order,
            connections: self.options.connections,
            duration,
        })
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a check may find an answer wrong; this one looks later")]
fn keep(answers: &mut Vec<(usize, Box<[u8]>)>, index: usize, body: &[u8]) -> Result<()> {
    answers.push((index, Box::from(body)));
    Ok(())
}
