//! Users who are moved by an operator: each gets a new row, under a new id, on the new node; the old one is marked as
//! replaced, so that the purge deletes its data. A row's node is never changed in place.

use super::residents::{Resident, end};
use super::rooms::Rooms;
use super::settle::{INSERT, REPLACE};
use super::{Placement, nodes};
use crate::rules::{Moving, Row, moving};
use account::{AccountId, Millis};
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use store::{Lease, Operation, RowSet, StoreError, Tx};

store::statements! {
    /// The newest rows of some users.
    static ROWS = per_engine {
        sqlite: "select r.n, u.uid, u.generation, u.client_state, u.created_at, u.replaced_at, u.keys_changed_at,
                u.nodeid, n.node
            from {rows $2: n bigint, email text} as r
            join users u on u.uid in (
                select x.uid from users x where x.email = r.email and x.service + 0 = $1
                order by x.created_at desc, x.uid desc limit 20
            )
            left join nodes n on n.id = u.nodeid",
        postgres: "select r.n, u.uid, u.generation, u.client_state, u.created_at, u.replaced_at, u.keys_changed_at,
                u.nodeid, n.node
            from {rows $2: n bigint, email text} as r
            cross join lateral (
                select * from users x where x.email = r.email and x.service + 0 = $1
                order by x.created_at desc, x.uid desc limit 20
            ) u
            left join nodes n on n.id = u.nodeid",
    };
    pub(super) static DRAINED = both(
        "update drains set moved = moved + $2, paced_from = $3, paced_moved = $4, trouble = $5
        where node_id = $1 and ended_at is null"
    );
}

/// A user to be moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// As it stands in the rows.
    pub email: String,
    /// Whose it is; `None` for one that no identity provider here answers for.
    pub account: Option<AccountId>,
}

/// Where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Wherever a new user would go.
    Anywhere,
    /// This node: id and URL.
    Node(i64, String),
}

/// Moves users. All are different ones.
pub(crate) struct Move {
    /// Who.
    pub users: Vec<User>,
    /// Only who lives on this node.
    pub from: Option<i64>,
    /// Where to.
    pub to: Target,
    /// How users are placed.
    pub placement: Arc<Placement>,
    /// The time.
    pub now: Millis,
    /// On whose behalf, when it is a drain.
    pub drain: Option<Draining>,
}

/// A drain at work: what is noted with each part of it.
#[derive(Clone, Debug)]
pub(crate) struct Draining {
    /// Nobody else drains while this is held.
    pub lease: Lease,
    /// Its pace before this part.
    pub pace: crate::rules::Pace,
}

/// What moving came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moves {
    /// Who was moved.
    pub moved: Vec<Moved>,
    /// How many could not be: no node has room.
    pub without_room: usize,
    /// False when the lease was lost, and nothing was done.
    pub held: bool,
}

/// A user who was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    /// Who.
    pub email: String,
    /// The row that counted.
    pub from: i64,
    /// The row that counts.
    pub to: i64,
    /// Its node.
    pub node: String,
}

/// A row to be made.
pub(super) struct Copy<'a> {
    pub(super) email: &'a str,
    pub(super) row: Row,
    pub(super) node_id: i64,
    pub(super) node: String,
    pub(super) created_at: Millis,
}

impl Operation for Move {
    const NAME: &'static str = "tokenserver.move";
    type Output = Moves;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Moves, StoreError> {
        let accounts: Vec<_> = self.users.iter().filter_map(|user| user.account.clone()).collect();
        tx.lock_accounts(&accounts).await?;
        if let Some(drain) = &self.drain
            && !drain.lease.still_held(tx, self.now).await?
        {
            return Ok(Moves::default());
        }
        let service = nodes::service_id(tx, &self.placement.service).await?;
        let emails: Vec<_> = self.users.iter().map(|user| user.email.as_str()).collect();
        let mut rooms = Rooms::of(tx, service, &self.placement, &emails).await?;
        let mut moves = Moves { held: true, ..Moves::default() };
        let (copies, strays) = self.plan(tx, service, &mut rooms, &mut moves).await?;
        moves.moved = self.copy(tx, service, &mut rooms, copies).await?;
        for (node_id, strays) in strays {
            for _ in 0..end(tx, &strays, node_id, self.now).await? {
                rooms.leave(node_id);
            }
        }
        self.note(tx, &moves).await?;
        rooms.count(tx).await?;
        Ok(moves)
    }
}

impl Move {
    /// Takes a place for each who lives there; and what was left live of the others, by node.
    async fn plan(
        &self,
        tx: &mut Tx<'_>,
        service: i64,
        rooms: &mut Rooms<'_>,
        moves: &mut Moves,
    ) -> Result<(Vec<Copy<'_>>, HashMap<i64, Vec<Resident>>), StoreError> {
        let emails: Vec<_> = self.users.iter().map(|user| user.email.as_str()).collect();
        let (mut copies, mut strays) = (Vec::new(), HashMap::<_, Vec<_>>::new());
        for (email, rows) in emails.iter().zip(rows_of(tx, service, &emails).await?) {
            let newest = rows.iter().map(|row| row.created_at).max().unwrap_or_default();
            match moving(rows, self.from) {
                Moving::Tidy(uids) => {
                    let residents = uids.into_iter().map(|uid| Resident { uid, email: (*email).to_owned() });
                    if let Some(from) = self.from {
                        strays.entry(from).or_default().extend(residents);
                    }
                }
                Moving::Copy(row) if self.is_target(row.node_id) => {}
                Moving::Copy(row) => match self.place(tx, rooms, email, row.node_id).await? {
                    None => moves.without_room += 1,
                    Some((node_id, node)) => {
                        let created_at = self.now.max(newest);
                        copies.push(Copy { email, row, node_id, node, created_at });
                    }
                },
            }
        }
        Ok((copies, strays))
    }

