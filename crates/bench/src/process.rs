//! The server under measure: a child process on a core of its own, and what the kernel says of it.

use crate::pin::Cores;
use crate::usage::Usage;
use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};

/// What a server prints before its place, once it is at work.
pub(crate) const READY: &str = "at work on ";

/// A running server. It ends when its standard input does, that is: when this is dropped or this process dies.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    place: String,
}

impl Server {
    /// Starts this program again as a server: `bench serve ARGUMENTS…`, on the server's core.
    pub(crate) fn start(cores: &Cores, arguments: &[&str]) -> Result<Self> {
        Self::start_under(&cores.server(), arguments)
    }

    /// The same on the load's core: for what stands at the other end of the server.
    pub(crate) fn beside_the_load(cores: &Cores, arguments: &[&str]) -> Result<Self> {
        Self::start_under(&cores.load(), arguments)
    }

    fn start_under(under: &[&str], arguments: &[&str]) -> Result<Self> {
        let mut child = again(under, arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("its output is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let place = line.trim().strip_prefix(READY);
        let place = place.with_context(|| format!("the server did not start: {arguments:?}"))?.to_owned();
        Ok(Self { child, stdin, place })
    }

    /// What it said of its place.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Where it listens, when it does.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        Ok(self.place.parse()?)
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> Result<Usage> {
        Usage::of(&self.child.id().to_string())
    }

    /// Ends it, and says whether it ended well.
    pub(crate) fn end(mut self) -> Result<()> {
        self.stdin = None;
        let status = self.child.wait()?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stdin = None;
        // Its end is looked at by `end`; here only the process must not be left behind.
        let _ = self.child.wait();
    }
}

/// Starts this program again for a job that ends by itself, on the server's core, and waits for what it came to.
pub(crate) fn job<D: DeserializeOwned>(cores: &Cores, arguments: &[&str]) -> Result<D> {
    let output = again(&cores.server(), arguments).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the job ended with {}: {arguments:?}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// `bench serve ARGUMENTS…`, under that command.
fn again(under: &[&str], arguments: &[&str]) -> Command {
    // The kernel's name for it: the very program that runs, even when it was built anew meanwhile.
    let me = format!("/proc/{}/exe", std::process::id());
    let words: Vec<&str> =
        under.iter().copied().chain([me.as_str(), "serve"]).chain(arguments.iter().copied()).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}
