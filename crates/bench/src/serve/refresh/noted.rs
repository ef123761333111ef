//! What is presented when: between the worker and the identity provider, and in nobody's way.

use crate::latency::{Latencies, Percentiles};
use crate::wall::wall_us;
use account::{IdpId, Millis, Subject};
use anyhow::{Context, Result};
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use sessions::Object;
use sessions::upstream::{
    Ask, Code, Fresh, Given, LoginIdps, NotHeard, Proof, Proven, Revoked, Secret, SignedOut, Standing,
    ToRevoke, Trouble, Upstream, UserAsk, UserTrouble,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// The identity providers, and what was noted of asking them.
pub(super) struct Noted {
    there: LoginIdps,
    /// When the first new tokens were there; microseconds since the epoch, zero before.
    first_us: AtomicI64,
    renewed: AtomicU64,
    failed: AtomicU64,
    pace: Option<Mutex<Pace>>,
}

/// When each was due, and how much later it was presented.
struct Pace {
    /// A grant is due so long after its last attempt.
    life: Duration,
    last: HashMap<Subject, Millis>,
    lags: Latencies,
}

impl Noted {
    pub(super) fn new(there: LoginIdps) -> Arc<Self> {
        Arc::new(Self::noting(there, None))
    }

    /// One that also notes how late each is presented whose tokens live for so long and are refreshed when they end.
    pub(super) fn paced(there: LoginIdps, life: Duration) -> Arc<Self> {
        let pace = Pace { life, last: HashMap::new(), lags: Latencies::default() };
        Arc::new(Self::noting(there, Some(Mutex::new(pace))))
    }

    fn noting(there: LoginIdps, pace: Option<Mutex<Pace>>) -> Self {
        let (first_us, renewed, failed) = Default::default();
        Self { there, first_us, renewed, failed, pace }
    }

    /// When the first new tokens were there.
    pub(super) fn first_us(&self) -> Option<i64> {
        Some(self.first_us.load(Ordering::Relaxed)).filter(|us| *us > 0)
    }

    pub(super) fn renewed(&self) -> u64 {
        self.renewed.load(Ordering::Relaxed)
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// How late they were since the last time; of those that came before, nothing is known.
    pub(super) fn lags(&self) -> Result<Option<Percentiles>> {
        let pace = self.pace.as_ref().context("it notes no lags")?;
        Ok(std::mem::take(&mut pace.lock().lags).percentiles())
    }

    fn begins(&self, ask: &Ask<'_>) {
        let Some(pace) = &self.pace else { return };
        let mut pace = pace.lock();
        if let Some(last) = pace.last.insert(ask.account.subject.clone(), ask.now) {
            let due = last.plus(pace.life);
            pace.lags.add(ask.now.since(due));
        }
    }

    fn ended(&self, outcome: &Result<Fresh, Trouble>) {
        match outcome {
            Ok(_) => {
                self.renewed.fetch_add(1, Ordering::Relaxed);
                let first = (0, wall_us());
                let _ =
                    self.first_us.compare_exchange(first.0, first.1, Ordering::Relaxed, Ordering::Relaxed);
            }
            Err(_) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Upstream for Noted {
    fn idps(&self) -> Vec<IdpId> {
        self.there.idps()
    }

    fn standing(&self, idp: &IdpId, now: Millis) -> Standing {
        self.there.standing(idp, now)
    }

    fn exchange<'a>(&'a self, code: Code<'a>) -> BoxFuture<'a, Result<Given, Trouble>> {
        self.there.exchange(code)
    }

    fn prove<'a>(&'a self, ask: Proof<'a>) -> BoxFuture<'a, Proven> {
        self.there.prove(ask)
    }

    fn fresh_key(&self, idp: &IdpId) -> Result<Option<Secret>, Trouble> {
        self.there.fresh_key(idp)
    }

    fn check_key(&self, idp: &IdpId, key: Option<&str>) -> Result<(), String> {
        self.there.check_key(idp, key)
    }

    fn refresh<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Result<Fresh, Trouble>> {
        async move {
            self.begins(&ask);
            let outcome = self.there.refresh(ask).await;
            self.ended(&outcome);
            outcome
        }
        .boxed()
    }

    fn userinfo_room(&self, idp: &IdpId, now: Millis) -> usize {
        self.there.userinfo_room(idp, now)
    }

    fn userinfo<'a>(&'a self, ask: UserAsk<'a>) -> BoxFuture<'a, Result<Object, UserTrouble>> {
        self.there.userinfo(ask)
    }

    fn signed_out<'a>(
        &'a self,
        idp: &'a IdpId,
        logout_token: &'a str,
        now: Millis,
    ) -> BoxFuture<'a, Result<SignedOut, NotHeard>> {
        self.there.signed_out(idp, logout_token, now)
    }

    fn revoke<'a>(&'a self, tokens: ToRevoke<'a>) -> BoxFuture<'a, Result<Revoked, Trouble>> {
        self.there.revoke(tokens)
    }
}
