//! Account events through the ledger to relying parties, as fast as they go and at half that rate, and the limits.

mod backlog;
mod crowd;
mod limits;
mod load;
mod receivers;

use super::Places;
use super::house::House;
use super::receive::Receipt;
use super::telemetry;
use crate::latency::{Latencies, Percentiles};
use crate::usage::Usage;
pub(super) use backlog::beside_backlog;
pub(crate) use backlog::{Backlog, Healthy};

use anyhow::{Result, ensure};
use clap::Args;
use crowd::{Crowd, Plan};
use limits::Limits;
use load::{Batch, Load, Ran};
use receivers::Receivers;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::{Write, stdout};
use std::time::Duration;

/// Of each second: so long deliveries, then each of the limits.
const SLICE: Duration = Duration::from_secs(1);
const LIMIT_SLICE: Duration = Duration::from_millis(250);
const WARM_UP: Duration = Duration::from_millis(500);

/// What to tell, and to whom.
#[derive(Clone, Debug, Args)]
pub(crate) struct Work {
    /// Where the receivers are: JSON, as they say it.
    #[arg(long)]
    receivers: String,
    /// With which algorithm: `RS256`, `ES256` or `EdDSA`.
    #[arg(long)]
    algorithm: String,
    /// For how many seconds each figure is measured.
    #[arg(long)]
    seconds: u64,
}

/// What deliveries came to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Delivered {
    /// As fast as they go.
    pub(crate) full: Told,
    /// At half that rate.
    pub(crate) half: Told,
    /// From the commit to the receiver, at half.
    pub(crate) from_commit: Option<Percentiles>,
    /// From the moment the event was due, so with the ledger's own work and its commit, at half.
    pub(crate) from_event: Option<Percentiles>,
    /// As many as can be signed, and as can be posted.
    pub(crate) signing: Told,
    pub(crate) posting: Told,
    /// Memory held at the end, in MiB.
    pub(crate) rss_mib: f64,
}

/// So many deliveries, signatures or posts.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) items: u32,
    /// In how many seconds.
    pub(crate) seconds: f64,
    /// With so much processor time of this process, in microseconds.
    pub(crate) cpu_us: f64,
}

impl Told {
    /// How many a second.
    pub(crate) fn rate(&self) -> f64 {
        f64::from(self.items) / self.seconds
    }

    /// The processor time for one, in microseconds.
    pub(crate) fn cpu_each(&self) -> f64 {
        self.cpu_us / f64::from(self.items)
    }

    fn add(&mut self, more: Self) {
        self.items += more.items;
        self.seconds += more.seconds;
        self.cpu_us += more.cpu_us;
    }
}

impl Delivered {
    pub(super) fn print(&self) -> Result<()> {
        Ok(writeln!(stdout(), "{}", serde_json::to_string(self)?)?)
    }
}

/// Does it all.
pub(super) async fn run(store: String, work: Work, known_to: usize) -> Result<Delivered> {
    telemetry::warn_on_stderr()?;
    let places: Places = serde_json::from_str(&work.receivers)?;
    let house = Box::pin(House::of_broker(&store)).await?;
    let crowd =
        Crowd::gather(&house, &Plan { hooks: &places.hooks, algorithm: &work.algorithm, known_to }).await?;
    let receivers = Receivers::at(places.control)?;
    receivers.begin(crowd.keys()).await?;
    let limits = Limits::new(&work.algorithm, &places)?;
    receivers.begin(&limits.keys(crowd.keys())?).await?;
    let mut load = Load::new(&house.ledger, &crowd, &receivers, u64::try_from(known_to)?);

    load.saturate(WARM_UP).await?;
    let (mut full, mut signing, mut posting) = (Told::default(), Told::default(), Told::default());
    for _ in 0..work.seconds {
        full.add(load.saturate(SLICE).await?.told);
        signing.add(limits.sign(LIMIT_SLICE).await?);
        posting.add(limits.post(LIMIT_SLICE).await?);
    }
    receivers.end().await?;

    let half = load.at_rate(full.rate() / 2.0, SLICE * u32::try_from(work.seconds)?).await?;
    let heard = receivers.end().await?;
    let (from_commit, from_event) = delays(&half, &heard)?;
    let rss_mib = Usage::of("self")?.rss_mib;
    Ok(Delivered { full, half: half.told, from_commit, from_event, signing, posting, rss_mib })
}

/// How long each delivery took, since its commit and since it was due.
fn delays(ran: &Ran, heard: &[Receipt]) -> Result<(Option<Percentiles>, Option<Percentiles>)> {
    let batches = ran.batches.iter().flat_map(|batch| batch.change_times.clone().map(move |it| (it, batch)));
    let batches: HashMap<i64, &Batch> = batches.collect();
    let (mut from_commit, mut from_event) = (Latencies::default(), Latencies::default());
    let since = |from: i64, to: i64| Duration::from_micros(u64::try_from(to - from).unwrap_or(0));
    for receipt in heard {
        let Some(batch) = batches.get(&receipt.change_time) else { continue };
        from_commit.add(since(batch.committed_us, receipt.at_us));
        from_event.add(since(batch.due_us, receipt.at_us));
    }
    ensure!(from_commit.len() == usize::try_from(ran.told.items)?, "not everything that was told was heard");
    Ok((from_commit.percentiles(), from_event.percentiles()))
}
