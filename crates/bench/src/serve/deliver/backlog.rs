//! A healthy relying party beside a dead one for which a million deliveries are pending: the same before they are there,
//! and with them.

use super::crowd::{Crowd, Plan};
use super::load::Load;
use super::receivers::Receivers;
use super::{Told, Work, delays};
use crate::latency::Percentiles;
use crate::serve::Places;
use crate::serve::house::House;
use crate::serve::telemetry;
use crate::usage::Usage;
use anyhow::{Result, ensure};
use futures::stream::{self, StreamExt, TryStreamExt};
use ledger::Applied;
use serde::{Deserialize, Serialize};
use std::io::{Write, stdout};
use std::time::{Duration, Instant};

/// How many deliveries the dead one has pending.
const PENDING: u64 = 1_000_000;
/// Events that bring them about, so many at once, so many times side by side.
const LOT: u64 = 256;
const SIDE_BY_SIDE: usize = 4;
/// Events a second that the healthy one is told of, when it is not told as fast as it goes.
const RATE: f64 = 500.0;

/// What came of it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Backlog {
    /// Before the dead one was there.
    pub(crate) alone: Healthy,
    /// The events that made the backlog.
    pub(crate) filling: Told,
    /// With it.
    pub(crate) beside: Healthy,
}

/// How a healthy relying party does.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Healthy {
    /// As fast as it goes: more than it has room for, so that it is claimed for.
    pub(crate) full: Told,
    /// How long the claims took meanwhile, and how many there were.
    pub(crate) claims: Option<Percentiles>,
    pub(crate) claim_count: u64,
    /// At a rate, and from the commit to the receiver.
    pub(crate) steady: Told,
    pub(crate) from_commit: Option<Percentiles>,
    /// Memory held at the end, in MiB.
    pub(crate) rss_mib: f64,
}

impl Healthy {
    /// Claims a second, while deliveries went as fast as they go.
    pub(crate) fn claim_rate(&self) -> f64 {
        f64::from(u32::try_from(self.claim_count).unwrap_or(u32::MAX)) / self.full.seconds
    }
}

impl Backlog {
    pub(crate) fn print(&self) -> Result<()> {
        Ok(writeln!(stdout(), "{}", serde_json::to_string(self)?)?)
    }
}

/// Does it all.
pub(crate) async fn beside_backlog(store: String, work: Work) -> Result<Backlog> {
    telemetry::warn_on_stderr()?;
    let places: Places = serde_json::from_str(&work.receivers)?;
    let house = Box::pin(House::of_broker(&store)).await?;
    let crowd =
        Crowd::gather(&house, &Plan { hooks: &places.hooks, algorithm: &work.algorithm, known_to: 1 })
            .await?;
    let receivers = Receivers::at(places.control)?;
    receivers.begin(crowd.keys()).await?;
    let mut load = Load::new(&house.ledger, &crowd, &receivers, 1);
    let duration = Duration::from_secs(work.seconds);
    let alone = healthy(&house, &mut load, &receivers, duration).await?;
    Crowd::add_dead(&house).await?;
    let filling = fill(&house).await?;
    let beside = healthy(&house, &mut load, &receivers, duration).await?;
    Ok(Backlog { alone, filling, beside })
}

async fn healthy(
    house: &House,
    load: &mut Load<'_>,
    receivers: &Receivers,
    duration: Duration,
) -> Result<Healthy> {
    let before = house.recording.transactions("broker.claim");
    let full = load.saturate(duration).await?.told;
    let after = house.recording.transactions("broker.claim");
    receivers.end().await?;
    let steady = load.at_rate(RATE, duration).await?;
    let (from_commit, _) = delays(&steady, &receivers.end().await?)?;
    let claims = between(&before, &after);
    Ok(Healthy {
        full,
        claims: percentiles(&claims),
        claim_count: claims.last().map_or(0, |(_, count)| *count),
        steady: steady.told,
        from_commit,
        rss_mib: Usage::of("self")?.rss_mib,
    })
}

/// Lets events happen that only the dead one is to be told of.
async fn fill(house: &House) -> Result<Told> {
    let (cpu_us, began) = (Usage::of("self")?.cpu_us, Instant::now());
    let lot = async |first: u64| {
        let lot = Crowd::changes_of_strangers(first..PENDING.min(first + LOT))?;
        let applied = house.ledger.apply_batch(lot).await?;
        ensure!(applied.iter().all(|it| matches!(it, Applied::News { .. })), "an event is no news");
        anyhow::Ok(())
    };
    let lots = (0..PENDING).step_by(usize::try_from(LOT)?);
    stream::iter(lots).map(lot).buffer_unordered(SIDE_BY_SIDE).try_collect::<()>().await?;
    let cpu_us = Usage::of("self")?.cpu_us - cpu_us;
    Ok(Told { items: u32::try_from(PENDING)?, seconds: began.elapsed().as_secs_f64(), cpu_us })
}

/// What was added to each bucket.
fn between(before: &[(f64, u64)], after: &[(f64, u64)]) -> Vec<(f64, u64)> {
    let then = |at: usize| before.get(at).map_or(0, |(_, count)| *count);
    after.iter().enumerate().map(|(at, (end, count))| (*end, count - then(at))).collect()
}

/// From buckets: the upper end of the one that each falls into.
fn percentiles(buckets: &[(f64, u64)]) -> Option<Percentiles> {
    let (_, all) = buckets.last().filter(|(_, all)| *all > 0)?;
    let at = |thousandths: u64| {
        let reached = buckets.iter().find(|(_, count)| count * 1000 >= all * thousandths);
        reached.map_or(f64::INFINITY, |(end, _)| end * 1e6)
    };
    Some(Percentiles { p50: at(500), p99: at(990), p999: at(999) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_buckets_are_the_ends_of_those_they_fall_into() {
        let buckets = between(&[(0.001, 5), (0.002, 5)], &[(0.001, 103), (0.002, 104), (f64::INFINITY, 105)]);
        assert_eq!(buckets, [(0.001, 98), (0.002, 99), (f64::INFINITY, 105)]);
        let all = percentiles(&[(0.001, 98), (0.002, 99), (0.004, 100)]).expect("some");
        assert_eq!(all, Percentiles { p50: 1_000.0, p99: 2_000.0, p999: 4_000.0 });
        assert_eq!(percentiles(&[(0.001, 0)]), None);
    }
}
