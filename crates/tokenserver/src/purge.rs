//! The purge: rows that were replaced long enough ago go, after the data under their ids was deleted on their nodes.
//!
//! It is asked for in parts; what it has come to so far is handed from part to part, and none of it is needed to begin
//! anew: a row goes only when its data is gone, and what is gone already is no failure.

mod delete;
mod meters;

use crate::rules::{Fate, Force, KeptBy, NodeUrl, Replaced, ServiceName, fate};
use crate::secrets::Secrets;
use crate::settings::Served;
use crate::store::{CountReplaced, DropRows, FindReplaced, FindRotation};
use crate::{Hasher, InvalidSettings};
use account::Millis;
use delete::{Deleter, Failure};
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use store::{Store, StoreError};
use utoipa::ToSchema;

/// How many rows are looked at in one part.
const PART: i64 = 64;
/// How many nodes' answers are waited for at once.
const AT_ONCE: usize = 8;
/// A part that has taken this long begins nothing more.
const PART_TIME: Duration = Duration::from_secs(15);
/// After so many failures in a row a node is spared for the rest of the run.
const FAILURES: u32 = 3;
/// How many failures are told.
const MOST_TOLD: usize = 50;

/// What is purged, and how.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// Whose rows: the service's of that name; the only one's unless set.
    pub service: Option<String>,
    /// Only rows replaced at least so many seconds ago.
    pub grace_seconds: u32,
    /// Stop after the data of so many rows was deleted; 0 is no bound.
    pub max: u64,
    /// Only tell what would be done.
    pub dry_run: bool,
    /// Also delete the data of nodes that are out of order.
    pub force: bool,
    /// With `force`: where such data is now.
    pub override_node: Option<String>,
    /// Only rows above this one.
    pub above_uid: Option<i64>,
    /// Only rows below this one.
    pub below_uid: Option<i64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            service: None,
            grace_seconds: 86_400,
            max: 0,
            dry_run: false,
            force: false,
            override_node: None,
            above_uid: None,
            below_uid: None,
        }
    }
}

/// What a run has come to so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Progress {
    /// When the run began, in milliseconds since the epoch.
    pub began_at: i64,
    /// How many rows there were to look at when it began.
    pub backlog: i64,
    /// The last row it has looked at.
    pub after: i64,
    /// How many rows it has looked at.
    pub fetched: u64,
    /// Rows whose data was deleted on their nodes (in a dry run: would be).
    pub deleted: u64,
    /// Of those, on nodes that are out of order.
    pub forced: u64,
    /// Of those, whose data was gone already.
    pub gone: u64,
    /// Rows whose node is gone: only they went.
    pub nodeless: u64,
    /// Rows whose data is their users' live data by now: only they went.
    pub shared: u64,
    /// Rows that wait because their node is out of order.
    pub waiting: u64,
    /// Rows whose data could not be deleted. They stay, for the next run.
    pub failed: u64,
    /// Rows that were not tried, because their node did nothing but fail. They stay as well.
    pub spared: u64,
    /// The first failures.
    pub failures: Vec<Failure>,
    /// By node: how many failures in a row.
    pub failing: BTreeMap<i64, u32>,
    /// Whether nothing is left to do.
    pub done: bool,
}

/// Deletes data on nodes, and then the rows.
pub(crate) struct Purger {
    service: ServiceName,
    store: Store,
    deleter: Deleter,
    kept: KeptBy,
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Nodeless,
    Shared,
    Deleted { forced: bool, gone: bool },
    Waits,
    Failed,
    Spared,
}

impl Purger {
    /// One that signs with the secrets of this service.
    pub(crate) fn new(store: Store, served: &Served, hasher: Hasher) -> Result<Self, InvalidSettings> {
        // Everybody on one node by its id: that is how Spanner is served, which keeps data by its key.
        let kept = served.placement.only_node.map_or(KeptBy::Uid, |_| KeptBy::Key);
        let deleter = Deleter::new(Secrets::new(&served.secrets), served.pattern.clone(), hasher)?;
        Ok(Self { service: served.name.clone(), store, deleter, kept })
    }

    /// The next part of a run; the first one when nothing is handed on.
    pub(crate) async fn part(
        &self,
        options: &Options,
        before: Option<Progress>,
    ) -> Result<Progress, StoreError> {
        let rotation = self.store.scan(FindRotation(self.service.clone())).await?;
        self.deleter.secrets.follow(rotation.as_ref());
        let now = self.store.clock().now();
        let old = now.minus(Duration::from_secs(options.grace_seconds.into()));
        let mut so_far = match before {
            Some(before) => before,
            None => self.begin(options, now, old).await?,
        };
        let until = options.below_uid.unwrap_or(i64::MAX);
        let service = self.service.clone();
        let find = FindReplaced { service, before: old, after: so_far.after, until, limit: PART };
        let rows = self.store.scan(find).await?;
        meters::fetched(rows.len());
        so_far.done = rows.len() < usize::try_from(PART).unwrap_or(usize::MAX);
        self.purge_all(&rows, options, old, &mut so_far).await?;
        if so_far.done && !options.dry_run {
            meters::run_ended(&so_far, now);
        }
        Ok(so_far)
    }

