//! Settling: what came of attempts, many in one transaction.

use super::operations::tell_of_rp;
use super::record::{Line, promote};
use super::registry::{change, find};
use super::{receipts, repair};
use crate::delivery::{Effect, Next, Terminal};
use crate::{ClientId, Status};
use account::{AccountId, Millis};
use keys::Cipher;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use store::{Operation, RowSet, StoreError, Tx};

store::statements! {
    // The outcome of a claim that is no longer ours changes nothing.
    pub(super) static END = both(
        "update deliveries set state = r.state, head = 0, failures = r.failures, reason = r.reason, settled_at = $2,
           owner = null, attempt_at = r.attempt_at, attempt_ms = r.attempt_ms, attempt_status = r.attempt_status
         from {each $1: id bigint, fence bigint, state smallint, failures integer, reason text, attempt_at bigint,
           attempt_ms bigint, attempt_status integer} as r
         where deliveries.id = r.id and deliveries.fence = r.fence and deliveries.state = 0");
    // Which of them that ended, when it was not all.
    pub(super) static ENDED = per_engine {
        sqlite:
            "select d.id from {each $1: id bigint, fence bigint, state smallint} as r
             join deliveries d on d.id = r.id and d.fence = r.fence and d.state = r.state and d.settled_at = $2",
        postgres:
            "select d.id from {rows $1: id bigint, fence bigint, state smallint} as r cross join lateral
               (select * from deliveries x where x.id = r.id limit 1) as d
             where d.fence = r.fence and d.state = r.state and d.settled_at = $2",
    };
    pub(super) static PUT_OFF = both(
        "update deliveries set due_at = r.due_at, failures = r.failures, reason = r.reason, owner = null
         from {each $1: id bigint, fence bigint, due_at bigint, failures integer, reason text} as r
         where deliveries.id = r.id and deliveries.fence = r.fence and deliveries.state = 0");
    pub(super) static LOG = both(
        "insert into delivery_attempts (delivery, at, duration_ms, status, outcome, detail, answer)
         select r.delivery, r.at, r.duration_ms, r.status, r.outcome, r.detail, r.answer
         from {each $1: delivery bigint, at bigint, duration_ms bigint, status integer, outcome text, detail text,
           answer text} as r");
    pub(super) static TAKES = both(
        "update rp_health set failing_since = null from {rows $1: client_id text} as r
         where rp_health.client_id = r.client_id and rp_health.failing_since is not null");
    pub(super) static FAILS = both(
        "insert into rp_health (client_id, failing_since)
         select r.client_id, $2 from {rows $1: client_id text} as r where true
         on conflict (client_id) do update set failing_since = excluded.failing_since
         where rp_health.failing_since is null");
    pub(super) static FAILING_TOO_LONG = both(
        "select h.client_id from {rows $1: client_id text} as r join rp_health h on h.client_id = r.client_id
         where h.failing_since < $2");
}

/// One attempt and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Attempted {
    pub(crate) id: i64,
    pub(crate) fence: i64,
    pub(crate) line: Line,
    pub(crate) kind: String,
    pub(crate) jti: String,
    pub(crate) failures: u32,
    pub(crate) next: Next,
    pub(crate) effects: Vec<Effect>,
    pub(crate) attempt: Attempt,
}

/// What is kept of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) at: Millis,
    pub(crate) duration: Duration,
    pub(crate) status: Option<u16>,
    pub(crate) outcome: &'static str,
    pub(crate) detail: Option<String>,
    pub(crate) answer: Option<String>,
}

impl Attempted {
    /// Whether it was taken and nothing was said: then the attempt is part of the delivery's own row.
    fn is_plain(&self) -> bool {
        let is_delivered = matches!(self.next, Next::Ended(Terminal::Delivered));
        is_delivered && self.attempt.answer.is_none() && self.attempt.detail.is_none()
    }
}

impl Attempt {
    fn duration_ms(&self) -> u64 {
        u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Settles attempts.
pub(crate) struct Settle {
    pub(crate) attempts: Vec<Attempted>,
    pub(crate) cipher: Cipher,
    pub(crate) now: Millis,
    /// Whoever has only failed since before then is disabled.
    pub(crate) failing_limit: Millis,
}

/// What settling led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Whose lines have a new head, which may go at once, and how many those are at most.
    pub(crate) released: BTreeMap<ClientId, u32>,
    /// Who was disabled, and why.
    pub(crate) disabled: Vec<(ClientId, &'static str)>,
}

impl Operation for Settle {
    const NAME: &'static str = "broker.settle";
    /// A second run finds the fences used: it only logs the attempts again.
    const RESOLVES_UNKNOWN: bool = true;
    type Output = Settled;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Settled, StoreError> {
        let accounts: Vec<AccountId> =
            self.attempts.iter().filter_map(|it| it.line.about.account().cloned()).collect();
        tx.lock_accounts(&accounts).await?;
        let ended = self.end(tx).await?;
        self.put_off(tx).await?;
        let lines: BTreeSet<&Line> = ended.iter().map(|it| &it.line).collect();
        let released = self.release(tx, &lines).await?;
        receipts::settle(tx, &ended, self.now).await?;
        self.log(tx, &ended).await?;
        let disabled = self.judge_rps(tx).await?;
        Ok(Settled { released, disabled })
    }
}

impl Settle {
    fn which(&self, effect: Effect) -> BTreeSet<&ClientId> {
        self.attempts.iter().filter(|it| it.effects.contains(&effect)).map(|it| &it.line.client_id).collect()
    }

    /// Ends those that have ended; which of them were still ours to end.
    async fn end(&self, tx: &mut Tx<'_>) -> Result<Vec<&Attempted>, StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            id: i64,
            fence: i64,
            state: i64,
            failures: u32,
            reason: Option<&'a str>,
            attempt_at: Option<Millis>,
            attempt_ms: Option<u64>,
            attempt_status: Option<u16>,
        }
        let ended: BTreeMap<i64, (&Attempted, Terminal)> = self
            .attempts
            .iter()
            .filter_map(|it| match it.next {
                Next::Ended(how) => Some((it.id, (it, how))),
                Next::Again(_) => None,
            })
            .collect();
        if ended.is_empty() {
            return Ok(Vec::new());
        }
        let rows = RowSet::of(ended.values().map(|(it, how)| {
            let plain = Some(&it.attempt).filter(|_| it.is_plain());
            Row {
                id: it.id,
                fence: it.fence,
                state: how.code(),
                failures: it.failures,
                reason: it.attempt.detail.as_deref().filter(|_| *how != Terminal::Delivered),
                attempt_at: plain.map(|it| it.at),
                attempt_ms: plain.map(Attempt::duration_ms),
                attempt_status: plain.and_then(|it| it.status),
            }
        }));
        let params = [(&rows).into(), self.now.into()];
        // Nearly always they all are. To be told so row by row costs SQLite a table of its own for each.
        if tx.execute(&END, &params).await? == ended.len() as u64 {
            return Ok(ended.into_values().map(|(it, _)| it).collect());
        }
        let ours = tx.query(&ENDED, &params, |row| row.int(0)).await?;
        Ok(ours.iter().filter_map(|id| ended.get(id)).map(|(it, _)| *it).collect())
    }

    /// Puts those off that are tried again.
    async fn put_off(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            id: i64,
            fence: i64,
            due_at: Millis,
            failures: u32,
            reason: Option<&'a str>,
        }
        let rows: Vec<_> = self
            .attempts
            .iter()
            .filter_map(|it| match it.next {
                Next::Again(due_at) => Some(Row {
                    id: it.id,
                    fence: it.fence,
                    due_at,
                    failures: it.failures,
                    reason: it.attempt.detail.as_deref(),
                }),
                Next::Ended(_) => None,
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        tx.execute(&PUT_OFF, &[(&RowSet::of(rows)).into()]).await.map(drop)
    }

    async fn release(
        &self,
        tx: &mut Tx<'_>,
        lines: &BTreeSet<&Line>,
    ) -> Result<BTreeMap<ClientId, u32>, StoreError> {
        let mut released = BTreeMap::new();
        if promote(tx, lines).await? > 0 {
            for line in lines {
                *released.entry(line.client_id.clone()).or_default() += 1;
            }
        }
        Ok(released)
    }

    /// Logs the attempts that their deliveries' rows do not have: what failed, what was answered, what came too late.
    async fn log(&self, tx: &mut Tx<'_>, ended: &[&Attempted]) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            delivery: i64,
            at: Millis,
            duration_ms: u64,
            status: Option<u16>,
            outcome: &'a str,
            detail: Option<&'a str>,
            answer: Option<&'a str>,
        }
        let kept: BTreeSet<i64> = ended.iter().filter(|it| it.is_plain()).map(|it| it.id).collect();
        let rows: Vec<_> = self
            .attempts
            .iter()
            .filter(|it| !kept.contains(&it.id))
            .map(|it| Row {
                delivery: it.id,
                at: it.attempt.at,
                duration_ms: it.attempt.duration_ms(),
                status: it.attempt.status,
                outcome: it.attempt.outcome,
                detail: it.attempt.detail.as_deref(),
                answer: it.attempt.answer.as_deref(),
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        tx.execute(&LOG, &[(&RowSet::of(rows)).into()]).await.map(drop)
    }

    /// Keeps how the relying parties do, and disables who is gone or has failed for too long.
    async fn judge_rps(&self, tx: &mut Tx<'_>) -> Result<Vec<(ClientId, &'static str)>, StoreError> {
        let takes = self.which(Effect::RpTakes);
        let fails: BTreeSet<_> = self.which(Effect::RpFails).difference(&takes).copied().collect();
        if !takes.is_empty() {
            tx.execute(&TAKES, &[(&client_rows(&takes)).into()]).await?;
        }
        let mut out: BTreeMap<ClientId, &'static str> =
            self.which(Effect::DisableRp).into_iter().map(|it| (it.clone(), "gone")).collect();
        if !fails.is_empty() {
            let rows = client_rows(&fails);
            tx.execute(&FAILS, &[(&rows).into(), self.now.into()]).await?;
            let too_long = tx
                .query(&FAILING_TOO_LONG, &[(&rows).into(), self.failing_limit.into()], |row| {
                    super::registry::client_id(row.text(0)?)
                })
                .await?;
            out.extend(too_long.into_iter().map(|it| (it, "failing")));
        }
        let mut disabled = Vec::new();
        for (client_id, reason) in out {
            if self.disable(tx, &client_id, reason).await? {
                disabled.push((client_id, reason));
            }
        }
        Ok(disabled)
    }

    async fn disable(&self, tx: &mut Tx<'_>, client_id: &ClientId, reason: &str) -> Result<bool, StoreError> {
        let Some(mut kept) = find(tx, client_id, &self.cipher).await? else { return Ok(false) };
        if kept.rp.status != Status::Enabled {
            return Ok(false);
        }
        kept.rp.status = Status::Disabled { reason: reason.to_owned() };
        kept.rp.status_at = self.now;
        repair::tell_of_status(tx, &kept.rp, self.now).await?;
        tell_of_rp(tx, &kept.rp, &self.cipher, self.now).await?;
        change(tx, &kept.rp, &self.cipher, self.now).await?;
        Ok(true)
    }
}

fn client_rows(clients: &BTreeSet<&ClientId>) -> RowSet {
    #[derive(Serialize)]
    struct Row<'a> {
        client_id: &'a str,
    }
    RowSet::of(clients.iter().map(|it| Row { client_id: it.as_str() }))
}
