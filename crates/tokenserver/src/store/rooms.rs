use super::{Placement, Policy};
use crate::rules::{self, Home, Room, bucket_of};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Instant;
use store::{Row, StoreError, Tx};

/// How often full nodes are asked to open a part of their capacity before a user is turned away.
const ROUNDS: u32 = 5;

store::statements! {
    /// Nodes that take users. On PostgreSQL the least loaded ones, as many as users are waiting: no more can be chosen.
    /// They are locked in the order of their ids, after the accounts, and counted before the commit.
    static OPEN = per_engine {
        sqlite: "select id, node, available, current_load, capacity from nodes
            where service = $1 and available > 0 and capacity > max(current_load, 0) and downed = 0
                and backoff = 0 and $2 > 0",
        postgres: "select id, node, available, current_load, capacity from nodes
            where available > 0 and capacity > greatest(current_load, 0) and downed = 0 and backoff = 0 and id in (
                select id from nodes
                where service = $1 and available > 0 and capacity > greatest(current_load, 0) and downed = 0
                    and backoff = 0
                order by case when current_load <= 0 then -1 else ln(current_load::float8) / ln(capacity::float8) end,
                    available desc, id
                limit $2
            )
            order by id for update",
    };
    /// The node that a bucket is on, while it takes users. How much of its capacity is open does not matter: its share is
    /// what its weight says.
    static AT_BUCKET = per_engine {
        sqlite: "select n.id, n.node, n.available, n.current_load, n.capacity
            from buckets b join nodes n on n.id = b.node_id
            where b.service = $1 and b.bucket = $2 and n.downed = 0 and n.backoff = 0",
        postgres: "select n.id, n.node, n.available, n.current_load, n.capacity
            from buckets b join nodes n on n.id = b.node_id
            where b.service = $1 and b.bucket = $2::bigint and n.downed = 0 and n.backoff = 0",
    };
    static ONLY = both("select id, node, available, current_load, capacity from nodes where id = $1 and downed <> 2 {for_update}");
    /// Opens a part of the capacity of every node without places, those in backoff too; at least one place each.
    static RELEASE = per_engine {
        sqlite: "update nodes
            set available = min((capacity * $2 + 999999) / 1000000, capacity - max(current_load, 0))
            where service = $1 and available <= 0 and capacity > max(current_load, 0) and downed = 0",
        postgres: "with full_nodes as materialized (
                select id from nodes
                where service = $1 and available <= 0 and capacity > greatest(current_load, 0) and downed = 0
                order by id for update
            )
            update nodes
            set available = least((capacity * $2::bigint + 999999) / 1000000, capacity - greatest(current_load, 0))
            from full_nodes where nodes.id = full_nodes.id",
    };
    /// Moves the counters by what was taken (or, below zero, given up). What is given up opens a place, never more of
    /// them than there is room; a negative load, left by foreign hands, counts as none.
    static COUNT = per_engine {
        sqlite: "update nodes set
                current_load = max(max(nodes.current_load, 0) + r.load, 0),
                available = case when r.places >= 0 then max(nodes.available - r.places, 0)
                    else max(nodes.available, min(nodes.available - r.places,
                        nodes.capacity - max(max(nodes.current_load, 0) + r.load, 0))) end
            from {rows $1: id bigint, load bigint, places bigint} as r where nodes.id = r.id",
        postgres: "with counted as materialized (
                select n.id, r.load, r.places
                from nodes n join {rows $1: id bigint, load bigint, places bigint} as r on r.id = n.id
                order by n.id for update of n
            )
            update nodes set
                current_load = greatest(greatest(nodes.current_load, 0) + r.load, 0),
                available = case when r.places >= 0 then greatest(nodes.available - r.places, 0)
                    else greatest(nodes.available, least(nodes.available - r.places,
                        nodes.capacity - greatest(greatest(nodes.current_load, 0) + r.load, 0))) end
            from counted as r where nodes.id = r.id",
    };
}

/// The nodes as one transaction sees and fills them.
pub(super) struct Rooms<'a> {
    service: i64,
    placement: &'a Placement,
    waiting: usize,
    open: Option<Vec<Room>>,
    /// By node: how its load and its places move. Written once, last.
    moved: BTreeMap<i64, i64>,
}

impl<'a> Rooms<'a> {
    pub(super) fn new(service: i64, placement: &'a Placement, waiting: usize) -> Self {
        Self { service, placement, waiting, open: None, moved: BTreeMap::new() }
    }

    /// Takes a place for this user on the node that is next: its id and URL. `None` when there is none anywhere.
    pub(super) async fn take(
        &mut self,
        tx: &mut Tx<'_>,
        email: &str,
    ) -> Result<Option<(i64, String)>, StoreError> {
        let began = Instant::now();
        let chosen = match (self.placement.only_node, self.placement.policy) {
            (Some(id), _) => self.only(tx, id).await?,
            (None, Policy::LeastLoaded) => self.least_loaded(tx).await?,
            (None, Policy::Bucketed) => match self.at_bucket(tx, email).await? {
                None => self.least_loaded(tx).await?,
                there => there,
            },
        };
        metrics::histogram!("storage.get_best_node").record(began.elapsed());
        if let Some((id, _)) = &chosen {
            self.arrive(*id);
        }
        Ok(chosen)
    }

