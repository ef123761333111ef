//! Which node each bucket of a service is on.

use super::nodes::{self, Node};
use super::rooms::room_from;
use crate::rules::{BUCKETS, Mapped, Room, ServiceName, Weighted, bucket_of, spread};
use account::Millis;
use serde::Serialize;
use store::{Operation, Row, RowSet, StoreError, Tx};

store::statements! {
    /// Who changes the buckets of a service, one after the other.
    static LOCK = both("select id from services where service = $1 {for_update}");
    static ALL = both("select bucket, node_id, moved_at from buckets where service = $1");
    /// Only where the bucket's users are taken in: nobody leaves a node for one that is closed.
    static TAKEN_IN = both(
        "select b.bucket, b.node_id, b.moved_at from buckets b
        join services s on s.id = b.service
        join nodes n on n.id = b.node_id and n.downed = 0 and n.backoff = 0
        where s.service = $1"
    );
    /// The same for the buckets of some users, with the nodes. On SQLite the users come first, whatever it thinks of it: the
    /// other way each bucket there is would be held against each user.
    static OF_USERS = per_engine {
        sqlite: "select r.n, b.node_id, b.moved_at, n.id, n.node, n.available, n.current_load, n.capacity
            from {rows $2: n bigint, bucket bigint} as r
            cross join buckets b on b.service = $1 and b.bucket = r.bucket
            cross join nodes n on n.id = b.node_id and n.downed = 0 and n.backoff = 0",
        postgres: "select r.n, b.node_id, b.moved_at, n.id, n.node, n.available, n.current_load, n.capacity
            from {rows $2: n bigint, bucket bigint} as r
            join buckets b on b.service = $1 and b.bucket = r.bucket
            join nodes n on n.id = b.node_id and n.downed = 0 and n.backoff = 0",
    };
    static PUT = both(
        "insert into buckets (service, bucket, node_id, moved_at)
        select $1, r.bucket, r.node_id, $3
        from {rows $2: bucket bigint, node_id bigint} as r
        where true
        on conflict (service, bucket) do update set node_id = excluded.node_id, moved_at = excluded.moved_at"
    );
    static WEIGHTS = both("select node_id, weight from node_weights");
    static WEIGH = both(
        "insert into node_weights (node_id, weight) values ($1, $2)
        on conflict (node_id) do update set weight = excluded.weight"
    );
    static UNWEIGH = both("delete from node_weights where node_id = $1");
}

/// Every bucket of a service whose users are taken in where it is.
pub(crate) struct ReadBuckets(pub ServiceName);

/// Spreads the buckets of a service over its nodes by their weights; what was moved, by bucket.
pub(crate) struct SpreadBuckets {
    /// Whose.
    pub service: ServiceName,
    /// Only tell.
    pub dry_run: bool,
    /// Only when none of them is anywhere yet.
    pub first_only: bool,
    /// The time.
    pub now: Millis,
}

/// Moves buckets to a node; how many were elsewhere.
pub(crate) struct MoveBuckets {
    /// Whose.
    pub service: ServiceName,
    /// Which.
    pub buckets: Vec<usize>,
    /// Where to.
    pub node_id: i64,
    /// The time.
    pub now: Millis,
}

/// Sets what a node weighs; as much as it can hold, without a number.
pub(crate) struct WeighNode {
    /// Which.
    pub node_id: i64,
    /// How much.
    pub weight: Option<i64>,
}

/// A node, with what it has of the buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// The node.
    pub node: Node,
    /// What it weighs.
    pub weight: i64,
    /// The buckets that are on it.
    pub buckets: Vec<usize>,
}

/// The nodes of a service with their buckets, and the buckets that are on none of them.
pub(crate) struct ListShares(pub ServiceName);

impl Operation for ReadBuckets {
    const NAME: &'static str = "tokenserver.read_buckets";
    type Output = Vec<Option<Mapped>>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let mut all = vec![None; BUCKETS];
        for (bucket, mapped) in tx.query(&TAKEN_IN, &[self.0.as_str().into()], read).await? {
            if let Some(place) = all.get_mut(bucket) {
                *place = Some(mapped);
            }
        }
        Ok(all)
    }
}

impl Operation for SpreadBuckets {
    const NAME: &'static str = "tokenserver.spread_buckets";
    type Output = Vec<(usize, i64)>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let Some(service) = lock(tx, &self.service).await? else { return Ok(Vec::new()) };
        let mapped = all(tx, service).await?;
        let is_first = mapped.iter().all(Option::is_none);
        if self.first_only && !is_first {
            return Ok(Vec::new());
        }
        let (mut weighted, mut kept) = (Vec::new(), Vec::new());
        for (node, weight) in weighed(tx, &self.service).await? {
            match node {
                Node { downed: true, .. } => {}
                Node { backoff: true, .. } => kept.push(node.id),
                _ => weighted.push(Weighted { id: node.id, weight }),
            }
        }
        let moves = spread(&mapped, &weighted, &kept);
        if !self.dry_run {
            // Where nothing was mapped nobody is left behind.
            let moved_at = if is_first { Millis::ZERO } else { self.now };
            put(tx, service, &moves, moved_at).await?;
        }
        Ok(moves)
    }
}

