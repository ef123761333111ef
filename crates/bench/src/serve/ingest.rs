//! Account events into the ledger.

mod check;
mod queue;

pub(super) use queue::{Queue, drain, queue};

use super::house::{ACCOUNT_DOMAIN, House, IDP};
use super::job::{Done, Job};
use account::IdpId;
use anyhow::{Result, ensure};
use ingest::decode::decode;
use ingest::sources::file::ingest_lines;
use ingest::{Authority, Freshness, Pump, Remit};
use ledger::SourceId;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Instant;

/// No identity provider is asked for anything here.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A file, from its first line to its last. The limit is decoding alone.
pub(super) async fn file(store: &str, path: &Path) -> Result<Done> {
    let house = House::open(store, NOWHERE).await?;
    let (lines, limit) = decoding(path)?;
    let pump = pump(&house, Freshness::Any)?;
    let reader = tokio::io::BufReader::new(tokio::fs::File::open(path).await?);
    let job = Job::begin()?;
    let summary = ingest_lines(&pump, "bench", reader, |_| ()).await?;
    let done = job.end(u32::try_from(summary.events)?)?;
    ensure!(summary.news == u64::from(lines), "not every line was news: {summary:?}");
    check::marks(&house.ledger, path).await?;
    Ok(Done { limit: Some(limit), ..done })
}

fn pump(house: &House, freshness: Freshness) -> Result<Pump> {
    Ok(Pump::new(house.ledger.clone(), SourceId::new("bench"), remit()?, freshness))
}

pub(super) fn remit() -> Result<Remit> {
    let issuers = vec![ACCOUNT_DOMAIN.to_owned()];
    let home = Authority { id: IdpId::new(IDP)?, issuers, domain: ACCOUNT_DOMAIN.to_owned() };
    Ok(Remit::new(home, Vec::new()))
}

/// How many lines there are, and how many a second can be read when nothing is done with them.
fn decoding(path: &Path) -> Result<(u32, f64)> {
    let remit = remit()?;
    let began = Instant::now();
    let mut count = 0;
    for line in BufReader::new(File::open(path)?).lines() {
        let line = line?;
        let read = decode(line.as_bytes(), &remit);
        ensure!(std::hint::black_box(read).is_ok(), "a line is junk: {line}");
        count += 1;
    }
    Ok((count, f64::from(count) / began.elapsed().as_secs_f64()))
}