    /// Takes a place on this very node, whoever else it is open to.
    pub(super) fn take_at(&mut self, node_id: i64) {
        self.arrive(node_id);
    }

    /// Takes a place beside the user's own row, which is about to be replaced.
    pub(super) fn stay(&mut self, home: Home) -> Home {
        let node_id = self.placement.only_node.unwrap_or(home.node_id);
        self.arrive(node_id);
        Home { node_id, ..home }
    }

    /// A row on this node was replaced.
    pub(super) fn leave(&mut self, node_id: i64) {
        *self.moved.entry(node_id).or_default() -= 1;
    }

    fn arrive(&mut self, node_id: i64) {
        *self.moved.entry(node_id).or_default() += 1;
    }

    async fn only(&mut self, tx: &mut Tx<'_>, id: i64) -> Result<Option<(i64, String)>, StoreError> {
        if self.open.is_none() {
            self.open = Some(tx.query(&ONLY, &[id.into()], room).await?);
        }
        Ok(self.open.iter().flatten().next().map(|room| (room.id, room.node.clone())))
    }

    async fn at_bucket(&mut self, tx: &mut Tx<'_>, email: &str) -> Result<Option<(i64, String)>, StoreError> {
        let bucket = i64::try_from(bucket_of(email)).expect("there are few");
        let there = tx.query_opt(&AT_BUCKET, &[self.service.into(), bucket.into()], room).await?;
        // What this transaction has moved is not in the counters yet.
        let has_room = |room: &Room| {
            let moved = self.moved.get(&room.id).copied().unwrap_or(0);
            room.current_load.max(0) + moved < room.capacity
        };
        let Some(taken) = there.filter(has_room) else { return Ok(None) };
        for room in self.open.iter_mut().flatten().filter(|room| room.id == taken.id) {
            room.add(1);
        }
        Ok(Some((taken.id, taken.node)))
    }

    async fn least_loaded(&mut self, tx: &mut Tx<'_>) -> Result<Option<(i64, String)>, StoreError> {
        for round in 0..=ROUNDS {
            let chosen = self.open.as_mut().and_then(|open| rules::least_loaded(open));
            if let Some(room) = chosen {
                return Ok(Some((room.id, room.node.clone())));
            }
            // The first time it is looked again in any case: others may have filled the node that was waited for.
            if self.open.is_some() && !self.release(tx).await? && round > 1 {
                break;
            }
            self.open = Some(self.load(tx).await?);
        }
        Ok(None)
    }

    async fn load(&self, tx: &mut Tx<'_>) -> Result<Vec<Room>, StoreError> {
        let waiting = i64::try_from(self.waiting).unwrap_or(i64::MAX);
        let mut open = tx.query(&OPEN, &[self.service.into(), waiting.into()], room).await?;
        if self.placement.policy == Policy::Bucketed {
            for room in &mut open {
                room.add(self.moved.get(&room.id).copied().unwrap_or(0));
            }
        }
        Ok(open)
    }

    /// Whether any node opened more places. What was taken so far is counted before, so that it counts here.
    async fn release(&mut self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        self.count(tx).await?;
        let rate = self.placement.release_millionths;
        Ok(tx.execute(&RELEASE, &[self.service.into(), rate.into()]).await? > 0)
    }

    /// Writes the counters: the transaction's last statement.
    pub(super) async fn count(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let places = if self.placement.only_node.is_some() { Places::Stay } else { Places::Move };
        let began = Instant::now();
        let counted = count(tx, std::mem::take(&mut self.moved), places).await;
        metrics::histogram!("storage.add_user_to_node").record(began.elapsed());
        counted
    }
}

/// Whether a node's open places move with its load. Where everybody goes to one node nobody counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Places {
    Move,
    Stay,
}

/// Moves the counters of nodes.
pub(super) async fn count(
    tx: &mut Tx<'_>,
    moved: BTreeMap<i64, i64>,
    places: Places,
) -> Result<(), StoreError> {
    #[derive(Serialize)]
    struct Moved {
        id: i64,
        load: i64,
        places: i64,
    }
    let of = |load| if places == Places::Move { load } else { 0 };
    let moved: Vec<_> = moved
        .into_iter()
        .filter(|(_, load)| *load != 0)
        .map(|(id, load)| Moved { id, load, places: of(load) })
        .collect();
    if moved.is_empty() {
        return Ok(());
    }
    let moved = serde_json::to_string(&moved).expect("numbers always serialise");
    tx.execute(&COUNT, &[(&moved).into()]).await.map(drop)
}

fn room(row: &Row<'_>) -> Result<Room, StoreError> {
    Ok(Room {
        id: row.int(0)?,
        node: row.text(1)?.to_owned(),
        available: row.int(2)?,
        current_load: row.int(3)?,
        capacity: row.int(4)?,
    })
}
