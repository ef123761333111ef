//! Looks at who users are: a step of its own, with its own pace and its own failures. None of them touches a grant or a
//! session; an access token that is not taken has its grant refreshed sooner, no more.

use super::shortened;
use crate::Object;
use crate::capability::{Inner, chance};
use crate::lanes::Lane;
use crate::meters;
use crate::rules::{Look, look_again};
use crate::sealing::Field;
use crate::settings::seconds;
use crate::store::changes;
use crate::store::create::text;
use crate::store::users::{ClaimUsers, DueUser, Looked, Right, SettleUsers};
use crate::upstream::{UserAsk, UserTrouble};
use futures::future::join_all;
use keys::CannotOpen;
use std::sync::Arc;
use store::StoreError;
use work::Tick;

/// Signalled when somebody has logged in, who is to be looked at.
pub(crate) const TOPIC: &str = "sessions.users";
/// The most that are looked at side by side at one identity provider.
const MOST: usize = 32;
/// The most bytes of claims that are kept of a user.
const LARGEST: usize = 32 * 1024;

/// One turn at one identity provider.
pub(crate) async fn look(inner: Arc<Inner>, lane: Arc<Lane>) -> Tick {
    match try_look(&inner, &lane).await {
        Ok(0) => Tick::Idle,
        Ok(_) => Tick::More,
        Err(error) => {
            tracing::warn!(%error, idp = %lane.idp, "cannot look for users whose claims are due");
            Tick::Failed
        }
    }
}

async fn try_look(inner: &Inner, lane: &Lane) -> Result<usize, StoreError> {
    let now = inner.now();
    let most = inner.upstream.userinfo_room(&lane.idp, now).min(MOST);
    if inner.settings().userinfo_seconds == 0 || most == 0 {
        return Ok(0);
    }
    let due = inner.store.run(ClaimUsers { idp: lane.idp.clone(), most, now }).await?;
    if due.is_empty() {
        return Ok(0);
    }
    let count = due.len();
    let looked = join_all(due.into_iter().map(|user| look_at(inner, user))).await;
    let now = inner.now();
    let has_news = looked.iter().any(|it| it.claims.is_some());
    let tried_by = now.minus(seconds(inner.settings().cool_off_seconds));
    let hurried = inner.store.run(SettleUsers { looked, tried_by, now }).await?;
    if has_news {
        inner.store.signals().send(changes::APPENDED);
    }
    if hurried > 0 {
        inner.store.signals().send(super::TOPIC);
    }
    Ok(count)
}

async fn look_at(inner: &Inner, user: DueUser) -> Looked {
    let told = match &user.right {
        Some(right) => ask(inner, &user, right).await,
        None => Err(UserTrouble::Nothing),
    };
    let now = inner.now();
    let outcome = told.as_ref().err().map_or("told", UserTrouble::name);
    meters::looked(&user.account.idp, outcome, now);
    let timing = inner.settings().policy(&user.account.idp).timing;
    let interval = seconds(inner.settings().userinfo_seconds);
    let look = told.as_ref().err().map_or(Look::Told, UserTrouble::look);
    let (next_fetch_at, failures) = look_again(look, user.failures, interval, &timing, now, chance());
    let error = told.as_ref().err().and_then(UserTrouble::text).map(shortened);
    let refused = user.right.filter(|_| look == Look::Refused && user.failures == 0);
    Looked {
        lease: user.lease,
        fetched_at: told.is_ok().then_some(now),
        claims: told.ok().filter(|claims| user.claims.as_deref() != Some(&text(claims))),
        next_fetch_at,
        failures,
        error,
        refused: refused.map(|right| (right.grant, right.generation)),
        account: user.account,
    }
}

async fn ask(inner: &Inner, user: &DueUser, right: &Right) -> Result<Object, UserTrouble> {
    let not_opened = |error: CannotOpen| UserTrouble::Failed {
        name: "not_opened",
        retry_after: None,
        text: error.to_string(),
    };
    let Right { grant, generation, access_token, dpop_key } = right;
    let access_token = inner.open(grant, *generation, Field::AccessToken, access_token).await;
    let access_token = access_token.map_err(not_opened)?;
    let dpop_key = inner.open_if_there(grant, *generation, Field::DpopKey, dpop_key.as_deref()).await;
    let dpop_key = dpop_key.map_err(not_opened)?;
    let ask = UserAsk {
        account: &user.account,
        access_token: &access_token,
        dpop_key: dpop_key.as_ref().map(|it| it.as_str()),
        now: inner.now(),
    };
    let claims = inner.upstream.userinfo(ask).await?;
    if text(&claims).len() > LARGEST {
        let text = format!("it says more of a user than {LARGEST} bytes");
        return Err(UserTrouble::Failed { name: "too_large", retry_after: None, text });
    }
    Ok(claims)
}
