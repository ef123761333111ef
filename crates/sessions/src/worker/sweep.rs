//! What happens by the clock, in one place at a time: sessions end when their time is over, what is old goes; and the claims
//! of those who are gone are taken from them.

use super::reseal::reseal;
use crate::capability::Inner;
use crate::meters;
use crate::rules::{Reason, WhenRetired};
use crate::settings::hours;
use crate::store::changes;
use crate::store::codes::DropCodes;
use crate::store::end::{End, EndBy, FindExpired, FindRunOut, RunOut};
use crate::store::reap::{FindAbandoned, Reap, Reaped};
use crate::store::retention::{
    CHUNK, DropChunk, LEFT_TOUCHES, OLD_ACTS, OLD_CHANGES, OLD_GRANTS, OLD_REVOCATIONS, OLD_SESSIONS,
    ReadOverdue,
};
use crate::store::revocations::ReadDepth;
use crate::store::users::ReadOverdueUsers;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::{Lease, Sql, StoreError};
use work::Tick;

/// The name of the lease under which the clock's work is done.
pub(crate) const LEASE: &str = "sessions.sweep";
/// How long it is held.
pub(crate) const LEASE_LIFE: Duration = Duration::from_secs(30);

/// Codes are forgotten after so long: no identity provider takes one for half as long (RFC 6749 section 4.1.2).
const CODES_LIFE: Duration = Duration::from_hours(1);

/// One turn: a chunk of everything, if it is this process's turn.
pub(crate) async fn sweep(inner: Arc<Inner>) -> Tick {
    match try_sweep(&inner).await {
        Ok(false) => Tick::Idle,
        Ok(true) => Tick::More,
        Err(error) => {
            tracing::warn!(%error, "sessions could not be swept");
            Tick::Failed
        }
    }
}

async fn try_sweep(inner: &Inner) -> Result<bool, StoreError> {
    let Some(lease) = inner.leases.acquire(LEASE, LEASE_LIFE).await? else {
        meters::lease(false);
        return Ok(false);
    };
    meters::lease(true);
    let expired = end_expired(inner).await?;
    let run_out = end_run_out(inner).await?;
    let dropped = drop_old(inner, &lease).await?;
    Ok(reseal(inner).await? | dropped | run_out | expired)
}

/// Ending twice does no harm, so this needs no fence: whoever is second finds nothing left.
async fn end_expired(inner: &Inner) -> Result<bool, StoreError> {
    let now = inner.now();
    let found = inner.store.scan(FindExpired { now, limit: CHUNK }).await?;
    if found.is_empty() {
        return Ok(false);
    }
    let more = found.len() == usize::try_from(CHUNK).unwrap_or(usize::MAX);
    let (sessions, accounts) = found.into_iter().unzip();
    let by = EndBy::Expired(sessions);
    let end = End { by, reason: Reason::Expired, accounts, actor: None, now, limit: CHUNK };
    inner.store.run(end).await?;
    tell_of_ends(inner);
    Ok(more)
}

/// Where sessions are not to outlive what they can be refreshed by. They are refused by then, whatever their rows say.
async fn end_run_out(inner: &Inner) -> Result<bool, StoreError> {
    let (now, settings, mut more) = (inner.now(), inner.settings(), false);
    let issued_by = now.minus(settings.timing().interval);
    for lane in inner.lanes.iter().filter(|it| settings.when_retired(&it.idp) == WhenRetired::End) {
        let found = FindRunOut { idp: lane.idp.clone(), now, issued_by, limit: CHUNK };
        let found = inner.store.scan(found).await?;
        more |= found.len() == usize::try_from(CHUNK).unwrap_or(usize::MAX);
        let mut by_reason: BTreeMap<Reason, Vec<RunOut>> = BTreeMap::new();
        for it in found {
            by_reason.entry(it.reason).or_default().push(it);
        }
        for (reason, grants) in by_reason {
            let (ids, accounts) = grants.into_iter().map(|it| (it.id, it.account)).unzip();
            let end = End { by: EndBy::Retired(ids), reason, accounts, actor: None, now, limit: CHUNK };
            inner.store.run(end).await?;
            tell_of_ends(inner);
        }
    }
    Ok(more)
}

fn tell_of_ends(inner: &Inner) {
    inner.store.signals().send(changes::APPENDED);
    inner.store.signals().send(super::revoke::TOPIC);
}

async fn drop_old(inner: &Inner, lease: &Lease) -> Result<bool, StoreError> {
    let settings = inner.settings();
    let kept = hours(settings.ended_days.saturating_mul(24));
    let chores: [(&'static Sql, Duration); 6] = [
        (&OLD_SESSIONS, kept),
        (&OLD_GRANTS, kept),
        (&OLD_REVOCATIONS, kept),
        (&OLD_CHANGES, hours(settings.changes_hours)),
        (&LEFT_TOUCHES, kept),
        (&OLD_ACTS, hours(settings.acts_days.saturating_mul(24))),
    ];
    let mut more = false;
    for (sql, age) in chores {
        let now = inner.now();
        let chunk = DropChunk { sql, before: now.minus(age), lease: lease.clone(), now };
        more |= inner.store.run(chunk).await? >= CHUNK.unsigned_abs();
    }
    let now = inner.now();
    let codes = DropCodes { before: now.minus(CODES_LIFE), lease: lease.clone(), now };
    Ok(more | (inner.store.run(codes).await? >= CHUNK.unsigned_abs()))
}

/// Takes claims away from those who are gone.
pub(crate) async fn reap(inner: Arc<Inner>) -> Tick {
    match try_reap(&inner).await {
        Ok(reaped) => {
            if reaped.again + reaped.retired > 0 {
                tracing::warn!(
                    again = reaped.again,
                    retired = reaped.retired,
                    "a process that refreshed grants is gone; its claims were taken over"
                );
                meters::reaped(reaped);
                inner.store.signals().send(super::TOPIC);
                inner.store.signals().send(changes::APPENDED);
            }
            Tick::Idle
        }
        Err(error) => {
            tracing::warn!(%error, "cannot look for claims of processes that are gone");
            Tick::Failed
        }
    }
}

async fn try_reap(inner: &Inner) -> Result<Reaped, StoreError> {
    let (now, settings) = (inner.now(), inner.settings());
    let accounts = inner.store.scan(FindAbandoned(now)).await?;
    let policies = Arc::new(move |idp: &account::IdpId| settings.policy(idp));
    inner.store.run(Reap { accounts, policies, now }).await
}

/// Measures what is outstanding.
pub(crate) async fn measure(inner: Arc<Inner>) -> Tick {
    match try_measure(&inner).await {
        Ok(()) => Tick::Idle,
        Err(_) => Tick::Failed,
    }
}

async fn try_measure(inner: &Inner) -> Result<(), StoreError> {
    let now = inner.now();
    for lane in inner.lanes.iter() {
        let (count, oldest) = inner.store.scan(ReadOverdue { idp: lane.idp.clone(), now }).await?;
        meters::overdue(&lane.idp, count, oldest, now);
        meters::breaker(&lane.idp, lane.standing(now).breaker);
        meters::limit(&lane.idp, lane.limit(inner.settings().concurrency));
        let (count, oldest) = inner.store.scan(ReadOverdueUsers { idp: lane.idp.clone(), now }).await?;
        meters::overdue_users(&lane.idp, count, oldest, now);
    }
    let (depth, oldest) = inner.store.scan(ReadDepth).await?;
    meters::outbox(depth, oldest, now);
    meters::in_flight(inner.under_way.lock().len());
    Ok(())
}
