//! What an account event means here: logins are remembered, deliveries written, one a row for each relying party.

use crate::handover::{Handover, Held};
use crate::lanes::{Grant, Lane, Lanes};
use crate::meters::{self, Counted};
use crate::plan::{NO_ENDPOINT, Plan, Planned, matters, plan};
use crate::snapshot::Snapshots;
use crate::store::claim::LEASE;
use crate::store::parts::Written;
use crate::store::record::{Line, NewRow, busy, insert, make_way, promote, take_in, unclaimed};
use crate::store::rows::Delivery;
use crate::store::{logins, receipts, subjects};
use account::{AccountId, EventKind, Millis};
use ledger::{CarryOut, News, Outcome, Tombstones};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{Clock, StoreError, Tx};
use uuid::Builder;

/// The capability's name, as effect rows carry it.
pub const CAPABILITY: &str = "broker";
/// How many deliveries of one event are written inside the ledger's transaction.
const WIDEST_INLINE: usize = 50;
/// How many a worker writes in one transaction; what is more is told in parts.
const LARGEST_PART: usize = 500;
/// A fresh delivery is due since a moment ago, so that no other node's clock finds it too early.
pub(crate) const SINCE: Duration = Duration::from_secs(1);

/// Writes deliveries, inside the ledger's transaction or right after it.
pub struct WriteDeliveries {
    pub(crate) snapshots: Snapshots,
    pub(crate) tombstones: Tombstones,
    pub(crate) clock: Clock,
    pub(crate) owner: Arc<str>,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) handover: Arc<Handover>,
}

/// A delivery's place, as it is written.
struct Place {
    jti: String,
    head: bool,
    /// The leave to send it at once, when this process does.
    grant: Option<Grant>,
}

impl CarryOut for WriteDeliveries {
    fn capability(&self) -> &'static str {
        CAPABILITY
    }

    async fn carry_out(&self, tx: &mut Tx<'_>, news: &[News], inline: bool) -> Result<Outcome, StoreError> {
        let accounts: BTreeSet<&AccountId> =
            news.iter().filter(|it| matters(it)).map(|it| &it.account).collect();
        if accounts.is_empty() {
            return Ok(Outcome::Done);
        }
        let (now, began) = (self.clock.now(), Instant::now());
        let mut plan = self.plan(tx, news, &accounts).await?;
        if inline && plan.widest > WIDEST_INLINE {
            return Ok(Outcome::Deferred);
        }
        let written = if inline { Written::default() } else { Written::of(tx, news).await? };
        let is_last = written.next_part(&mut plan, if inline { usize::MAX } else { LARGEST_PART });
        self.write(tx, news, plan, &written, inline).await?;
        if !is_last {
            return Ok(Outcome::Deferred);
        }
        let counted: Vec<Counted> = news.iter().filter_map(Counted::of).collect();
        let took = began.elapsed();
        tx.after_commit(move || meters::news(&counted, now, took));
        Ok(Outcome::Done)
    }
}

impl WriteDeliveries {
    async fn plan(
        &self,
        tx: &mut Tx<'_>,
        news: &[News],
        accounts: &BTreeSet<&AccountId>,
    ) -> Result<Plan, StoreError> {
        let registry = self.snapshots.current(tx).await?;
        let logins = logins::logins_of(tx, accounts).await?;
        // Only who has a stream can have removed subjects from it.
        let unsubscribed = if registry.iter().any(|rp| rp.config.stream.is_some()) {
            subjects::unsubscribed(tx, accounts, self.clock.now()).await?
        } else {
            BTreeMap::new()
        };
        Ok(plan(news, &registry, logins, &unsubscribed))
    }

