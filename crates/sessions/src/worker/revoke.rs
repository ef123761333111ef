//! Tells identity providers of tokens that nobody needs any more, until they have heard it.

use crate::capability::{Inner, chance};
use crate::meters;
use crate::rules::back_off;
use crate::sealing::Field;
use crate::store::revocations::{
    ClaimRevocations, DONE, GIVEN_UP, PENDING, Revocation, SettleRevocations, Told,
};
use crate::upstream::{Class, Revoked, ToRevoke, Trouble};
use account::Millis;
use futures::future::join_all;
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;
use work::Tick;

/// Signalled when there is something to revoke.
pub(crate) const TOPIC: &str = "sessions.revocations";
const MOST: u32 = 16;
/// After so long it is given up: the tokens have most likely ended by themselves.
const LONGEST: Duration = Duration::from_hours(7 * 24);

/// One turn: a few of each identity provider that may be asked.
pub(crate) async fn revoke(inner: Arc<Inner>) -> Tick {
    match try_revoke(&inner).await {
        Ok(0) => Tick::Idle,
        Ok(_) => Tick::More,
        Err(error) => {
            tracing::warn!(%error, "cannot look for tokens to revoke");
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
        let given_up = inner.store.run(SettleRevocations { told, now: inner.now() }).await?;
        given_up.into_iter().for_each(meters::revocation_given_up);
    }
    Ok(all)
}

async fn tell(inner: &Inner, it: Revocation) -> Told {
    let now = inner.now();
    let outcome = tell_idp(inner, &it, now).await;
    let name = outcome.as_ref().map_or_else(|trouble| class(trouble.class), |done| done.as_str());
    metrics::counter!("sessions.revocations", "idp" => it.idp.as_str().to_owned(), "outcome" => name)
        .increment(1);
    let timing = inner.settings().policy(&it.idp).timing;
    let (state, error, wait) = match outcome {
        Ok(_) => (DONE, None, Duration::ZERO),
        Err(trouble) if now.since(it.created_at) > LONGEST || trouble.class == Class::Terminal => {
            let (idp, grant, text) = (&it.idp, &it.grant, &trouble.text);
            tracing::error!(%idp, %grant, text, "a grant that has ended cannot be revoked; it is given up");
            (GIVEN_UP, Some(trouble.text), Duration::ZERO)
        }
        Err(trouble) => {
            let wait = back_off(it.failures.saturating_add(1), trouble.retry_after, &timing, chance());
            (PENDING, Some(trouble.text), wait)
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

async fn tell_idp(inner: &Inner, it: &Revocation, now: Millis) -> Result<Revoked, Trouble> {
    let opened = async |field, sealed: &Option<String>| {
        let opened = inner.open_if_there(&it.grant, it.generation, field, sealed.as_deref()).await;
        opened.map_err(|error| Trouble {
            class: Class::KnownFailed,
            retry_after: None,
            text: error.to_string(),
        })
    };
    let refresh_token = opened(Field::RefreshToken, &it.refresh_token).await?;
    let access_token = opened(Field::AccessToken, &it.access_token).await?;
    let tokens = ToRevoke {
        idp: &it.idp,
        refresh_token: refresh_token.as_ref().map(|it| it.as_str()),
        access_token: access_token.as_ref().map(|it| it.as_str()),
        now,
    };
    inner.upstream.revoke(tokens).await
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
