//! Events through the ledger: as fast as their deliveries arrive, or at a rate.

use super::Told;
use super::crowd::{Crowd, change_time};
use super::receivers::Receivers;
use crate::usage::Usage;
use crate::wall::wall_us;
use anyhow::{Result, ensure};
use futures::stream::{FuturesUnordered, StreamExt};
use ledger::{Applied, Ledger};
use std::ops::Range;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Events come in as from a queue: so many at once, from so many receivers of it.
const BATCH: u32 = 10;
const SIDE_BY_SIDE: usize = 16;
/// The most deliveries that are made and not yet heard: more than all relying parties together take at once, so that some
/// are always to be claimed.
const OUTSTANDING: u64 = 512;
/// The receivers are asked again when so many more have come.
const STEP: u64 = 64;
/// Without anything new for so long, something is lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// A batch as it was applied.
pub(super) struct Batch {
    /// The change times of its events.
    pub(super) change_times: Range<i64>,
    /// When it was due, and when it was known to be committed, by the wall.
    pub(super) due_us: i64,
    pub(super) committed_us: i64,
}

/// A run.
#[derive(Default)]
pub(super) struct Ran {
    pub(super) told: Told,
    pub(super) batches: Vec<Batch>,
}

/// What applies events.
pub(super) struct Load<'a> {
    ledger: &'a Ledger,
    crowd: &'a Crowd,
    receivers: &'a Receivers,
    /// How many deliveries an event makes.
    each: u64,
    /// How many events were applied, or are about to be.
    begun: u64,
    /// How many deliveries are known to have come.
    seen: u64,
}

/// When events are due.
#[derive(Clone, Copy)]
enum Pace {
    /// As soon as there is room.
    AsTheyArrive,
    /// A batch after each so long.
    Every(Duration),
}

impl<'a> Load<'a> {
    pub(super) fn new(ledger: &'a Ledger, crowd: &'a Crowd, receivers: &'a Receivers, each: u64) -> Self {
        Self { ledger, crowd, receivers, each, begun: 0, seen: 0 }
    }

    /// As fast as their deliveries arrive, for so long; then until the last has arrived.
    pub(super) async fn saturate(&mut self, duration: Duration) -> Result<Ran> {
        self.go(Pace::AsTheyArrive, duration).await
    }

    /// So many deliveries a second, whether or not they arrive; then until the last has arrived.
    pub(super) async fn at_rate(&mut self, rate: f64, duration: Duration) -> Result<Ran> {
        let events = rate / f64::from(u32::try_from(self.each)?);
        self.go(Pace::Every(Duration::from_secs_f64(f64::from(BATCH) / events)), duration).await
    }

    async fn go(&mut self, pace: Pace, duration: Duration) -> Result<Ran> {
        let (cpu_us, began, first) = (Usage::of("self")?.cpu_us, Instant::now(), self.begun);
        let (mut due, end) = (began, began + duration);
        let mut heard = Instant::now();
        let mut applying = FuturesUnordered::new();
        let mut ran = Ran::default();
        let receivers = self.receivers;
        let mut asking = Box::pin(receivers.seen(0));
        loop {
            while due <= Instant::now() && due < end && self.has_room(pace, applying.len()) {
                applying.push(apply(self.ledger, self.crowd, self.begun, due));
                self.begun += u64::from(BATCH);
                due = match pace {
                    Pace::AsTheyArrive => Instant::now(),
                    Pace::Every(period) => due + period,
                };
            }
            if applying.is_empty() && due >= end && self.seen == self.made() {
                break;
            }
            tokio::select! {
                Some(batch) = applying.next() => ran.batches.push(batch?),
                seen = &mut asking => {
                    let seen = u64::try_from(seen?)?;
                    if seen > self.seen {
                        heard = Instant::now();
                    }
                    let made = self.made();
                    ensure!(heard.elapsed() < PATIENCE, "{seen} of {made} have come, and no more come");
                    self.seen = seen;
                    // Never what is there already: that would be answered, and asked, again and again.
                    let wanted = if Instant::now() >= end { made } else { made.min(seen + STEP) };
                    let wanted = wanted.max(seen + 1);
                    asking = Box::pin(receivers.seen(usize::try_from(wanted)?));
                }
                () = sleep_until(due), if matches!(pace, Pace::Every(_)) && due < end => {}
            }
            if matches!(pace, Pace::AsTheyArrive) {
                due = Instant::now();
            }
        }
        ran.told = Told {
            items: u32::try_from((self.begun - first) * self.each)?,
            seconds: began.elapsed().as_secs_f64(),
            cpu_us: Usage::of("self")?.cpu_us - cpu_us,
        };
        Ok(ran)
    }

    /// How many deliveries there are of what was applied, or is about to be.
    fn made(&self) -> u64 {
        self.begun * self.each
    }

    /// Whether another batch may begin.
    fn has_room(&self, pace: Pace, applying: usize) -> bool {
        match pace {
            Pace::AsTheyArrive => {
                applying < SIDE_BY_SIDE
                    && self.made() + u64::from(BATCH) * self.each <= self.seen + OUTSTANDING
            }
            Pace::Every(_) => true,
        }
    }
}

/// Applies a batch. All of it must be news.
async fn apply(ledger: &Ledger, crowd: &Crowd, first: u64, due: Instant) -> Result<Batch> {
    let end = first + u64::from(BATCH);
    let due_us = wall_us() - i64::try_from(due.elapsed().as_micros())?;
    let applied = ledger.apply_batch(crowd.changes(first..end)).await?;
    let committed_us = wall_us();
    ensure!(applied.iter().all(|it| matches!(it, Applied::News { .. })), "an event is no news: {applied:?}");
    let change_times = change_time(first)..change_time(end);
    Ok(Batch { change_times, due_us, committed_us })
}