    async fn write(
        &self,
        tx: &mut Tx<'_>,
        news: &[News],
        mut plan: Plan,
        written: &Written,
        inline: bool,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        logins::remember(tx, &plan.remember).await?;
        logins::forget(tx, &plan.forget.iter().collect()).await?;
        if plan.deliveries.is_empty() {
            return Ok(());
        }
        self.gather(tx, &mut plan.deliveries, now).await?;
        let places = self.places(tx, &plan.deliveries, inline, now).await?;
        let fence = if places.iter().any(|it| it.grant.is_some()) { tx.next_fence().await? } else { 0 };
        let fresh = many_time_ordered(now, news.len()).enumerate();
        let txns: Vec<String> = fresh.map(|(of, fresh)| written.txn(of).cloned().unwrap_or(fresh)).collect();
        let rows: Vec<NewRow<'_>> = plan
            .deliveries
            .iter()
            .zip(&places)
            .map(|(planned, place)| self.row(planned, place, &txns[planned.of], fence, now))
            .collect();
        let ids = insert(tx, &rows).await?;
        self.expect_receipts(tx, &plan.deliveries, &places, now).await?;
        count_unreachable(tx, &plan.deliveries);
        self.leave(tx, claimed(plan.deliveries, places, &ids, &txns, fence, now));
        Ok(())
    }

    /// Takes earlier, unsent profile changes into later ones, for those who want that.
    async fn gather(
        &self,
        tx: &mut Tx<'_>,
        deliveries: &mut [Planned],
        now: Millis,
    ) -> Result<(), StoreError> {
        let lines: BTreeSet<Line> =
            deliveries.iter().filter(|it| it.takes_in()).map(|it| it.line.clone()).collect();
        if lines.is_empty() {
            return Ok(());
        }
        let lines: BTreeSet<&Line> = lines.iter().collect();
        let mut taken = Vec::new();
        for earlier in unclaimed(tx, &lines).await? {
            let later = deliveries
                .iter_mut()
                .find(|it| it.takes_in() && it.line == earlier.line && it.event_type == earlier.event_type);
            if later.is_some_and(|later| later.take_in(&earlier.payload)) {
                taken.push(earlier.id);
            }
        }
        take_in(tx, &taken, now).await?;
        promote(tx, &lines).await.map(drop)
    }

    /// Decides which rows are heads of their lines, and which of those this process sends at once.
    async fn places(
        &self,
        tx: &mut Tx<'_>,
        deliveries: &[Planned],
        inline: bool,
        now: Millis,
    ) -> Result<Vec<Place>, StoreError> {
        let told = || deliveries.iter().filter(|it| it.is_told());
        let deletions: BTreeSet<&Line> =
            told().filter(|it| it.kind == EventKind::Delete).map(|it| &it.line).collect();
        make_way(tx, &deletions, now).await?;
        let lines: BTreeSet<&Line> = told().map(|it| &it.line).filter(|it| !deletions.contains(it)).collect();
        let mut taken = busy(tx, &lines).await?;
        let mut waits = Vec::new();
        let place = |(planned, jti): (&Planned, String)| {
            let is_first = if deletions.contains(&planned.line) {
                planned.kind == EventKind::Delete && planned.part == 0
            } else {
                planned.is_told()
            };
            // The set of lines that have their head grows as heads are found.
            let head = planned.is_told() && is_first && !taken.contains(&planned.line);
            let line = lines.get(&planned.line).copied().or_else(|| deletions.get(&planned.line).copied());
            if let Some(line) = line.filter(|_| head) {
                taken.insert(line);
            }
            let sender = if head && inline { self.lane_of(planned) } else { None };
            let grant = sender.as_ref().and_then(|lane| lane.grant(1, now));
            waits.extend(sender.filter(|_| grant.is_none()));
            Place { jti, head, grant }
        };
        let places = deliveries.iter().zip(many_time_ordered(now, deliveries.len())).map(place).collect();
        if !waits.is_empty() {
            tx.after_commit(move || waits.iter().for_each(|lane| lane.waits(1)));
        }
        Ok(places)
    }

    /// The lane of a delivery that a worker of this process sends, if there is one.
    fn lane_of(&self, planned: &Planned) -> Option<Arc<Lane>> {
        let rp = planned.rp.as_ref().filter(|rp| rp.is_sent_to())?;
        if self.handover.is_open() { self.lanes.of(rp) } else { None }
    }

