//! A flood of identities that were never here, from a few addresses: what becomes of everybody else.
//!
//! * `existing_alone`, `existing_under_attack`: users who have rows, at a steady rate; slices of the one between slices of the
//!   other, so that what else goes on meets both alike.
//! * `existing_slowdown`: the latter's p99 by the former's. It is to be at most 2.
//! * `new_honest`: new users meanwhile, each from an address of their own. Every one of them must get a node.
//! * `attack`: 100,000 new identities from four addresses. All but what the addresses' budgets hold must be refused with 429
//!   and a time to wait, and at the end the table must have a row for each who got a node, and no other.

mod paced;
mod rows;

use crate::home::Home;
use crate::load::{Answer, Load, Order, Run};
use crate::pin::Cores;
use crate::process::Server;
use crate::report::{Measured, Report, rounded};
use crate::tokens::{Pool, Provider, Who};
use crate::{Engine, Options};
use anyhow::{Result, bail, ensure};
use paced::{Crowd, Paced};
use std::cell::{Cell, RefCell};
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

/// Users who have rows.
const EXISTING: u64 = 2_000;
/// The addresses that the attack comes from, and what each of them has for new users in an hour.
const ATTACKERS: [Ipv4Addr; 4] = [
    Ipv4Addr::new(127, 0, 1, 1),
    Ipv4Addr::new(127, 0, 1, 2),
    Ipv4Addr::new(127, 0, 1, 3),
    Ipv4Addr::new(127, 0, 1, 4),
];
pub(crate) const PER_ADDRESS: u32 = 20;
/// Requests a second. The attack is not one on the processor: that is another guard's matter.
const EXISTING_RATE: f64 = 1_000.0;
const ATTACK_RATE: f64 = 3_000.0;
const HONEST_RATE: f64 = 20.0;
/// A slice of each: alone, and under attack.
const ALONE: Duration = Duration::from_millis(500);
const ATTACKED: Duration = Duration::from_secs(2);
/// No run takes this long; it ends with its requests.
const UNBOUNDED: Duration = Duration::from_hours(1);
/// How long a server may take until it gives tokens, and how often it is asked.
const PATIENCE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(20);

/// Runs it on each engine that was asked for.
pub(crate) fn bench(options: &Options) -> Result<Report> {
    let cores = Cores::share_out();
    let outside = Provider::start()?;
    let identities = options.identities;
    let honest = identities / 100 + 10;
    let who = |first, count| Who { first, stride: 1, count };
    let mint = |who: Who| outside.mint(who, who.count);
    let crowds = Crowds {
        existing: mint(who(0, EXISTING)),
        attack: mint(who(EXISTING, identities)),
        honest: mint(who(EXISTING + identities, honest)),
    };
    cores.move_to_load();
    let mut results = Vec::new();
    for engine in options.engines() {
        let bench = Bench { options, cores: &cores, idp: outside.url(), crowds: &crowds, engine };
        results.extend(bench.run()?);
    }
    Ok(Report { bench: "exhaustion", results })
}

/// Everybody's requests.
struct Crowds {
    existing: Pool,
    attack: Pool,
    honest: Pool,
}

struct Bench<'a> {
    options: &'a Options,
    cores: &'a Cores,
    idp: String,
    crowds: &'a Crowds,
    engine: Engine,
}

/// What came of those who are new.
#[derive(Default)]
struct Came {
    admitted: Cell<u64>,
    refused: Cell<u64>,
    honest: Cell<u64>,
}

fn count(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}

