//! Who lives on a node, and what ends that: a node that is unassigned or removed, and a recount.

use super::nodes::{self, Node};
use super::rooms::{self, Places};
use crate::rules::NodeName;
use account::{AccountId, Millis};
use serde::Serialize;
use std::collections::BTreeMap;
use store::{Operation, RowSet, StoreError, Tx};

store::statements! {
    /// By the index of the node: on PostgreSQL the one of the ids would lead through everybody's rows.
    static RESIDENTS = per_engine {
        sqlite: "select uid, email from users
            where nodeid = $1 and replaced_at + 0 is null and uid > $2 order by uid limit $3",
        postgres: "select uid, email from users
            where nodeid = $1 and replaced_at + 0 is null and uid + 0 > $2 order by uid + 0 limit $3",
    };
    static OCCUPANCY = both(
        "select coalesce(sum(case when replaced_at is null then 1 else 0 end), 0),
            coalesce(sum(case when replaced_at is null then 0 else 1 end), 0)
        from users where nodeid = $1"
    );
    pub(super) static END = both(
        "update users set replaced_at = $2 from {rows $1: uid bigint} as r
        where users.uid = r.uid and users.nodeid + 0 = $3 and users.replaced_at + 0 is null and r.uid + 0 = r.uid
        returning users.uid"
    );
    pub(super) static LOCK = both("select id from nodes where id = $1 {for_update}");
    static DELETE = both("delete from nodes where id = $1");
    static FORGET_BUCKETS = both("delete from buckets where node_id = $1");
    static FORGET_DRAIN = both("delete from drains where node_id = $1");
    static FORGET_WEIGHT = both("delete from node_weights where node_id = $1");
    static FORGET_FAILURE = both("delete from node_failures where node_id = $1");
    static RECOUNT = both("update nodes set current_load = $2 where id = $1 and current_load <> $2");
}

/// A live row of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Resident {
    /// The row.
    pub uid: i64,
    /// Whose it is.
    #[serde(skip)]
    pub email: String,
}

/// The next live rows of a node, by their ids.
pub(crate) struct FindResidents {
    /// The node.
    pub node_id: i64,
    /// Only rows above this one.
    pub after: i64,
    /// At most so many.
    pub limit: i64,
}

/// What a node's rows are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Occupancy {
    /// Live rows.
    pub live: i64,
    /// Replaced rows, whose data on the node no purge has deleted yet.
    pub replaced: i64,
}

/// Counts a node's rows.
pub(crate) struct CountRows(pub i64);

/// Marks rows as replaced, with nothing in their place: their users are assigned anew when they come. How many were live.
pub(crate) struct Unassign {
    /// The node they are on.
    pub node_id: i64,
    /// The rows.
    pub residents: Vec<Resident>,
    /// Whose they are.
    pub accounts: Vec<AccountId>,
    /// The time.
    pub now: Millis,
}

/// Removes a node whose users have left.
pub(crate) struct RemoveNode {
    /// The node.
    pub node_id: i64,
    /// Also when data of replaced rows is still on it, which no purge can delete afterwards.
    pub with_data: bool,
}

/// What came of removing a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removed {
    /// It is gone.
    Done,
    /// Somebody else removed it.
    Unknown,
    /// It is as it was: there are rows on it.
    Occupied(Occupancy),
}

/// Sets a node's load to the number of its live rows, which it is unless others wrote it; what it was off by.
pub(crate) struct Recount(pub NodeName);

impl Operation for FindResidents {
    const NAME: &'static str = "tokenserver.find_residents";
    type Output = Vec<Resident>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        tx.query(&RESIDENTS, &[self.node_id.into(), self.after.into(), self.limit.into()], |row| {
            Ok(Resident { uid: row.int(0)?, email: row.text(1)?.to_owned() })
        })
        .await
    }
}

async fn occupancy(tx: &mut Tx<'_>, node_id: i64) -> Result<Occupancy, StoreError> {
    tx.query_one(&OCCUPANCY, &[node_id.into()], |row| {
        Ok(Occupancy { live: row.int(0)?, replaced: row.int(1)? })
    })
    .await
}

impl Operation for CountRows {
    const NAME: &'static str = "tokenserver.count_rows";
    type Output = Occupancy;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Occupancy, StoreError> {
        occupancy(tx, self.0).await
    }
}

impl Operation for Unassign {
    const NAME: &'static str = "tokenserver.unassign";
    type Output = i64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<i64, StoreError> {
        tx.lock_accounts(&self.accounts).await?;
        let ended = end(tx, &self.residents, self.node_id, self.now).await?;
        rooms::count(tx, BTreeMap::from([(self.node_id, -ended)]), Places::Move).await?;
        Ok(ended)
    }
}

/// Marks rows of a node as replaced; how many of them were live. They are not counted off yet.
pub(super) async fn end(
    tx: &mut Tx<'_>,
    rows: &[Resident],
    node_id: i64,
    now: Millis,
) -> Result<i64, StoreError> {
    let rows = RowSet::of(rows);
    let ended = tx.query(&END, &[(&rows).into(), now.into(), node_id.into()], |_| Ok(())).await?;
    Ok(i64::try_from(ended.len()).unwrap_or(i64::MAX))
}

impl Operation for RemoveNode {
    const NAME: &'static str = "tokenserver.remove_node";
    type Output = Removed;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Removed, StoreError> {
        let node_id = self.node_id;
        // Who takes a place on it has to wait from here on, and counts it when it is gone: for nothing, and the user is
        // assigned anew.
        if tx.query_opt(&LOCK, &[node_id.into()], |_| Ok(())).await?.is_none() {
            return Ok(Removed::Unknown);
        }
        let occupancy = occupancy(tx, node_id).await?;
        if occupancy.live > 0 || (occupancy.replaced > 0 && !self.with_data) {
            return Ok(Removed::Occupied(occupancy));
        }
        for sql in [&FORGET_BUCKETS, &FORGET_DRAIN, &FORGET_FAILURE, &FORGET_WEIGHT, &DELETE] {
            tx.execute(sql, &[node_id.into()]).await?;
        }
        Ok(Removed::Done)
    }
}

impl Operation for Recount {
    const NAME: &'static str = "tokenserver.recount";
    type Output = Option<(Node, i64)>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let Some(node) = nodes::find(tx, &self.0).await? else { return Ok(None) };
        // Invariant: whoever changes live rows changes the counter in the same transaction, after this lock is free. So
        // what is committed is in both numbers, and what is not is in neither.
        tx.query(&LOCK, &[node.id.into()], |_| Ok(())).await?;
        let live = occupancy(tx, node.id).await?.live;
        let Some(before) = nodes::find(tx, &NodeName::id(&self.0.service, node.id)).await? else {
            return Ok(None);
        };
        tx.execute(&RECOUNT, &[node.id.into(), live.into()]).await?;
        let off = before.current_load - live;
        Ok(Some((Node { current_load: live, ..before }, off)))
    }
}
