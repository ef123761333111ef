//! Checks at a steady rate: what a node has to do besides.

use crate::latency::Latencies;
use crate::load::{Run, read};
use crate::verify::subject_header;
use anyhow::{Result, ensure};
use futures::future::try_join_all;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval};

/// Each asks and waits for the answer; so a timer's millisecond is short beside the pause of each.
const CONNECTIONS: usize = 64;

/// A steady load.
pub(super) struct Paced<'a> {
    pub(super) address: SocketAddr,
    pub(super) requests: &'a [Box<[u8]>],
    /// Requests a second.
    pub(super) rate: f64,
    /// When it has gone on for long enough.
    pub(super) is_over: &'a Cell<bool>,
}

impl Paced<'_> {
    /// Asks until it is over; every answer must be a yes with the right subject.
    pub(super) async fn run(&self) -> Result<Run> {
        let (next, latencies) = (Cell::new(0), RefCell::new(Latencies::default()));
        let began = Instant::now();
        try_join_all((0..CONNECTIONS).map(|_| self.converse(&next, &latencies))).await?;
        Ok(Run { elapsed: began.elapsed(), latencies: latencies.into_inner() })
    }

    async fn converse(&self, next: &Cell<usize>, latencies: &RefCell<Latencies>) -> Result<()> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let mut buffer = vec![0; 16 * 1024];
        #[expect(clippy::cast_precision_loss, reason = "64 connections")]
        let mut tick = interval(Duration::from_secs_f64(CONNECTIONS as f64 / self.rate));
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        while !self.is_over.get() {
            tick.tick().await;
            let index = next.get() % self.requests.len();
            next.set(next.get() + 1);
            let sent = Instant::now();
            stream.write_all(&self.requests[index]).await?;
            let answer = read(&mut stream, &mut buffer).await?;
            ensure!(answer.status == 200, "a quiet account is answered {}", answer.status);
            ensure!(answer.has(subject_header(index).as_bytes()), "another account's");
            latencies.borrow_mut().add(sent.elapsed());
        }
        Ok(())
    }
}