impl Bench<'_> {
    fn run(&self) -> Result<Vec<Measured>> {
        let home = Home::make(self.engine, self.cores)?;
        // Those who exist came before there was a guard.
        let server = self.serve(&home, &[])?;
        self.let_come(&server)?;
        server.end()?;
        let server = self.serve(&home, &["--guarded"])?;
        self.let_come(&server)?;
        let came = Came::default();
        let (alone, attacked, elapsed) = self.slices(&server, &came)?;
        server.end()?;
        self.check(&came)?;
        let rows = rows::count(&home.url())?;
        let expected = EXISTING + came.admitted.get() + came.honest.get();
        ensure!(rows == expected, "{rows} rows for {expected} users who got a node");
        Ok(self.figures(alone, attacked, elapsed, &came))
    }

    fn serve(&self, home: &Home, more: &[&str]) -> Result<Server> {
        let url = home.url();
        let arguments = [&["tokens", "--store", &url, "--idp", &self.idp], more].concat();
        let server = Server::start(self.cores, &arguments)?;
        let began = Instant::now();
        let once = self.existing(&server, 1)?;
        while let Err(error) = once.run(|_, _| Ok(())) {
            ensure!(began.elapsed() < PATIENCE, error.context("the server gives no tokens"));
            thread::sleep(STEP);
        }
        Ok(server)
    }

    /// Each who exists comes once.
    fn let_come(&self, server: &Server) -> Result<()> {
        let all = self.crowds.existing.requests.len();
        self.existing(server, all)?.run(|_, _| Ok(())).map(drop)
    }

    fn existing<'a>(&'a self, server: &Server, count: usize) -> Result<Load<'a>> {
        Ok(Load {
            address: server.address()?,
            requests: &self.crowds.existing.requests[..count],
            order: Order::Once,
            connections: self.options.connections,
            duration: UNBOUNDED,
        })
    }

    /// Alone, under attack, alone, … until every identity was tried; and how long the attack took in all.
    fn slices(&self, server: &Server, came: &Came) -> Result<(Run, Run, Duration)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let place = Place { crowds: self.crowds, came, address: server.address()? };
        let (mut alone, mut attacked, mut elapsed) = (Run::default(), Run::default(), Duration::ZERO);
        let turns = [Cell::new(0), Cell::new(0), Cell::new(0)];
        while turns[1].get() < self.crowds.attack.requests.len() {
            alone.add(runtime.block_on(place.alone(&turns[0]))?);
            let began = Instant::now();
            attacked.add(runtime.block_on(place.attacked(&turns))?);
            elapsed += began.elapsed();
        }
        Ok((alone, attacked, elapsed))
    }

    /// Whether the budgets held what they are for.
    fn check(&self, came: &Came) -> Result<()> {
        let tried = self.crowds.attack.requests.len() as u64;
        let (admitted, refused) = (came.admitted.get(), came.refused.get());
        ensure!(admitted + refused == tried, "{admitted} and {refused} of {tried} were answered");
        // An hour's worth for each address, and what came back into the budget while it lasted.
        let most = ATTACKERS.len() as u64 * u64::from(PER_ADDRESS) * 2;
        ensure!(admitted > 0 && admitted <= most, "{admitted} of the attack got a node; at most {most} may");
        ensure!(came.honest.get() > 0, "no honest user came");
        Ok(())
    }

    fn figures(&self, alone: Run, attacked: Run, elapsed: Duration, came: &Came) -> Vec<Measured> {
        let (of_alone, of_attacked) =
            (figure("existing_alone", alone), figure("existing_under_attack", attacked));
        let p99 = |figure: &Measured| figure.latency.map_or(f64::INFINITY, |latency| latency.p99);
        let slowdown = p99(&of_attacked) / p99(&of_alone);
        let some = |name, count: u64| Measured {
            name,
            rate: rounded(f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / elapsed.as_secs_f64()),
            unit: "users/s",
            items: Some(count),
            ..Measured::default()
        };
        let slowdown = Measured {
            name: "existing_slowdown",
            rate: rounded(slowdown),
            unit: "times",
            ..Measured::default()
        };
        let tried = came.admitted.get() + came.refused.get();
        let results = vec![
            of_alone,
            of_attacked,
            slowdown.against(2.0),
            some("new_honest", came.honest.get()),
            some("attack", tried),
        ];
        let engine = Some(self.engine.name());
        results.into_iter().map(|figure| Measured { engine, ..figure }).collect()
    }
}

fn figure(name: &'static str, run: Run) -> Measured {
    Measured {
        name,
        rate: rounded(run.rate()),
        unit: "requests/s",
        items: Some(run.latencies.len() as u64),
        latency: run.latencies.percentiles(),
        ..Measured::default()
    }
}

/// The server, and who comes to it.
struct Place<'a> {
    crowds: &'a Crowds,
    came: &'a Came,
    address: std::net::SocketAddr,
}

impl Place<'_> {
    async fn alone(&self, turn: &Cell<usize>) -> Result<Run> {
        self.existing(turn, Instant::now() + ALONE).await
    }

    async fn existing(&self, turn: &Cell<usize>, end: Instant) -> Result<Run> {
        let run = RefCell::new(Run::default());
        let began = Instant::now();
        let heard = |answer: Answer<'_>, took: Duration| -> Result<()> {
            ensure!(answer.status == 200, "an existing user is answered {}", answer.status);
            run.borrow_mut().latencies.add(took);
            Ok(())
        };
        let crowd =
            Crowd { requests: &self.crowds.existing.requests, turn, rate: EXISTING_RATE, again: true };
        Paced { address: self.address, from: &[Ipv4Addr::LOCALHOST], connections: 32, end }
            .run(&crowd, heard)
            .await?;
        let mut run = run.into_inner();
        run.elapsed = began.elapsed();
        Ok(run)
    }

    async fn attacked(&self, turns: &[Cell<usize>; 3]) -> Result<Run> {
        let end = Instant::now() + ATTACKED;
        let (existing, (), ()) = tokio::try_join!(
            self.existing(&turns[0], end),
            self.attack(&turns[1], end),
            self.honest(&turns[2], end)
        )?;
        Ok(existing)
    }

    async fn attack(&self, turn: &Cell<usize>, end: Instant) -> Result<()> {
        let heard = |answer: Answer<'_>, _| -> Result<()> {
            match answer.status {
                200 => count(&self.came.admitted),
                429 => {
                    ensure!(
                        answer.head.windows(15).any(|it| it == b"\r\nretry-after: "),
                        "no time to wait is told"
                    );
                    count(&self.came.refused);
                }
                other => bail!("the attack is answered {other}"),
            }
            Ok(())
        };
        let crowd = Crowd { requests: &self.crowds.attack.requests, turn, rate: ATTACK_RATE, again: false };
        Paced { address: self.address, from: &ATTACKERS, connections: 16, end }.run(&crowd, heard).await
    }

    /// Each comes once, from an address of their own.
    async fn honest(&self, turn: &Cell<usize>, end: Instant) -> Result<()> {
        let heard = |answer: Answer<'_>, _| -> Result<()> {
            ensure!(answer.status == 200, "an honest new user is answered {}", answer.status);
            count(&self.came.honest);
            Ok(())
        };
        let crowd = Crowd { requests: &self.crowds.honest.requests, turn, rate: HONEST_RATE, again: false };
        paced::each_from_home(self.address, &crowd, end, heard).await
    }
}
