//! Verifies ID tokens that were set aside because their keys could not be had when they came. Nothing is refreshed for it, and
//! whatever comes of it, the tokens beside them are good: whom they are about was judged when they came.

use crate::capability::{Inner, chance};
use crate::lanes::Lane;
use crate::sealing::Field;
use crate::settings::seconds;
use crate::store::changes;
use crate::store::create::text;
use crate::store::set_aside::{ClaimSetAside, Judged, SettleSetAside, Unverified};
use crate::upstream::{Against, Proof, Proven};
use crate::{Object, meters};
use account::Millis;
use futures::future::join_all;
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;
use work::Tick;

/// The most of one identity provider that are verified at once.
const MOST: i64 = 64;

/// One turn.
pub(crate) async fn verify(inner: Arc<Inner>) -> Tick {
    let mut count = 0;
    for lane in inner.lanes.iter() {
        match of(&inner, lane).await {
            Ok(verified) => count += verified,
            Err(error) => {
                tracing::warn!(%error, idp = %lane.idp, "cannot look for ID tokens that were set aside");
                return Tick::Failed;
            }
        }
    }
    if count == 0 { Tick::Idle } else { Tick::More }
}

async fn of(inner: &Inner, lane: &Lane) -> Result<usize, StoreError> {
    let claim = ClaimSetAside { idp: lane.idp.clone(), most: MOST, now: inner.now() };
    let claimed = inner.store.run(claim).await?;
    if claimed.is_empty() {
        return Ok(0);
    }
    let judged = join_all(claimed.into_iter().map(|it| judge(inner, it))).await;
    let (count, has_news) = (judged.len(), judged.iter().any(|it| it.claims.is_some()));
    inner.store.run(SettleSetAside { judged, now: inner.now() }).await?;
    if has_news {
        inner.store.signals().send(changes::APPENDED);
    }
    Ok(count)
}

async fn judge(inner: &Inner, it: Unverified) -> Judged {
    let proven = prove(inner, &it).await;
    let (outcome, claims, verify_at) = match proven {
        Proven::By(identity) => ("verified", news(&it, identity.claims), None),
        Proven::NotNow { retry_after } => ("not_now", None, Some(inner.verify_again_at(retry_after))),
        Proven::Absent => ("dropped", None, None),
        Proven::Not(why) => {
            let (idp, grant) = (&it.account.idp, &it.id);
            tracing::warn!(%idp, %grant, why, "an ID token that was set aside is not good: nothing it says is used");
            ("dropped", None, None)
        }
    };
    meters::set_aside(&it.account.idp, outcome);
    let Unverified { id, account, generation, lease, .. } = it;
    Judged { id, account, generation, lease, claims, verify_at }
}

fn news(it: &Unverified, claims: Object) -> Option<Object> {
    (it.claims.as_deref() != Some(&text(&claims))).then_some(claims)
}

async fn prove(inner: &Inner, it: &Unverified) -> Proven {
    let (grant, generation) = (&it.id, it.generation);
    let opened = (
        inner.open(grant, generation, Field::IdToken, &it.id_token).await,
        inner.open(grant, generation, Field::AccessToken, &it.access_token).await,
    );
    let (Ok(id_token), Ok(access_token)) = opened else {
        // Not ours to open is no verdict: the key may come back.
        return Proven::NotNow { retry_after: Duration::from_mins(1) };
    };
    let against = Against::Earlier { account: &it.account, original: it.original.as_ref() };
    let (idp, now) = (&it.account.idp, inner.now());
    inner.upstream.prove(Proof { idp, id_token: &id_token, access_token: &access_token, against, now }).await
}

impl Inner {
    /// When one that cannot be verified now is tried again.
    pub(crate) fn verify_again_at(&self, retry_after: Duration) -> Millis {
        let wait = retry_after.max(seconds(self.settings().cool_off_seconds));
        self.now().plus(wait + chance().part_of(wait / 10))
    }
}
