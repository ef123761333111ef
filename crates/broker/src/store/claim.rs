//! Claiming: which deliveries a worker may send now.
//!
//! A claim names the relying parties that are open and have room, so one that is dead costs nothing, however much is
//! pending for it. Only heads are claimed, so that a line keeps its order. A claimed row is due again when its lease
//! ends; its fence tells a late worker's outcome from its successor's.

use super::rows::{Delivery, columns, delivery};
use crate::ClientId;
use account::Millis;
use serde::Serialize;
use std::time::Duration;
use store::{Operation, RowSet, StoreError, Tx};

/// How long a claim lasts: longer than the longest exchange.
pub(crate) const LEASE: Duration = Duration::from_mins(1);
/// What is due at this time or before is about the stream itself: it goes out even to who is paused.
pub(crate) const AT_ONCE: Millis = Millis::new(1);

store::statements! {
    pub(super) static DUE = both(
        "select r.client_id from {rows $1: client_id text, due_by bigint} as r
         where exists (select 1 from deliveries d
           where d.client_id = r.client_id and d.state = 0 and d.head = 1 and d.due_at <= r.due_by)");
    pub(super) static CLAIM = both(concat!(
        "update deliveries set owner = $3, fence = $4, due_at = $5 where id in (
           select id from deliveries where client_id = $1 and state = 0 and head = 1 and due_at <= $2
           order by due_at, id limit $6 {for_update_skip_locked})
         returning ", columns!("")));
    // A file has one owner: whatever was claimed before it started is claimed by nobody.
    pub(super) static RELEASE_ALL = both(
        "update deliveries set owner = null, due_at = $1 where state = 0 and owner is not null");
}

/// How much of a relying party's may be claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) client_id: ClientId,
    pub(crate) most: u32,
    /// Rows due by then.
    pub(crate) due_by: Millis,
}

/// Claims what is due, for those who have room. In the order it was made, for each relying party.
pub(crate) struct Claim {
    pub(crate) rooms: Vec<Room>,
    pub(crate) owner: String,
    pub(crate) now: Millis,
}

impl Operation for Claim {
    const NAME: &'static str = "broker.claim";
    /// What an unanswered run claimed is due again when the lease ends.
    const RESOLVES_UNKNOWN: bool = true;
    type Output = Vec<Delivery>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Delivery>, StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            client_id: &'a str,
            due_by: Millis,
        }
        let asked =
            self.rooms.iter().map(|room| Row { client_id: room.client_id.as_str(), due_by: room.due_by });
        let due = tx.query(&DUE, &[(&RowSet::of(asked)).into()], |row| Ok(row.text(0)?.to_owned())).await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let fence = tx.next_fence().await?;
        let mut claimed = Vec::new();
        for room in self.rooms.iter().filter(|room| due.iter().any(|it| it == room.client_id.as_str())) {
            let params = [
                room.client_id.as_str().into(),
                room.due_by.into(),
                (&self.owner).into(),
                fence.into(),
                self.now.plus(LEASE).into(),
                i64::from(room.most).into(),
            ];
            claimed.extend(tx.query(&CLAIM, &params, delivery).await?);
        }
        claimed.sort_by_key(|delivery| delivery.id);
        Ok(claimed)
    }
}

/// Frees every claim there is: at the start of the one process that owns a file.
pub(crate) struct ReleaseAll(pub(crate) Millis);

impl Operation for ReleaseAll {
    const NAME: &'static str = "broker.release_all";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = u64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        tx.execute(&RELEASE_ALL, &[self.0.into()]).await
    }
}