    fn row<'a>(
        &'a self,
        planned: &'a Planned,
        place: &'a Place,
        txn: &'a str,
        fence: i64,
        now: Millis,
    ) -> NewRow<'a> {
        let (idp, subject) = planned.line.about.columns();
        let claimed = place.grant.is_some();
        NewRow {
            client_id: planned.line.client_id.as_str(),
            idp,
            subject,
            version: planned.version,
            part: i64::try_from(planned.part).unwrap_or(i64::MAX),
            kind: planned.kind.as_str(),
            event_type: planned.event_type.uri(),
            payload: &planned.payload,
            jti: &place.jti,
            txn,
            // RFC 7519 section 2 allows fractions, receivers do not; and never a moment that is still to come.
            iat: now.seconds(),
            event_at: planned.event_at,
            created_at: now,
            state: if planned.is_told() { 0 } else { crate::Terminal::Discarded.code() },
            head: i64::from(place.head),
            due_at: if claimed { now.plus(LEASE) } else { now.minus(SINCE) },
            owner: claimed.then_some(&*self.owner),
            fence: if claimed { fence } else { 0 },
            reason: planned.discarded,
            settled_at: planned.discarded.map(|_| now),
        }
    }

    async fn expect_receipts(
        &self,
        tx: &mut Tx<'_>,
        deliveries: &[Planned],
        places: &[Place],
        now: Millis,
    ) -> Result<(), StoreError> {
        let deletions = || deliveries.iter().zip(places).filter(|(it, _)| it.kind == EventKind::Delete);
        let hashes: BTreeMap<&AccountId, String> = deletions()
            .filter_map(|(it, _)| it.line.about.account())
            .map(|account| (account, self.tombstones.hash(account)))
            .collect();
        let expected: Vec<_> = deletions()
            .filter_map(|(it, place)| {
                let account = hashes.get(it.line.about.account()?)?;
                Some(receipts::Expected {
                    account,
                    client_id: it.line.client_id.as_str(),
                    jti: &place.jti,
                    state: if it.is_told() { 0 } else { crate::Terminal::Discarded.code() },
                    settled_at: it.discarded.map(|_| now),
                    reason: it.discarded,
                })
            })
            .collect();
        receipts::expect(tx, &expected, now).await
    }

    /// Hands over what this process has claimed, and says when the transaction is over.
    fn leave(&self, tx: &mut Tx<'_>, claimed: Vec<Held>) {
        let transaction = Arc::new(());
        self.handover.leave(claimed, Arc::downgrade(&transaction));
        tx.after_commit(move || drop(transaction));
    }
}

/// What this process has claimed, to be sent at once.
fn claimed(
    deliveries: Vec<Planned>,
    places: Vec<Place>,
    ids: &[i64],
    txns: &[String],
    fence: i64,
    now: Millis,
) -> Vec<Held> {
    let numbered = deliveries.into_iter().zip(places).zip(ids);
    let held = |((planned, place), id): ((Planned, Place), &i64)| {
        let mut grant = place.grant?;
        let delivery = Delivery {
            id: *id,
            client_id: planned.line.client_id,
            about: planned.line.about,
            kind: planned.kind.as_str().to_owned(),
            event_type: planned.event_type,
            payload: planned.payload,
            jti: place.jti,
            txn: txns.get(planned.of)?.clone(),
            iat: now.seconds(),
            event_at: planned.event_at,
            created_at: now,
            failures: 0,
            fence,
        };
        Some(Held { permit: grant.one()?, lane: grant.lane, delivery })
    };
    numbered.filter_map(held).collect()
}

fn count_unreachable(tx: &mut Tx<'_>, deliveries: &[Planned]) {
    let unreachable = deliveries.iter().filter(|it| it.discarded == Some(NO_ENDPOINT));
    let kinds: Vec<EventKind> = unreachable.map(|it| it.kind).collect();
    if !kinds.is_empty() {
        tx.after_commit(move || kinds.into_iter().for_each(meters::webhook_not_found));
    }
}

/// A UUID that sorts by its time (version 7, RFC 9562 section 5.7): the index of tokens grows at its end.
pub(crate) fn time_ordered(now: Millis) -> String {
    many_time_ordered(now, 1).collect()
}

/// So many of them: the source of randomness is asked once.
fn many_time_ordered(now: Millis, count: usize) -> impl Iterator<Item = String> {
    let millis = u64::try_from(now.get()).unwrap_or_default();
    let mut random = vec![[0; 10]; count];
    aws_lc_rs::rand::fill(random.as_flattened_mut()).expect("the system's random source works");
    let id = move |random| Builder::from_unix_timestamp_millis(millis, &random).into_uuid().to_string();
    random.into_iter().map(id)
}
