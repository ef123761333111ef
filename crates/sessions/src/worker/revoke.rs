//! Tells identity providers of refresh tokens that nobody needs any more, until they have heard it.

use crate::capability::{Inner, chance};
use crate::rules::back_off;
use crate::sealing::Field;
use crate::store::revocations::{ClaimRevocations, Revocation, SettleRevocations, Told};
use crate::upstream::{Class, Trouble};
use account::Millis;
use futures::future::join_all;
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;
use work::Tick;

/// Signalled when there is something to revoke.
pub(crate) const TOPIC: &str = "sessions.revocations";
const MOST: u32 = 16;
/// After so long it is given up: the token has most likely ended by itself.
const GIVEN_UP: Duration = Duration::from_hours(7 * 24);

/// One turn: a few of each identity provider that may be asked.
pub(crate) async fn revoke(inner: Arc<Inner>) -> Tick {
    match try_revoke(&inner).await {
        Ok(0) => Tick::Idle,
        Ok(_) => Tick::More,
        Err(error) => {
            tracing::warn!(%error, "cannot look for refresh tokens to revoke");
            Tick::Failed
        }
    }
}

async fn try_revoke(inner: &Inner) -> Result<usize, StoreError> {
    let mut all = 0;
    for lane in inner.lanes.iter() {
        let now = inner.now();
        if !lane.standing(now).spared_for.is_zero() {
            continue;
        }
        let claim = ClaimRevocations { idp: lane.idp.clone(), most: MOST, now };
        let claimed = inner.store.run(claim).await?;
        if claimed.is_empty() {
            continue;
        }
        all += claimed.len();
        let told = join_all(claimed.into_iter().map(|it| tell(inner, it))).await;
        inner.store.run(SettleRevocations { told, now: inner.now() }).await?;
    }
    Ok(all)
}

async fn tell(inner: &Inner, it: Revocation) -> Told {
    let now = inner.now();
    let outcome = tell_idp(inner, &it, now).await;
    let class = outcome.as_ref().err().map_or("revoked", |trouble| class(trouble.class));
    metrics::counter!("sessions.revocations", "idp" => it.idp.as_str().to_owned(), "outcome" => class)
        .increment(1);
    let timing = inner.settings().policy(&it.idp).timing;
    let (state, error, wait) = match outcome {
        Ok(()) => (1, None, Duration::ZERO),
        Err(trouble) => {
            let over = now.since(it.created_at) > GIVEN_UP || trouble.class == Class::Terminal;
            let wait = back_off(it.failures.saturating_add(1), trouble.retry_after, &timing, chance());
            (if over { 2 } else { 0 }, Some(trouble.text), wait)
        }
    };
    Told {
        id: it.id,
        fence: it.fence,
        state,
        failures: it.failures + u32::from(error.is_some()),
        next_attempt_at: now.plus(wait),
        error_text: error.map(|text| text.chars().take(200).collect()),
    }
}

async fn tell_idp(inner: &Inner, it: &Revocation, now: Millis) -> Result<(), Trouble> {
    let opened = inner.open(&it.grant, it.generation, Field::RefreshToken, &it.token).await;
    let token = opened.map_err(|error| Trouble {
        class: Class::KnownFailed,
        retry_after: None,
        text: error.to_string(),
    })?;
    inner.upstream.revoke(&it.idp, &token, now).await
}

const fn class(class: Class) -> &'static str {
    match class {
        Class::Terminal => "terminal",
        Class::Mismatch => "mismatch",
        Class::Misconfigured => "misconfigured",
        Class::Throttled => "throttled",
        Class::KnownFailed => "known_failed",
        Class::Ambiguous => "ambiguous",
        Class::NotAsked => "not_asked",
    }
}