    /// A run that has come to nothing yet.
    async fn begin(&self, options: &Options, now: Millis, old: Millis) -> Result<Progress, StoreError> {
        let backlog = self.store.scan(CountReplaced(self.service.clone(), old)).await?;
        meters::backlog(backlog);
        let after = options.above_uid.unwrap_or(0);
        Ok(Progress { began_at: now.get(), backlog, after, ..Progress::default() })
    }

    /// Some at a time, as long as a part may take and as many as are asked for.
    async fn purge_all(
        &self,
        rows: &[Replaced],
        options: &Options,
        old: Millis,
        so_far: &mut Progress,
    ) -> Result<(), StoreError> {
        let began = Instant::now();
        let force = Force { downed: options.force, at: options.override_node.clone() };
        let mut rest = rows;
        while !rest.is_empty() {
            let left = usize::try_from(so_far.left(options.max)).unwrap_or(usize::MAX);
            if left == 0 {
                meters::max_records();
                so_far.done = true;
                return Ok(());
            }
            if began.elapsed() > PART_TIME {
                so_far.done = false;
                return Ok(());
            }
            let (some, others) = rest.split_at(left.min(AT_ONCE).min(rest.len()));
            self.purge(some, &force, options.dry_run, old, so_far).await?;
            rest = others;
        }
        Ok(())
    }

    /// Some rows, side by side; each fails alone.
    async fn purge(
        &self,
        rows: &[Replaced],
        force: &Force,
        dry_run: bool,
        old: Millis,
        so_far: &mut Progress,
    ) -> Result<(), StoreError> {
        let fates = rows.iter().map(|row| {
            let fate = fate(row, force, self.kept);
            let spared = so_far.failing.get(&row.node_id).is_some_and(|failures| *failures >= FAILURES);
            self.carry_out(row, fate, dry_run, spared)
        });
        let ends = join_all(fates).await;
        let mut uids = Vec::new();
        for (row, (end, failure)) in rows.iter().zip(ends) {
            so_far.note(row, end, failure);
            if matches!(end, End::Nodeless | End::Shared | End::Deleted { .. }) {
                uids.push(row.uid);
            }
        }
        if !dry_run && !uids.is_empty() {
            self.store.run(DropRows { uids, before: old }).await?;
        }
        Ok(())
    }

    async fn carry_out(
        &self,
        row: &Replaced,
        fate: Fate,
        dry_run: bool,
        spared: bool,
    ) -> (End, Option<Failure>) {
        let (url, forced) = match fate {
            Fate::Nodeless => return (End::Nodeless, None),
            Fate::Shared => return (End::Shared, None),
            Fate::Wait => return (End::Waits, None),
            Fate::Delete(url) => (url, false),
            Fate::Force(url) => (url, true),
        };
        if dry_run {
            return (End::Deleted { forced, gone: false }, None);
        }
        if spared {
            return (End::Spared, None);
        }
        match self.deleter.delete(row, &url, self.store.clock().now()).await {
            Ok(gone) => (End::Deleted { forced, gone }, None),
            Err(failure) => (End::Failed, Some(failure)),
        }
    }
}

impl Progress {
    /// How many rows more may be looked at, each of which may be one whose data is deleted.
    fn left(&self, max: u64) -> u64 {
        if max == 0 { u64::MAX } else { max.saturating_sub(self.deleted) }
    }

    fn note(&mut self, row: &Replaced, end: End, failure: Option<Failure>) {
        self.after = row.uid;
        self.fetched += 1;
        meters::ended(end, failure.as_ref());
        match end {
            End::Nodeless => self.nodeless += 1,
            End::Shared => self.shared += 1,
            End::Waits => self.waiting += 1,
            End::Spared => self.spared += 1,
            End::Failed => {
                self.failed += 1;
                *self.failing.entry(row.node_id).or_default() += 1;
            }
            End::Deleted { forced, gone } => {
                self.deleted += 1;
                self.forced += u64::from(forced);
                self.gone += u64::from(gone);
                self.failing.remove(&row.node_id);
            }
        }
        self.failures.extend(failure);
        self.failures.truncate(MOST_TOLD);
    }
}

impl Options {
    /// Whether they make sense; where data of nodes that are out of order is, in the form nodes are stored in.
    pub(crate) fn checked(mut self) -> Result<Self, String> {
        if let Some(node) = &self.override_node {
            if !self.force {
                return Err("override_node is where data of nodes that are out of order is: it needs force"
                    .to_owned());
            }
            self.override_node = Some(NodeUrl::parse(node).map_err(|error| error.to_string())?.to_string());
        }
        if self.above_uid.is_some_and(|above| self.below_uid.is_some_and(|below| below <= above + 1)) {
            return Err("there is no row above above_uid and below below_uid".to_owned());
        }
        Ok(self)
    }
}
