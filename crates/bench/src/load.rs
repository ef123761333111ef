//! The load generator: as many connections as asked for, one request at a time on each, every answer looked at.
//!
//! It shares its core with PostgreSQL, so it is lean: requests are rendered beforehand, answers are read by a parser
//! that knows only what our servers send, and all of it runs on one thread.

mod answer;

pub(crate) use answer::{Answer, read};

use crate::latency::Latencies;
use anyhow::{Context, Result, bail};
use futures::stream::{FuturesUnordered, TryStreamExt};
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// What to ask, and how.
pub(crate) struct Load<'a> {
    /// The server.
    pub(crate) address: SocketAddr,
    /// Whole requests, ready to send.
    pub(crate) requests: &'a [Box<[u8]>],
    /// What comes after the last of them.
    pub(crate) order: Order,
    /// How many requests are on the way at once.
    pub(crate) connections: usize,
    /// After this no new request is sent.
    pub(crate) duration: Duration,
}

/// What comes after the last request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The first again.
    InTurn,
    /// The same, but it begins with this one.
    InTurnFrom(usize),
    /// The end of the run.
    Once,
}

/// What one run gave, or several.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// From the first request to the last answer; of several, their sum.
    pub(crate) elapsed: Duration,
    /// Of each answer.
    pub(crate) latencies: Latencies,
}

impl Run {
    /// This one and another, as one.
    pub(crate) fn add(&mut self, more: Self) {
        self.elapsed += more.elapsed;
        self.latencies.extend(more.latencies);
    }

    /// Answers a second.
    pub(crate) fn rate(&self) -> f64 {
        f64::from(u32::try_from(self.latencies.len()).unwrap_or(u32::MAX)) / self.elapsed.as_secs_f64()
    }
}

impl Load<'_> {
    /// Sends them. `check` is given each answer's body with the index of its request; the first that it finds wrong,
    /// like any answer but 200, ends the run with an error.
    pub(crate) fn run(&self, mut check: impl FnMut(usize, &[u8]) -> Result<()>) -> Result<Run> {
        self.run_whole(|index, answer| check(index, answer.body))
    }

    /// The same, with the answers' heads.
    pub(crate) fn run_whole(&self, check: impl FnMut(usize, Answer<'_>) -> Result<()>) -> Result<Run> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        runtime.block_on(self.send(check))
    }

    async fn send(&self, check: impl FnMut(usize, Answer<'_>) -> Result<()>) -> Result<Run> {
        let check = RefCell::new(check);
        let latencies = RefCell::new(Latencies::default());
        let began = Instant::now();
        let first = if let Order::InTurnFrom(first) = self.order { first } else { 0 };
        let turns = Turns { next: Cell::new(first), end: began + self.duration };
        let connections: FuturesUnordered<_> = (0..self.connections)
            .map(|_| {
                self.converse(&turns, |index, answer, took| {
                    if answer.status != 200 {
                        bail!("status {}: {}", answer.status, String::from_utf8_lossy(answer.body));
                    }
                    latencies.borrow_mut().add(took);
                    let mut check = check.borrow_mut();
                    check(index, answer)
                })
            })
            .collect();
        connections.try_collect::<()>().await?;
        Ok(Run { elapsed: began.elapsed(), latencies: latencies.into_inner() })
    }

    /// One connection, until the turns are over.
    async fn converse(
        &self,
        turns: &Turns,
        heard: impl Fn(usize, Answer<'_>, Duration) -> Result<()>,
    ) -> Result<()> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let mut buffer = vec![0; 16 * 1024];
        while let Some((index, sent)) = turns.take(self.requests.len(), self.order) {
            stream.write_all(&self.requests[index]).await?;
            let answer = read(&mut stream, &mut buffer).await?;
            heard(index, answer, sent.elapsed()).with_context(|| self.describe(index))?;
        }
        Ok(())
    }

    fn describe(&self, index: usize) -> String {
        let text = String::from_utf8_lossy(&self.requests[index]);
        format!("a wrong answer to request {index}, {}", text.lines().next().unwrap_or_default())
    }
}

/// Whose turn it is.
struct Turns {
    next: Cell<usize>,
    end: Instant,
}

impl Turns {
    /// The next request, and the moment it is taken; `None` when the run is over.
    fn take(&self, count: usize, order: Order) -> Option<(usize, Instant)> {
        let now = Instant::now();
        let next = self.next.get();
        let is_over = now >= self.end || (order == Order::Once && next >= count);
        self.next.set(next + 1);
        (!is_over).then(|| (next % count, now))
    }
}
