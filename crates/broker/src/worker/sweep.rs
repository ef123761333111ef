//! What happens by the clock: what nobody tried for too long is given up, what nobody may have is discarded, what is
//! old goes.

use crate::capability::Inner;
use crate::delivery::Terminal;
use crate::meters;
use crate::settings::days;
use crate::store::erasure::{Erase, FindConfirmed};
use crate::store::list::ReadBacklog;
use crate::store::retention::{
    CHUNK, CountPending, DropChunk, EndPending, FindPending, FindStrangers, ForgetAttempts, OLD_ATTEMPTS,
    OLD_DELIVERIES, OLD_LOGINS, Which,
};
use crate::{ClientId, RelyingParty, Status};
use account::Millis;
use std::sync::Arc;
use std::time::Duration;
use store::{Sql, StoreError};
use work::Tick;

/// What is given up is at least this old, whatever the schedule.
const LEAST_AGE: Duration = Duration::from_hours(1);

/// One turn: a chunk of everything; whether there is more.
pub(crate) async fn sweep(inner: Arc<Inner>) -> Tick {
    match try_sweep(&inner).await {
        Ok(false) => Tick::Idle,
        Ok(true) => Tick::More,
        Err(error) => {
            tracing::warn!(%error, "old deliveries could not be swept");
            Tick::Failed
        }
    }
}

async fn try_sweep(inner: &Inner) -> Result<bool, StoreError> {
    let registry = inner.store.scan(crate::snapshot::ReadRegistry(inner.snapshots.clone())).await?;
    let mut more = false;
    for rp in registry.iter() {
        more |= sweep_rp(inner, rp).await?;
    }
    for client_id in inner.store.scan(FindStrangers).await? {
        let gone = Giving {
            due_before: Millis::MAX,
            ..Giving::up(Terminal::Discarded, "no longer a relying party")
        };
        let ended = gone.end(inner, &client_id).await?;
        meters::left_over(&client_id, ended);
        more |= ended > 0;
    }
    more |= drop_old(inner).await?;
    Ok(more)
}

async fn sweep_rp(inner: &Inner, rp: &RelyingParty) -> Result<bool, StoreError> {
    let now = inner.now();
    let client_id = &rp.client_id;
    match &rp.status {
        Status::Disabled { .. } => {
            let all = Giving {
                due_before: Millis::MAX,
                ..Giving::up(Terminal::Discarded, "the relying party is disabled")
            };
            Ok(all.end(inner, client_id).await? > 0)
        }
        Status::Enabled => {
            // Those whose turn never came: their receiver was given no chance, or took none.
            let before = now.minus(rp.config.retry.span().max(LEAST_AGE));
            let stale = Giving { due_before: before, ..Giving::up(Terminal::Exhausted, "not taken in time") };
            Ok(stale.end(inner, client_id).await? > 0)
        }
        Status::Paused => {
            let before = now.minus(days(inner.settings.paused_days));
            let aged = Giving {
                due_before: before,
                which: Which::Changes,
                ..Giving::up(Terminal::Discarded, "held too long while paused")
            };
            let over = inner.store.scan(CountPending(client_id.clone())).await?
                - i64::from(inner.settings.paused_rows);
            let many = Giving {
                due_before: Millis::MAX,
                which: Which::Changes,
                most: over.max(0),
                ..Giving::up(Terminal::Discarded, "too many held while paused")
            };
            Ok(aged.end(inner, client_id).await? + many.end(inner, client_id).await? > 0)
        }
    }
}

/// Ending pending deliveries untold.
struct Giving {
    due_before: Millis,
    which: Which,
    most: i64,
    how: Terminal,
    reason: &'static str,
}

impl Giving {
    fn up(how: Terminal, reason: &'static str) -> Self {
        Self { due_before: Millis::ZERO, which: Which::All, most: CHUNK, how, reason }
    }

    /// Ends a chunk of a relying party's; how many that were: there may be more unless it is none.
    async fn end(&self, inner: &Inner, client_id: &ClientId) -> Result<usize, StoreError> {
        if self.most == 0 {
            return Ok(0);
        }
        let find = FindPending {
            client_id: client_id.clone(),
            which: self.which,
            due_before: self.due_before,
            limit: self.most,
        };
        let found = inner.store.scan(find).await?;
        if found.len() == 0 {
            return Ok(0);
        }
        let end = EndPending { found, how: self.how, reason: self.reason, now: inner.now() };
        let ended = inner.store.run(end).await?;
        tracing::warn!(%client_id, ended, reason = self.reason, "deliveries were ended untold");
        metrics::counter!("broker.ended_untold", "client_id" => client_id.as_str().to_owned())
            .increment(u64::try_from(ended).unwrap_or(u64::MAX));
        Ok(ended)
    }
}

async fn drop_old(inner: &Inner) -> Result<bool, StoreError> {
    let now = inner.now();
    let settings = &inner.settings;
    let mut chores: Vec<(&'static Sql, u32)> =
        vec![(&OLD_ATTEMPTS, settings.attempts_days), (&OLD_DELIVERIES, settings.deliveries_days)];
    if settings.logins_days > 0 {
        chores.push((&OLD_LOGINS, settings.logins_days));
    }
    let mut more = false;
    for (sql, kept) in chores {
        let dropped = inner.store.run(DropChunk { sql, before: now.minus(days(kept)) }).await?;
        more |= dropped >= CHUNK.unsigned_abs();
    }
    if settings.attempts_days < settings.deliveries_days {
        more |= forget_attempts(inner, now.minus(days(settings.attempts_days))).await?;
    }
    Ok(more | erase_deleted(inner, now.minus(days(settings.deleted_accounts_days))).await?)
}

/// Forgets the attempts that are part of their deliveries' rows, which are kept longer; whether there may be more.
async fn forget_attempts(inner: &Inner, before: Millis) -> Result<bool, StoreError> {
    let from = *inner.attempts_forgotten.lock();
    let Some(reached) = inner.store.run(ForgetAttempts { from, before }).await? else { return Ok(false) };
    *inner.attempts_forgotten.lock() = reached;
    Ok(true)
}

/// Forgets who was deleted, once everybody has confirmed it; whether there may be more.
async fn erase_deleted(inner: &Inner, before: Millis) -> Result<bool, StoreError> {
    let accounts = inner.store.scan(FindConfirmed(before)).await?;
    if accounts.is_empty() {
        return Ok(false);
    }
    Ok(inner.store.run(Erase { accounts, before }).await? > 0)
}

/// Measures what is outstanding.
pub(crate) async fn measure(inner: Arc<Inner>) -> Tick {
    let registry = inner.store.scan(crate::snapshot::ReadRegistry(inner.snapshots.clone())).await;
    let backlog = inner.store.scan(ReadBacklog).await;
    match (registry, backlog) {
        (Ok(registry), Ok(backlog)) => {
            let clients: Vec<ClientId> = registry.iter().map(|rp| rp.client_id.clone()).collect();
            meters::backlog(&backlog, &clients, inner.now());
            meters::registry(&registry);
            meters::keys(&inner.signer.keys(), inner.now());
            Tick::Idle
        }
        _ => Tick::Failed,
    }
}
