//! Nodes that are emptied at a rate. What a drain has come to is in its row, written with each part it moves.

use super::nodes::{self, Node};
use crate::rules::{NodeName, Pace};
use account::Millis;
use serde::{Deserialize, Serialize};
use store::{Lease, Operation, Row, StoreError, Tx};
use utoipa::ToSchema;

store::statements! {
    /// Nobody is to come while it is drained.
    static CORDON = both("update nodes set backoff = 1 where id = $1");
    static BEGIN = both(
        "insert into drains (node_id, rate, began_at, total, moved, paced_from, paced_moved)
        select n.id, $2, $3, count(u.uid), 0, $3, 0
        from nodes n left join users u on u.nodeid = n.id and u.replaced_at is null
        where n.id = $1 group by n.id
        on conflict (node_id) do update set rate = excluded.rate, began_at = excluded.began_at,
            total = excluded.total, moved = 0, paced_from = excluded.paced_from, paced_moved = 0, ended_at = null,
            outcome = null, trouble = null
        where drains.ended_at is not null"
    );
    /// Another rate for one that is under way counts from now on.
    static RERATE = both(
        "update drains set rate = $2, paced_from = $3, paced_moved = 0 where node_id = $1 and ended_at is null"
    );
    static END = both(
        "update drains set ended_at = $2, outcome = $3, trouble = null where node_id = $1 and ended_at is null"
    );
    static LIST = both(
        "select d.node_id, n.node, d.rate, d.began_at, d.ended_at, d.outcome, d.total, d.moved,
            (select count(*) from users u where u.nodeid = d.node_id and u.replaced_at is null), d.trouble
        from drains d join nodes n on n.id = d.node_id
        where cast($1 as bigint) in (0, d.node_id)
        order by d.began_at desc, d.node_id"
    );
    static UNDER_WAY = both(
        "select d.node_id, d.rate, d.paced_from, d.paced_moved, s.service
        from drains d join nodes n on n.id = d.node_id join services s on s.id = n.service
        where d.ended_at is null order by d.node_id"
    );
    static IS_EMPTY = both("select 1 from users where nodeid = $1 and replaced_at is null limit 1");
}

/// What became of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DrainState {
    /// It goes on.
    Running,
    /// The node is empty.
    Done,
    /// An operator stopped it.
    Stopped,
}

/// A drain, as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Drain {
    /// The node's id.
    pub node_id: i64,
    /// The node.
    pub url: String,
    /// What became of it.
    pub state: DrainState,
    /// How many users are moved a second, at most.
    pub rate: i64,
    /// Since when, in milliseconds since the epoch.
    #[schema(value_type = i64)]
    pub began_at: Millis,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub ended_at: Option<Millis>,
    /// How many users lived there when it began.
    pub total: i64,
    /// How many it has moved.
    pub moved: i64,
    /// How many live there now.
    pub left: i64,
    /// Why it does not get on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// Begins to drain a node, or changes the rate of a drain under way. Nobody comes to the node from then on.
pub(crate) struct BeginDrain {
    /// Which node.
    pub name: NodeName,
    /// How many users a second.
    pub rate: i64,
    /// The time.
    pub now: Millis,
}

/// Stops a drain; the node stays cordoned.
pub(crate) struct StopDrain {
    /// Of which node.
    pub name: NodeName,
    /// The time.
    pub now: Millis,
}

/// Drains, the latest first: all of them, or a node's.
pub(crate) struct ListDrains(pub Option<i64>);

/// The drains that are under way.
pub(crate) struct DrainsUnderWay;

/// A drain that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnderWay {
    /// The node.
    pub node_id: i64,
    /// Its service, by name.
    pub service: String,
    /// At which pace.
    pub pace: Pace,
}

/// Ends a drain whose node is empty; false when it is not, or when the lease was lost.
pub(crate) struct FinishDrain {
    /// The node.
    pub node_id: i64,
    /// Nobody else drains while this is held.
    pub lease: Lease,
    /// The time.
    pub now: Millis,
}

impl Operation for BeginDrain {
    const NAME: &'static str = "tokenserver.begin_drain";
    /// `None`: no such node.
    type Output = Option<Drain>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let Some(Node { id, .. }) = nodes::find(tx, &self.name).await? else { return Ok(None) };
        let given = [id.into(), self.rate.into(), self.now.into()];
        if tx.execute(&BEGIN, &given).await? == 0 {
            tx.execute(&RERATE, &given).await?;
        }
        tx.execute(&CORDON, &[id.into()]).await?;
        Ok(list(tx, id).await?.into_iter().next())
    }
}

impl Operation for StopDrain {
    const NAME: &'static str = "tokenserver.stop_drain";
    /// The node, and its drain as it is now with whether it was running. `None`: no such node.
    type Output = Option<(Node, Option<(Drain, bool)>)>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let Some(node) = nodes::find(tx, &self.name).await? else { return Ok(None) };
        let stopped = tx.execute(&END, &[node.id.into(), self.now.into(), "stopped".into()]).await? > 0;
        let drain = list(tx, node.id).await?.into_iter().next();
        Ok(Some((node, drain.map(|drain| (drain, stopped)))))
    }
}

impl Operation for ListDrains {
    const NAME: &'static str = "tokenserver.list_drains";
    type Output = Vec<Drain>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Drain>, StoreError> {
        list(tx, self.0.unwrap_or(0)).await
    }
}

impl Operation for DrainsUnderWay {
    const NAME: &'static str = "tokenserver.drains_under_way";
    type Output = Vec<UnderWay>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        tx.query(&UNDER_WAY, &[], |row| {
            let pace = Pace { rate: row.int(1)?, from: Millis::new(row.int(2)?), done: row.int(3)? };
            Ok(UnderWay { node_id: row.int(0)?, service: row.text(4)?.to_owned(), pace })
        })
        .await
    }
}

impl Operation for FinishDrain {
    const NAME: &'static str = "tokenserver.finish_drain";
    type Output = bool;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        if !self.lease.still_held(tx, self.now).await? {
            return Ok(false);
        }
        if tx.query_opt(&IS_EMPTY, &[self.node_id.into()], |_| Ok(())).await?.is_some() {
            return Ok(false);
        }
        let done = [self.node_id.into(), self.now.into(), "done".into()];
        Ok(tx.execute(&END, &done).await? > 0)
    }
}

async fn list(tx: &mut Tx<'_>, node_id: i64) -> Result<Vec<Drain>, StoreError> {
    tx.query(&LIST, &[node_id.into()], read).await
}

fn read(row: &Row<'_>) -> Result<Drain, StoreError> {
    let state = match row.opt_text(5)? {
        None => DrainState::Running,
        Some("done") => DrainState::Done,
        Some(_) => DrainState::Stopped,
    };
    Ok(Drain {
        node_id: row.int(0)?,
        url: row.text(1)?.to_owned(),
        state,
        rate: row.int(2)?,
        began_at: Millis::new(row.int(3)?),
        ended_at: row.opt_int(4)?.map(Millis::new),
        total: row.int(6)?,
        moved: row.int(7)?,
        left: row.int(8)?,
        trouble: row.opt_text(9)?.map(str::to_owned),
    })
}
