//! One account after the other: its token is good, something happens to it, its token is refused.

use crate::latency::Latencies;
use crate::load::read;
use crate::signed::Signed;
use crate::verify::subject_header;
use anyhow::{Context, Result, bail, ensure};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Who is still served after that was not told.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whom to watch, and where.
pub(super) struct Watch<'a> {
    /// Who takes events in.
    pub(super) takes_events: SocketAddr,
    /// Who is asked.
    pub(super) node: SocketAddr,
    /// What to ask, account by account.
    pub(super) requests: &'a [Box<[u8]>],
    /// The number of the first of them.
    pub(super) first: usize,
    /// No account is begun after this.
    pub(super) end: Instant,
}

/// A connection to one of them.
struct Line {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Watch<'_> {
    /// The delays, from the event's acceptance to the first refusal.
    pub(super) async fn run(&self) -> Result<Latencies> {
        let mut asks = Line::to(self.node).await?;
        let mut tells = Line::to(self.takes_events).await?;
        let mut delays = Latencies::default();
        for (index, request) in self.requests.iter().enumerate() {
            if Instant::now() >= self.end {
                break;
            }
            let delay = self.one(&mut asks, &mut tells, self.first + index, request).await;
            delays.add(delay.with_context(|| format!("account {index}"))?);
        }
        Ok(delays)
    }

    async fn one(
        &self,
        asks: &mut Line,
        tells: &mut Line,
        account: usize,
        request: &[u8],
    ) -> Result<Duration> {
        let subject = subject_header(account);
        let mut is_good = async || asks.is_good(request, &subject).await;
        // For the first time, and from memory.
        ensure!(is_good().await? && is_good().await?, "it is refused before anything has happened");
        tells.tell(account).await?;
        let accepted = Instant::now();
        while is_good().await? {
            ensure!(accepted.elapsed() < PATIENCE, "it is never refused");
        }
        let delay = accepted.elapsed();
        ensure!(!is_good().await?, "it is good again");
        Ok(delay)
    }
}

impl Line {
    async fn to(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 16 * 1024] })
    }

    /// Whether the token is good; anything but a yes for its account and a no for its change is a wrong answer.
    async fn is_good(&mut self, request: &[u8], subject: &str) -> Result<bool> {
        self.stream.write_all(request).await?;
        let answer = read(&mut self.stream, &mut self.buffer).await?;
        match answer.status {
            200 if answer.has(subject.as_bytes()) => Ok(true),
            401 if String::from_utf8_lossy(answer.body).contains("\"token_ended\"") => Ok(false),
            status => bail!("status {status}: {}", String::from_utf8_lossy(answer.body)),
        }
    }

    /// The account's password is changed; returns once that is committed.
    async fn tell(&mut self, account: usize) -> Result<()> {
        let subject = Signed::subject(account);
        let request =
            format!("POST /changed/{subject} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await?;
        let answer = read(&mut self.stream, &mut self.buffer).await?;
        ensure!(answer.status == 200, "the event was not taken: {}", answer.status);
        Ok(())
    }
}
