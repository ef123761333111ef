//! A node that has failed: one row changes, and its users move as they come.

use super::nodes::{self, Node};
use super::residents::LOCK;
use crate::rules::{NodeName, RETIRED};
use account::Millis;
use serde::{Deserialize, Serialize};
use store::{Operation, StoreError, Tx};
use utoipa::ToSchema;

store::statements! {
    static MARK = both("update nodes set downed = 2 where id = $1 and downed <> 2");
    static RECORD = both(
        "insert into node_failures (node_id, failed_at, downed_before) values ($1, $2, $3)
        on conflict (node_id) do update set failed_at = excluded.failed_at, downed_before = excluded.downed_before"
    );
    static FAILURE = both(
        "select f.failed_at, f.downed_before,
            (select count(*) from users u
             where u.nodeid = f.node_id and u.replaced_at >= f.failed_at and u.generation < $2)
        from node_failures f where f.node_id = $1"
    );
    static UNMARK = both("update nodes set downed = $2 where id = $1 and downed = 2");
    static FORGET = both("delete from node_failures where node_id = $1");
    /// Where those who left since are now.
    static MOVED = both(
        "select u.uid, u.email, u.replaced_at, v.uid, n.node
        from users u
        left join users v on v.uid = (
            select max(x.uid) from users x
            where x.email = u.email and x.service + 0 = u.service and x.uid > u.uid and x.replaced_at + 0 is null
        )
        left join nodes n on n.id = v.nodeid
        where u.nodeid = $1 and u.replaced_at >= $2 and u.generation < $3 and u.uid > $4
        order by u.uid limit $5"
    );
}

/// Marks a node as failed.
pub(crate) struct FailNode {
    /// Which one.
    pub name: NodeName,
    /// The time.
    pub now: Millis,
}

/// Makes it as it was before it failed, while nobody has moved.
pub(crate) struct UndoFailure(pub NodeName);

/// What has come of a failure.
pub(crate) struct FindFailure {
    /// Of which node.
    pub name: NodeName,
    /// Only those whose row there is above this one.
    pub after: i64,
    /// At most so many of them.
    pub limit: i64,
}

/// A failure, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The node.
    pub node: Node,
    /// Since when.
    pub failed_at: Millis,
    /// How many users have left it since.
    pub moved: i64,
    /// Some of them.
    pub who: Vec<Mover>,
}

/// A user who has left a failed node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Mover {
    /// The row on the failed node.
    pub uid: i64,
    /// Who.
    pub email: String,
    /// When, in milliseconds since the epoch.
    #[schema(value_type = i64)]
    pub moved_at: Millis,
    /// The row since then; absent when the user has not come again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_uid: Option<i64>,
    /// Its node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_node: Option<String>,
}

/// What came of a word about a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failing {
    /// As it is now.
    Done(Node),
    /// There is no such node.
    Unknown,
    /// It was so already: it had failed, or it had not.
    Already(Node),
    /// So many users have left it meanwhile.
    Moved(i64),
}

impl Operation for FailNode {
    const NAME: &'static str = "tokenserver.fail_node";
    type Output = Failing;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Failing, StoreError> {
        let Some(node) = nodes::find(tx, &self.name).await? else { return Ok(Failing::Unknown) };
        if tx.execute(&MARK, &[node.id.into()]).await? == 0 {
            return Ok(Failing::Already(node));
        }
        let before = i64::from(node.downed);
        tx.execute(&RECORD, &[node.id.into(), self.now.into(), before.into()]).await?;
        Ok(Failing::Done(Node { downed: true, failed: true, ..node }))
    }
}

impl Operation for UndoFailure {
    const NAME: &'static str = "tokenserver.undo_failure";
    type Output = Failing;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Failing, StoreError> {
        let Some(node) = nodes::find(tx, &self.0).await? else { return Ok(Failing::Unknown) };
        tx.query(&LOCK, &[node.id.into()], |_| Ok(())).await?;
        let found = failure(tx, node.id).await?;
        let Some((_, before, moved)) = found.filter(|_| node.failed) else {
            return Ok(Failing::Already(node));
        };
        if moved > 0 {
            return Ok(Failing::Moved(moved));
        }
        tx.execute(&FORGET, &[node.id.into()]).await?;
        tx.execute(&UNMARK, &[node.id.into(), before.into()]).await?;
        Ok(Failing::Done(Node { downed: before != 0, failed: false, ..node }))
    }
}

/// Since when, what `downed` was before, how many have left.
async fn failure(tx: &mut Tx<'_>, node_id: i64) -> Result<Option<(Millis, i64, i64)>, StoreError> {
    let read = |row: &store::Row<'_>| Ok((Millis::new(row.int(0)?), row.int(1)?, row.int(2)?));
    tx.query_opt(&FAILURE, &[node_id.into(), RETIRED.into()], read).await
}

impl Operation for FindFailure {
    const NAME: &'static str = "tokenserver.find_failure";
    /// The node, and its failure if there was one. `None`: no such node.
    type Output = Option<(Node, Option<Failure>)>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let Some(node) = nodes::find(tx, &self.name).await? else { return Ok(None) };
        let Some((failed_at, _, moved)) = failure(tx, node.id).await? else { return Ok(Some((node, None))) };
        let asked = [node.id.into(), failed_at.into(), RETIRED.into(), self.after.into(), self.limit.into()];
        let who = tx
            .query(&MOVED, &asked, |row| {
                Ok(Mover {
                    uid: row.int(0)?,
                    email: row.text(1)?.to_owned(),
                    moved_at: Millis::new(row.int(2)?),
                    new_uid: row.opt_int(3)?,
                    new_node: row.opt_text(4)?.map(str::to_owned),
                })
            })
            .await?;
        Ok(Some((node.clone(), Some(Failure { node, failed_at, moved, who }))))
    }
}