impl Operation for MoveBuckets {
    const NAME: &'static str = "tokenserver.move_buckets";
    type Output = usize;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<usize, StoreError> {
        let Some(service) = lock(tx, &self.service).await? else { return Ok(0) };
        let mapped = all(tx, service).await?;
        let elsewhere = |bucket: &&usize| mapped.get(**bucket).is_some_and(|on| *on != Some(self.node_id));
        let moves: Vec<_> =
            self.buckets.iter().filter(elsewhere).map(|bucket| (*bucket, self.node_id)).collect();
        put(tx, service, &moves, self.now).await?;
        Ok(moves.len())
    }
}

impl Operation for WeighNode {
    const NAME: &'static str = "tokenserver.weigh_node";
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        match self.weight {
            Some(weight) => tx.execute(&WEIGH, &[self.node_id.into(), weight.into()]).await.map(drop),
            None => tx.execute(&UNWEIGH, &[self.node_id.into()]).await.map(drop),
        }
    }
}

impl Operation for ListShares {
    const NAME: &'static str = "tokenserver.list_shares";
    type Output = (Vec<Share>, Vec<usize>);

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let nodes = weighed(tx, &self.0).await?;
        let Some(service) = nodes::find_service(tx, &self.0).await? else {
            return Ok((Vec::new(), Vec::new()));
        };
        let mapped = all(tx, service).await?;
        let on = |id: Option<i64>| {
            let buckets = mapped.iter().enumerate().filter(move |(_, on)| **on == id);
            buckets.map(|(bucket, _)| bucket).collect()
        };
        let known: Vec<_> = nodes.iter().map(|(node, _)| node.id).collect();
        let shares: Vec<_> = nodes
            .into_iter()
            .map(|(node, weight)| Share { weight, buckets: on(Some(node.id)), node })
            .collect();
        let homeless = mapped.iter().enumerate().filter(|(_, on)| on.is_none_or(|on| !known.contains(&on)));
        Ok((shares, homeless.map(|(bucket, _)| bucket).collect()))
    }
}

/// Where the buckets of these users are, and the nodes there. Without those whose bucket's node takes nobody.
pub(super) async fn of_users<'a>(
    tx: &mut Tx<'_>,
    service: i64,
    users: &[&'a str],
) -> Result<Vec<(&'a str, Mapped, Room)>, StoreError> {
    #[derive(Serialize)]
    struct Given {
        n: usize,
        bucket: usize,
    }
    let given = RowSet::of(users.iter().enumerate().map(|(n, user)| Given { n, bucket: bucket_of(user) }));
    let take = |row: &Row<'_>| {
        let (n, mapped) = read(row)?;
        Ok((users[n], mapped, room_from(row, 3)?))
    };
    tx.query(&OF_USERS, &[service.into(), (&given).into()], take).await
}

/// `None` for a service that has no row yet, and so no nodes.
async fn lock(tx: &mut Tx<'_>, service: &ServiceName) -> Result<Option<i64>, StoreError> {
    tx.query_opt(&LOCK, &[service.as_str().into()], |row| row.int(0)).await
}

async fn all(tx: &mut Tx<'_>, service: i64) -> Result<Vec<Option<i64>>, StoreError> {
    let mut all = vec![None; BUCKETS];
    for (bucket, mapped) in tx.query(&ALL, &[service.into()], read).await? {
        if let Some(place) = all.get_mut(bucket) {
            *place = Some(mapped.node_id);
        }
    }
    Ok(all)
}

/// The nodes of a service with their weights: what was set, else what they can hold.
async fn weighed(tx: &mut Tx<'_>, service: &ServiceName) -> Result<Vec<(Node, i64)>, StoreError> {
    let set = tx.query(&WEIGHTS, &[], |row| Ok((row.int(0)?, row.int(1)?))).await?;
    let weigh = |node: Node| {
        let set = set.iter().find(|(id, _)| *id == node.id).map(|(_, weight)| *weight);
        let weight = set.unwrap_or(node.capacity);
        (node, weight)
    };
    Ok(nodes::list(tx, service).await?.into_iter().map(weigh).collect())
}

async fn put(
    tx: &mut Tx<'_>,
    service: i64,
    moves: &[(usize, i64)],
    moved_at: Millis,
) -> Result<(), StoreError> {
    #[derive(Serialize)]
    struct Moved {
        bucket: usize,
        node_id: i64,
    }
    if moves.is_empty() {
        return Ok(());
    }
    let given =
        RowSet::of(moves.iter().map(|(bucket, node_id)| Moved { bucket: *bucket, node_id: *node_id }));
    tx.execute(&PUT, &[service.into(), (&given).into(), moved_at.into()]).await.map(drop)
}

/// A number, and where it is: of a bucket, or of a user in an order.
fn read(row: &Row<'_>) -> Result<(usize, Mapped), StoreError> {
    let number = usize::try_from(row.int(0)?).unwrap_or(usize::MAX);
    Ok((number, Mapped { node_id: row.int(1)?, moved_at: Millis::new(row.int(2)?) }))
}
