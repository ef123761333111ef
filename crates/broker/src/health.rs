//! How the broker is, for whoever looks after it.

use crate::capability::Inner;
use crate::snapshot::ReadRegistry;
use crate::store::list::{Backlog, ReadBacklog};
use crate::{Broker, SigningAlgorithm, Status};
use account::Millis;
use jose::Algorithm;
use std::time::Duration;
use store::StoreError;

/// What is pending for longer than this waits for somebody to look.
const LONG: Duration = Duration::from_hours(1);
/// A list of capabilities that could not be fetched so many times in a row is out of date.
const MISSED: u32 = 3;

/// What one look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// Whether somebody should look too. The broker works all the same.
    pub is_degraded: bool,
    /// What was found, in a few words.
    pub detail: String,
}

impl Finding {
    fn new(name: &'static str, is_degraded: bool, detail: impl Into<String>) -> Self {
        Self { name, is_degraded, detail: detail.into() }
    }
}

impl Broker {
    /// Looks at the keys, at what is outstanding, at the relying parties and at the list of capabilities.
    pub async fn findings(&self) -> Vec<Finding> {
        let inner = &self.0;
        let now = inner.now();
        let mut found = vec![keys(inner)];
        found.extend(capabilities(inner, now));
        match deliveries(inner, now).await {
            Ok(more) => found.extend(more),
            Err(error) => found.push(Finding::new("deliveries", true, error.to_string())),
        }
        found
    }
}

fn keys(inner: &Inner) -> Finding {
    let known = inner.signer.keys();
    let signs = |algorithm: &SigningAlgorithm| {
        let name = Algorithm::from(*algorithm).name();
        known.iter().any(|key| key.algorithm == name && key.state == "current")
    };
    let missing: Vec<&str> = SigningAlgorithm::ALL
        .into_iter()
        .filter(|it| !signs(it))
        .map(|it| Algorithm::from(it).name())
        .collect();
    match missing.as_slice() {
        [] => Finding::new("keys", false, "every algorithm has a key that signs"),
        _ => Finding::new("keys", true, format!("no key signs by {}", missing.join(", "))),
    }
}

/// Without a list the last one that is kept holds, however old it is.
fn capabilities(inner: &Inner, now: Millis) -> Option<Finding> {
    let source = inner.capability_list.as_ref()?;
    let (fetched, name) = (source.fetched(), "capabilities");
    if !fetched.was_tried() {
        return None;
    }
    let age = fetched.age(now);
    let seconds = age.as_secs();
    Some(if fetched.was_good() {
        Finding::new(name, age > source.interval * MISSED, format!("fetched {seconds} s ago"))
    } else {
        let detail =
            format!("not fetched since the start, {seconds} s ago; the last list that is kept holds");
        Finding::new(name, true, detail)
    })
}

async fn deliveries(inner: &Inner, now: Millis) -> Result<Vec<Finding>, StoreError> {
    let registry = inner.store.scan(ReadRegistry(inner.snapshots.clone())).await?;
    let backlog = inner.store.scan(ReadBacklog).await?;
    // Who is paused is so by somebody's will.
    let waits = |it: &&Backlog| registry.get(&it.client_id).is_some_and(|rp| rp.status == Status::Enabled);
    let pending: i64 = backlog.iter().map(|it| it.count).sum();
    let oldest = backlog.iter().filter(waits).min_by_key(|it| it.oldest_at);
    let late = oldest.filter(|it| now.since(it.oldest_at) > LONG);
    let deliveries = match late {
        None => Finding::new("deliveries", false, format!("{pending} pending")),
        Some(Backlog { client_id, oldest_at, .. }) => {
            let hours = now.since(*oldest_at).as_secs() / 3_600;
            Finding::new("deliveries", true, format!("{pending} pending, to {client_id} for {hours} h"))
        }
    };
    let by_us = |reason: Option<&str>| matches!(reason, Some("gone" | "failing"));
    let disabled: Vec<String> = registry
        .iter()
        .filter(|rp| by_us(rp.status.reason()))
        .map(|rp| format!("{} ({})", rp.client_id, rp.status.reason().unwrap_or_default()))
        .collect();
    let rps = match disabled.as_slice() {
        [] => Finding::new("relying_parties", false, format!("{} known", registry.iter().count())),
        _ => Finding::new("relying_parties", true, format!("disabled: {}", disabled.join(", "))),
    };
    Ok(vec![deliveries, rps])
}
