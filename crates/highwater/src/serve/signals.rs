//! Signals: the first asks for the soft stop, the second for the hard one.

use anyhow::{Context, Result};
use std::pin::pin;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use work::Lifecycle;

/// SIGTERM and SIGINT, listened to from the moment this is made.
pub(crate) struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be listened to");
        Ok(Self { term: listen(SignalKind::terminate())?, int: listen(SignalKind::interrupt())? })
    }

    /// The next one of either.
    pub(crate) async fn next(&mut self) {
        tokio::select! { _ = self.term.recv() => {}, _ = self.int.recv() => {} }
    }

    /// Waits until everything has ended: by itself, by a signal, or by a second one without further waiting.
    pub(crate) async fn until_ended(mut self, life: &Lifecycle, grace: Duration) -> Result<()> {
        let mut ended = pin!(life.ended(grace));
        tokio::select! {
            ended = &mut ended => return Ok(ended?),
            () = self.next() => tracing::info!("stopping: finishing what was begun; a second signal ends it at once"),
        }
        life.stop();
        tokio::select! {
            ended = &mut ended => return Ok(ended?),
            () = self.next() => tracing::warn!("stopping at once"),
        }
        life.stop_now();
        Ok(ended.await?)
    }
}
