//! Claims, one at a time, beside all else: a claim is a transaction, and what was just handed over does not wait for it.

use crate::capability::Inner;
use crate::lanes::{Grant, Lane, Waiting};
use crate::store::claim::{AT_ONCE, Claim, Room};
use crate::store::rows::Delivery;
use crate::{ClientId, Status};
use account::Millis;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;
use tokio::time::Instant;

/// A claim costs much the same for one delivery as for many. So while every lane is busy the next one waits this long
/// for more room.
const GATHER: Duration = Duration::from_millis(20);

/// Where to look for what is to be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Look {
    /// Only where there may be something.
    Hinted,
    /// Everywhere.
    Everywhere,
}

/// The claims of one worker.
#[derive(Default)]
pub(super) struct Claims {
    wanted: Option<Look>,
    begun: Option<Instant>,
    under_way: Option<UnderWay>,
}

struct UnderWay {
    rooms: Vec<Claiming>,
    brings: BoxFuture<'static, Result<Vec<Delivery>, StoreError>>,
}

/// One lane's part of a claim.
struct Claiming {
    grant: Grant,
    asked: Waiting,
}

/// What was claimed for a lane, and the leave to send it.
pub(super) struct Claimed {
    pub(super) grant: Grant,
    pub(super) deliveries: Vec<Delivery>,
}

impl Claims {
    /// Somebody has to look.
    pub(super) fn want(&mut self, look: Look) {
        self.wanted = self.wanted.max(Some(look));
    }

    pub(super) const fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Begins a claim for every lane that may have something and has room, if one is wanted and none is under way. When
    /// it is worth while to wait for more room: until when.
    pub(super) fn begin(&mut self, inner: &Inner) -> Option<Instant> {
        let look = self.wanted.filter(|_| !self.is_under_way())?;
        let everywhere = look == Look::Everywhere;
        let lanes = inner.lanes.sent_to();
        let lanes = || lanes.iter().filter(|lane| everywhere || lane.may_have_backlog());
        let soonest = self.begun.map(|begun| begun + GATHER).filter(|soonest| *soonest > Instant::now());
        let now = inner.now();
        if soonest.is_some() && !lanes().any(|lane| lane.is_half_empty(now)) {
            return soonest;
        }
        self.wanted = None;
        let (rooms, asked): (Vec<_>, Vec<_>) = lanes().filter_map(|lane| room(lane, everywhere, now)).unzip();
        if rooms.is_empty() {
            return None;
        }
        let (store, claim) =
            (inner.store.clone(), Claim { rooms: asked, owner: inner.owner.to_string(), now });
        let brings = async move { store.run(claim).await }.boxed();
        (self.begun, self.under_way) = (Some(Instant::now()), Some(UnderWay { rooms, brings }));
        None
    }

    /// What the claim that is under way brings; waits for ever while none is.
    pub(super) async fn ended(&mut self, inner: &Inner) -> Result<Vec<Claimed>, StoreError> {
        let Some(under_way) = &mut self.under_way else { return std::future::pending().await };
        let brought = under_way.brings.as_mut().await;
        let rooms = self.under_way.take().map(|it| it.rooms).unwrap_or_default();
        let brought = match brought {
            Ok(brought) => brought,
            Err(error) => {
                for Claiming { grant, .. } in rooms {
                    grant.lane.may_have_more();
                    grant.give_back(inner.now());
                }
                return Err(error);
            }
        };
        let mut by_rp: HashMap<ClientId, Vec<Delivery>> = HashMap::new();
        for delivery in brought {
            by_rp.entry(delivery.client_id.clone()).or_default().push(delivery);
        }
        Ok(rooms.into_iter().map(|it| self.claimed(it, &mut by_rp)).collect())
    }

    fn claimed(&mut self, of: Claiming, by_rp: &mut HashMap<ClientId, Vec<Delivery>>) -> Claimed {
        let Claiming { grant, asked } = of;
        let deliveries = by_rp.remove(&grant.lane.rp.client_id).unwrap_or_default();
        let is_full = u32::try_from(deliveries.len()).is_ok_and(|count| count == grant.count());
        if is_full && asked == Waiting::Unknown {
            grant.lane.may_have_more();
            self.want(Look::Hinted);
        }
        Claimed { grant, deliveries }
    }
}

/// How much may be claimed for a lane. To who is paused or disabled goes only what is about its stream.
fn room(lane: &Arc<Lane>, everywhere: bool, now: Millis) -> Option<(Claiming, Room)> {
    let (grant, asked) = lane.grant_claim(everywhere, now)?;
    let due_by = if lane.rp.status == Status::Enabled { now } else { AT_ONCE };
    let room = Room { client_id: lane.rp.client_id.clone(), most: grant.count(), due_by };
    Some((Claiming { grant, asked }, room))
}
