//! One attempt: from the claim to what is to be settled.

use crate::capability::{Inner, chance};
use crate::meters;
use crate::rules::{Before, Next, Outcome, after, before};
use crate::sealing::{Field, record};
use crate::store::claim::Claimed;
use crate::store::create::text;
use crate::store::settle::{Attempted, Renewal};
use crate::upstream::{Ask, Class, Fresh, Secret, Trouble};
use account::Millis;
use keys::CannotOpen;
use std::borrow::Cow;
use std::time::Duration;
use tokio::time::Instant;
use tracing::Instrument;
use tracing::field::{Empty, debug};

/// Presents a claimed grant's refresh token, once, if that may be done. A span says of which grant, and what came of it; no token
/// is in it.
pub(crate) async fn attempt(inner: &Inner, claimed: Claimed, is_waited_for: bool) -> Attempted {
    let (grant, idp) = (claimed.id.clone(), &claimed.account.idp);
    let Claimed { generation, fence, .. } = claimed;
    let span = tracing::debug_span!(
        "refresh", %grant, %idp, generation, fence, is_waited_for, outcome = Empty, next = Empty
    );
    let attempted = present(inner, claimed, is_waited_for).instrument(span.clone()).await;
    span.record("outcome", attempted.outcome()).record("next", debug(&attempted.next));
    attempted
}

async fn present(inner: &Inner, claimed: Claimed, is_waited_for: bool) -> Attempted {
    let now = inner.now();
    let policy = inner.settings().policy(&claimed.account.idp);
    let mut presented = claimed.presented;
    if is_waited_for {
        presented.used_at = now;
    }
    let instead = match before(&presented, &policy, now) {
        Before::Present => None,
        Before::Rest => Some(Next::Rest),
        Before::Retire(reason) => Some(Next::Retired(reason)),
    };
    if let Some(next) = instead {
        return unsent(claimed, next, None);
    }
    let kept = match opened(inner, &claimed).await {
        Ok(kept) => kept,
        // It says nothing about the grant: the key may come back.
        Err(why) => return not_taken(inner, claimed, &policy, "it was not sent", &why.to_string()),
    };
    // Just before: whoever was paused for longer than it is believed alive has lost its claim.
    if !inner.is_alive() {
        return not_taken(
            inner,
            claimed,
            &policy,
            "it was not sent",
            "this process was not heard of in time",
        );
    }
    let began = Instant::now();
    let (account, original) = (&claimed.account, claimed.original.as_ref());
    let dpop_key = kept.dpop_key.as_ref().map(|it| it.as_str());
    let ask = Ask { account, original, refresh_token: &kept.refresh_token, dpop_key, is_waited_for, now };
    let answer = inner.upstream.refresh(ask).await;
    let took = began.elapsed();
    judge(inner, claimed, &policy, answer, &kept, now, took).await
}

/// What is presented.
struct Kept {
    refresh_token: Secret,
    dpop_key: Option<Secret>,
}

async fn opened(inner: &Inner, claimed: &Claimed) -> Result<Kept, CannotOpen> {
    let Claimed { id, generation, refresh_token, dpop_key, .. } = claimed;
    let token = refresh_token.as_deref().unwrap_or_default();
    Ok(Kept {
        refresh_token: inner.open(id, *generation, Field::RefreshToken, token).await?,
        dpop_key: inner.open_if_there(id, *generation, Field::DpopKey, dpop_key.as_deref()).await?,
    })
}

async fn judge(
    inner: &Inner,
    claimed: Claimed,
    policy: &crate::rules::Policy,
    answer: Result<Fresh, Trouble>,
    old: &Kept,
    attempted_at: Millis,
    took: Duration,
) -> Attempted {
    let now = attempted_at.plus(took).max(inner.now());
    let outcome = outcome(&answer, attempted_at);
    meters::attempt(&claimed.account.idp, outcome.class(), took, now);
    learn(inner, &claimed, &answer, outcome, attempted_at, now);
    let next = after(outcome, &claimed.presented, policy, attempted_at, now, chance());
    match answer {
        Ok(fresh) => {
            if fresh.set_aside.is_some() {
                meters::set_aside(&claimed.account.idp, "set_aside");
            }
            let renewal = sealed(inner, &claimed, fresh, old, attempted_at).await;
            meters::renewed(&claimed.account.idp, renewal.rotated, now);
            let had_lapsed = claimed.expires_at.is_some_and(|at| at <= now);
            Attempted { renewal: Some(renewal), had_lapsed, ..unsent(claimed, next, None) }
        }
        Err(trouble) => {
            log(&claimed, &trouble);
            let is_lost = trouble.class == Class::Ambiguous;
            let unknowns = claimed.presented.history.unknowns + u32::from(is_lost);
            // What was not asked has not failed.
            let is_failure = trouble.class != Class::NotAsked;
            let failures = claimed.presented.failures.saturating_add(u32::from(is_failure));
            let first_at = claimed.presented.first_at;
            let in_doubt = is_lost || claimed.presented.state == crate::GrantState::Suspect;
            Attempted {
                failures,
                unknowns,
                presented_at: in_doubt.then_some(first_at),
                ..unsent(claimed, next, Some((outcome.class().into(), shortened(&trouble.text))))
            }
        }
    }
}