    fn is_target(&self, node_id: i64) -> bool {
        matches!(&self.to, Target::Node(id, _) if *id == node_id)
    }

    /// A place that is not on the node the user leaves.
    async fn place(
        &self,
        tx: &mut Tx<'_>,
        rooms: &mut Rooms<'_>,
        email: &str,
        leaves: i64,
    ) -> Result<Option<(i64, String)>, StoreError> {
        if let Target::Node(id, url) = &self.to {
            rooms.take_at(*id);
            return Ok(Some((*id, url.clone())));
        }
        let taken = rooms.take(tx, email).await?;
        if let Some((id, _)) = taken.as_ref().filter(|(id, _)| *id == leaves) {
            rooms.leave(*id);
            return Ok(None);
        }
        Ok(taken)
    }

    async fn copy(
        &self,
        tx: &mut Tx<'_>,
        service: i64,
        rooms: &mut Rooms<'_>,
        copies: Vec<Copy<'_>>,
    ) -> Result<Vec<Moved>, StoreError> {
        if copies.is_empty() {
            return Ok(Vec::new());
        }
        let uids = insert(tx, service, &copies).await?;
        for node_id in replace(tx, service, &copies, &uids).await? {
            rooms.leave(node_id);
        }
        let moved = |copy: Copy<'_>| Moved {
            to: uids[copy.email],
            from: copy.row.uid,
            email: copy.email.to_owned(),
            node: copy.node,
        };
        Ok(copies.into_iter().map(moved).collect())
    }

    async fn note(&self, tx: &mut Tx<'_>, moves: &Moves) -> Result<(), StoreError> {
        let (Some(drain), Some(from)) = (&self.drain, self.from) else { return Ok(()) };
        let count = i64::try_from(moves.moved.len()).unwrap_or(i64::MAX);
        let trouble = (moves.without_room > 0).then_some("no other node has room");
        let pace = drain.pace;
        let noted = [
            from.into(),
            count.into(),
            pace.from.into(),
            pace.done.saturating_add(count).into(),
            trouble.into(),
        ];
        tx.execute(&DRAINED, &noted).await.map(drop)
    }
}

/// The rows of these users, in their order.
pub(super) async fn rows_of(
    tx: &mut Tx<'_>,
    service: i64,
    emails: &[&str],
) -> Result<Vec<Vec<Row>>, StoreError> {
    #[derive(Serialize)]
    struct Given<'a> {
        n: usize,
        email: &'a str,
    }
    let given = RowSet::of(emails.iter().enumerate().map(|(n, email)| Given { n, email }));
    let mut rows = vec![Vec::new(); emails.len()];
    let take = |row: &store::Row<'_>| {
        let n = usize::try_from(row.int(0)?).expect("the numbers are those given");
        rows[n].push(Row {
            uid: row.int(1)?,
            generation: row.int(2)?,
            client_state: row.text(3)?.to_owned(),
            created_at: Millis::new(row.int(4)?),
            replaced_at: row.opt_int(5)?.map(Millis::new),
            keys_changed_at: row.opt_int(6)?,
            node_id: row.int(7)?,
            node: row.opt_text(8)?.map(str::to_owned),
        });
        Ok(())
    };
    tx.query(&ROWS, &[service.into(), (&given).into()], take).await?;
    Ok(rows)
}

/// The ids of the new rows, by user.
pub(super) async fn insert(
    tx: &mut Tx<'_>,
    service: i64,
    copies: &[Copy<'_>],
) -> Result<HashMap<String, i64>, StoreError> {
    #[derive(Serialize)]
    struct New<'a> {
        email: &'a str,
        generation: i64,
        client_state: &'a str,
        created_at: Millis,
        node_id: i64,
        keys_changed_at: Option<i64>,
    }
    let new = copies.iter().map(|Copy { email, row, node_id, created_at, .. }| New {
        email,
        generation: row.generation,
        client_state: &row.client_state,
        created_at: *created_at,
        node_id: *node_id,
        keys_changed_at: row.keys_changed_at,
    });
    let new = RowSet::of(new);
    let made = |row: &store::Row<'_>| Ok((row.text(1)?.to_owned(), row.int(0)?));
    Ok(tx.query(&INSERT, &[service.into(), (&new).into()], made).await?.into_iter().collect())
}

/// Marks every other live row of these users; the nodes they were on.
pub(super) async fn replace(
    tx: &mut Tx<'_>,
    service: i64,
    copies: &[Copy<'_>],
    uids: &HashMap<String, i64>,
) -> Result<Vec<i64>, StoreError> {
    #[derive(Serialize)]
    struct Kept<'a> {
        email: &'a str,
        uid: i64,
        at: Millis,
    }
    let kept =
        copies.iter().map(|copy| Kept { email: copy.email, uid: uids[copy.email], at: copy.created_at });
    let kept = RowSet::of(kept);
    tx.query(&REPLACE, &[service.into(), (&kept).into()], |row| row.int(0)).await
}
