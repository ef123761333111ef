use super::{Placement, Policy, buckets};
use crate::rules::{self, Home, Mapped, Room};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;
use store::{Row, RowSet, StoreError, Tx};

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
    /// By user: where the bucket is, while users are taken in there.
    buckets: HashMap<&'a str, Mapped>,
    /// The nodes that these buckets are on, as they are filled here. How much of a node's capacity is open does not
    /// matter to them: its share is what its weight says.
    bucketed: BTreeMap<i64, Room>,
    /// By node: how its load and its places move. Written once, last.
    moved: BTreeMap<i64, i64>,
}

impl<'a> Rooms<'a> {
    /// For these users, who are all that are waiting.
    pub(super) async fn of(
        tx: &mut Tx<'_>,
        service: i64,
        placement: &'a Placement,
        users: &[&'a str],
    ) -> Result<Self, StoreError> {
        let mut rooms = Self {
            service,
            placement,
            waiting: users.len(),
            open: None,
            buckets: HashMap::new(),
            bucketed: BTreeMap::new(),
            moved: BTreeMap::new(),
        };
        if placement.policy == Policy::Bucketed {
            for (user, mapped, room) in buckets::of_users(tx, service, users).await? {
                rooms.buckets.insert(user, mapped);
                rooms.bucketed.insert(room.id, room);
            }
        }
        Ok(rooms)
    }

    /// Where a user's bucket is.
    pub(super) fn bucket_of(&self, user: &str) -> Option<Mapped> {
        self.buckets.get(user).copied()
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
            (None, Policy::Bucketed) => match self.at_bucket(email) {
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
        self.load(node_id, -1);
    }

    fn arrive(&mut self, node_id: i64) {
        self.load(node_id, 1);
    }

    fn load(&mut self, node_id: i64, users: i64) {
        *self.moved.entry(node_id).or_default() += users;
        if let Some(room) = self.bucketed.get_mut(&node_id) {
            room.add(users);
        }
    }

    async fn only(&mut self, tx: &mut Tx<'_>, id: i64) -> Result<Option<(i64, String)>, StoreError> {
        if self.open.is_none() {
            self.open = Some(tx.query(&ONLY, &[id.into()], room).await?);
        }
        Ok(self.open.iter().flatten().next().map(|room| (room.id, room.node.clone())))
    }

    fn at_bucket(&mut self, email: &str) -> Option<(i64, String)> {
        let there = self.bucket_of(email)?.node_id;
        let taken = self.bucketed.get(&there).filter(|room| room.current_load.max(0) < room.capacity)?;
        for room in self.open.iter_mut().flatten().filter(|room| room.id == taken.id) {
            room.add(1);
        }
        Some((taken.id, taken.node.clone()))
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
            self.open = Some(self.look(tx).await?);
        }
        Ok(None)
    }

    async fn look(&self, tx: &mut Tx<'_>) -> Result<Vec<Room>, StoreError> {
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
    let moved = RowSet::of(moved);
    tx.execute(&COUNT, &[(&moved).into()]).await.map(drop)
}

fn room(row: &Row<'_>) -> Result<Room, StoreError> {
    room_from(row, 0)
}

/// Five columns from this one on.
pub(super) fn room_from(row: &Row<'_>, first: usize) -> Result<Room, StoreError> {
    Ok(Room {
        id: row.int(first)?,
        node: row.text(first + 1)?.to_owned(),
        available: row.int(first + 2)?,
        current_load: row.int(first + 3)?,
        capacity: row.int(first + 4)?,
    })
}