/// How much the identity provider bears. What it was not asked says nothing of it.
fn learn(
    inner: &Inner,
    claimed: &Claimed,
    answer: &Result<Fresh, Trouble>,
    outcome: Outcome,
    began_at: Millis,
    now: Millis,
) {
    let was_asked = answer.as_ref().err().is_none_or(|trouble| trouble.class != Class::NotAsked);
    if let Some(lane) = inner.lanes.get(&claimed.account.idp).filter(|_| was_asked) {
        lane.heard(outcome, began_at, inner.settings().concurrency, now);
    }
}

fn outcome(answer: &Result<Fresh, Trouble>, attempted_at: Millis) -> Outcome {
    match answer {
        Ok(fresh) => Outcome::Renewed { expires_at: fresh.expires_in.map(|life| attempted_at.plus(life)) },
        Err(trouble) => {
            let retry_after = trouble.retry_after;
            match trouble.class {
                Class::Terminal => Outcome::Refused,
                Class::Mismatch => Outcome::Mismatch,
                Class::Misconfigured => Outcome::Misconfigured,
                Class::Throttled => Outcome::Throttled { retry_after },
                Class::KnownFailed | Class::NotAsked => Outcome::NotTaken { retry_after },
                Class::Ambiguous => Outcome::Unknown,
            }
        }
    }
}

/// Seals new tokens for the next generation. Without a key nothing can be kept, and what is not kept is lost: so it waits
/// until there is one.
async fn sealed(inner: &Inner, claimed: &Claimed, fresh: Fresh, old: &Kept, attempted_at: Millis) -> Renewal {
    let generation = claimed.generation + 1;
    let refresh_token = fresh.refresh_token.as_ref().unwrap_or(&old.refresh_token);
    let rotated = *refresh_token != old.refresh_token;
    let seal = async |field, token: &str| {
        inner.seal_surely(&record(&claimed.id, generation, field), token.as_bytes()).await
    };
    let is_new = |claims: &crate::Object| claimed.claims.as_deref() != Some(&text(claims));
    Renewal {
        access_token: seal(Field::AccessToken, &fresh.access_token).await,
        refresh_token: seal(Field::RefreshToken, refresh_token).await,
        dpop_key: match &old.dpop_key {
            Some(key) => Some(seal(Field::DpopKey, key).await),
            None => None,
        },
        token_type: Some(fresh.token_type),
        rotated,
        scope: fresh.scope,
        claims: fresh.claims.filter(is_new),
        id_token: match &fresh.set_aside {
            Some(aside) => Some(seal(Field::IdToken, &aside.id_token).await),
            None => None,
        },
        verify_at: fresh.set_aside.as_ref().map(|aside| inner.verify_again_at(aside.retry_after)),
        expires_at: fresh.expires_in.map(|life| attempted_at.plus(life)),
    }
}

/// A claimed grant with what is to become of it, and nothing sent.
fn unsent(claimed: Claimed, next: Next, error: Option<(Cow<'static, str>, String)>) -> Attempted {
    let Claimed { id, account, fence, generation, presented, .. } = claimed;
    Attempted {
        id,
        account,
        fence,
        generation,
        next,
        renewal: None,
        failures: presented.failures,
        unknowns: presented.history.unknowns,
        presented_at: (presented.state == crate::GrantState::Suspect).then_some(presented.first_at),
        had_lapsed: false,
        error,
    }
}

fn not_taken(
    inner: &Inner,
    claimed: Claimed,
    policy: &crate::rules::Policy,
    what: &str,
    why: &str,
) -> Attempted {
    let now = inner.now();
    let outcome = Outcome::NotTaken { retry_after: None };
    let next = after(outcome, &claimed.presented, policy, now, now, chance());
    let failures = claimed.presented.failures.saturating_add(1);
    tracing::warn!(grant = %claimed.id, idp = %claimed.account.idp, why, "a grant cannot be refreshed now");
    let error = Some((outcome.class().into(), shortened(&format!("{what}: {why}"))));
    Attempted { failures, ..unsent(claimed, next, error) }
}

/// Only what somebody must look at is a line each; the rest is counted.
fn log(claimed: &Claimed, trouble: &Trouble) {
    let (idp, grant, text) = (&claimed.account.idp, &claimed.id, &trouble.text);
    match trouble.class {
        Class::Misconfigured => {
            tracing::error!(%idp, text, "the identity provider does not take us as we are configured: sessions are kept, mend it");
        }
        Class::Mismatch => {
            tracing::error!(%idp, %grant, text, "a refresh brought somebody else's tokens: the grant is ended");
        }
        Class::Ambiguous => tracing::warn!(%idp, %grant, text, "what came of a refresh is not known"),
        Class::Terminal | Class::Throttled | Class::KnownFailed | Class::NotAsked => {
            tracing::debug!(%idp, %grant, text, "a refresh failed");
        }
    }
}

pub(super) fn shortened(text: &str) -> String {
    text.chars().filter(|it| !it.is_control()).take(200).collect()
}
