//! Claiming: whose turn it is to be refreshed.
//!
//! A claim is the intent, committed before anything is sent: from then on the refresh token counts as presented, whatever
//! becomes of the process. It names its owner, who must be heard of every few seconds; one who is not has lost it
//! ([`super::reap`]). The fence tells a late outcome from its successor's.

use super::acts::{self, Actor};
use super::rows::{account, count, grant_id};
use crate::rules::{History, Presented};
use crate::upstream::Original;
use crate::{GrantId, GrantState, SessionId};
use account::{AccountId, IdpId, Millis};
use store::{Operation, Row, StoreError, Tx};

macro_rules! claimed_columns {
    () => {
        "id, idp, subject, state, generation, rotations, unknowns, failures, presented_at, used_at, refresh_token, claims,
         fence, original, dpop_key, expires_at"
    };
}
pub(super) use claimed_columns;

store::statements! {
    pub(super) static CLAIM = both(concat!(
        "update grants set owner = $3, fence = $4, last_attempt_at = $2, presented_at = coalesce(presented_at, $2)
         where id in (
           select id from grants where idp = $1 and state < 2 and owner is null and next_attempt_at <= $2
           order by next_attempt_at limit $5 {for_update_skip_locked})
         returning ", claimed_columns!()));
    pub(super) static CLAIM_ONE = both(concat!(
        "update grants set owner = $3, fence = $4, last_attempt_at = $2, presented_at = coalesce(presented_at, $2),
           used_at = $2
         where id = $1 and state < 2 and owner is null and generation = $5
         returning ", claimed_columns!()));
    pub(super) static BEAT = both(
        "insert into session_refreshers (owner, alive_until) values ($1, $2)
         on conflict (owner) do update set alive_until = excluded.alive_until");
    // A file has one owner: nobody else's claims hold.
    static FORGET_OTHERS = both("delete from session_refreshers where owner <> $1");
}

/// A grant whose turn it is.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    pub(crate) id: GrantId,
    pub(crate) account: AccountId,
    pub(crate) original: Option<Original>,
    pub(crate) generation: i64,
    pub(crate) presented: Presented,
    /// Sealed.
    pub(crate) refresh_token: Option<String>,
    /// Sealed; the key that it is bound to, if it is.
    pub(crate) dpop_key: Option<String>,
    /// Its access token's end, if it was told.
    pub(crate) expires_at: Option<Millis>,
    /// As the last ID token had them.
    pub(crate) claims: Option<String>,
    /// Whose claim it is.
    pub(crate) fence: i64,
}

pub(super) fn claimed(row: &Row<'_>) -> Result<Claimed, StoreError> {
    let generation = row.int(4)?;
    let presented = Presented {
        state: GrantState::from_code(row.int(3)?),
        history: History { refreshes: generation, rotations: row.int(5)?, unknowns: count(row.int(6)?) },
        failures: count(row.int(7)?),
        first_at: Millis::new(row.opt_int(8)?.unwrap_or_default()),
        used_at: Millis::new(row.int(9)?),
    };
    Ok(Claimed {
        id: grant_id(row.text(0)?)?,
        account: account(row.text(1)?, row.text(2)?)?,
        generation,
        presented,
        refresh_token: row.opt_text(10)?.map(str::to_owned),
        claims: row.opt_text(11)?.map(str::to_owned),
        fence: row.int(12)?,
        original: row.opt_text(13)?.and_then(|text| serde_json::from_str(text).ok()),
        dpop_key: row.opt_text(14)?.map(str::to_owned),
        expires_at: row.opt_int(15)?.map(Millis::new),
    })
}

/// Claims what is due, the longest due first, for identity providers that may be asked.
pub(crate) struct Claim {
    pub(crate) rooms: Vec<(IdpId, u32)>,
    pub(crate) owner: String,
    pub(crate) now: Millis,
}

impl Operation for Claim {
    const NAME: &'static str = "sessions.claim";
    type Output = Vec<Claimed>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Claimed>, StoreError> {
        let fence = tx.next_fence().await?;
        let mut all = Vec::new();
        for (idp, most) in &self.rooms {
            let params = [
                idp.as_str().into(),
                self.now.into(),
                (&self.owner).into(),
                fence.into(),
                i64::from(*most).into(),
            ];
            all.extend(tx.query(&CLAIM, &params, claimed).await?);
        }
        Ok(all)
    }
}

/// Claims one, for somebody who waits: if nobody has it, and nobody has refreshed it meanwhile.
pub(crate) struct ClaimOne {
    pub(crate) grant: GrantId,
    pub(crate) generation: i64,
    pub(crate) owner: String,
    /// Who asked for a refresh of which session, if it was asked for by itself.
    pub(crate) asked: Option<(Actor, SessionId)>,
    pub(crate) now: Millis,
}

impl Operation for ClaimOne {
    const NAME: &'static str = "sessions.claim_one";
    type Output = Option<Claimed>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<Claimed>, StoreError> {
        let params = [
            self.grant.as_str().into(),
            self.now.into(),
            (&self.owner).into(),
            tx.next_fence().await?.into(),
            self.generation.into(),
        ];
        let claimed = tx.query_opt(&CLAIM_ONE, &params, claimed).await?;
        if let (Some(_), Some((actor, session))) = (&claimed, &self.asked) {
            acts::refreshed(tx, actor, session, self.now).await?;
        }
        Ok(claimed)
    }
}

/// Says that an owner is alive.
pub(crate) struct Beat {
    pub(crate) owner: String,
    pub(crate) alive_until: Millis,
}

impl Operation for Beat {
    const NAME: &'static str = "sessions.beat";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        tx.execute(&BEAT, &[(&self.owner).into(), self.alive_until.into()]).await.map(drop)
    }
}

/// At the start of the one process that owns a file: whoever was before it is not alive.
pub(crate) struct ForgetOthers(pub(crate) String);

impl Operation for ForgetOthers {
    const NAME: &'static str = "sessions.forget_others";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = u64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        tx.execute(&FORGET_OTHERS, &[(&self.0).into()]).await
    }
}
