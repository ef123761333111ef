//! Requests at a steady rate, from addresses of one's choice: on Linux every address of 127.0.0.0/8 is this machine's.

use crate::load::{Answer, read};
use anyhow::Result;
use futures::future::try_join_all;
use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Who comes.
pub(super) struct Crowd<'a> {
    pub(super) requests: &'a [Box<[u8]>],
    /// The next of them.
    pub(super) turn: &'a Cell<usize>,
    /// Requests a second.
    pub(super) rate: f64,
    /// Whether the first comes again after the last.
    pub(super) again: bool,
}

impl Crowd<'_> {
    /// Whose turn it is; `None` when all have come.
    fn next(&self) -> Option<usize> {
        let turn = self.turn.get();
        if !self.again && turn >= self.requests.len() {
            return None;
        }
        self.turn.set(turn + 1);
        Some(turn % self.requests.len())
    }
}

/// Connections that share a rate.
pub(super) struct Paced<'a> {
    pub(super) address: SocketAddr,
    /// The addresses they come from, in turn.
    pub(super) from: &'a [Ipv4Addr],
    pub(super) connections: u32,
    pub(super) end: Instant,
}

impl Paced<'_> {
    /// Until the end, or until all have come.
    pub(super) async fn run(
        &self,
        crowd: &Crowd<'_>,
        heard: impl Fn(Answer<'_>, Duration) -> Result<()>,
    ) -> Result<()> {
        let addresses = self.from.iter().cycle().take(self.connections as usize);
        let heard = &heard;
        try_join_all(addresses.map(|from| async move {
            let mut stream = connect(*from, self.address).await?;
            let mut tick = ticking(f64::from(self.connections) / crowd.rate);
            while Instant::now() < self.end {
                tick.tick().await;
                let Some(index) = crowd.next() else { break };
                ask(&mut stream, &crowd.requests[index], heard).await?;
            }
            Ok(())
        }))
        .await
        .map(drop)
    }
}

/// Each over a connection and from an address that nobody else has.
pub(super) async fn each_from_home(
    address: SocketAddr,
    crowd: &Crowd<'_>,
    end: Instant,
    heard: impl Fn(Answer<'_>, Duration) -> Result<()>,
) -> Result<()> {
    let mut tick = ticking(1.0 / crowd.rate);
    while Instant::now() < end {
        tick.tick().await;
        let Some(index) = crowd.next() else { break };
        let [_, high, middle, low] = u32::try_from(index + 1).unwrap_or_default().to_be_bytes();
        let mut stream = connect(Ipv4Addr::new(127, 64 + high, middle, low), address).await?;
        ask(&mut stream, &crowd.requests[index], &heard).await?;
    }
    Ok(())
}

async fn connect(from: Ipv4Addr, to: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn ask(
    stream: &mut TcpStream,
    request: &[u8],
    heard: &impl Fn(Answer<'_>, Duration) -> Result<()>,
) -> Result<()> {
    let mut buffer = [0; 4096];
    let sent = Instant::now();
    stream.write_all(request).await?;
    let answer = read(stream, &mut buffer).await?;
    heard(answer, sent.elapsed())
}

fn ticking(seconds: f64) -> Interval {
    let mut tick = interval(Duration::from_secs_f64(seconds));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    tick
}
