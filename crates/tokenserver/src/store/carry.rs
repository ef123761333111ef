use super::rooms;
use crate::rules::{Carried, LiveRow, RETIRED};
use account::Millis;
use serde::Serialize;
use std::collections::BTreeMap;
use store::{Row, StoreError, Tx};

store::statements! {
    /// The live rows of these users, of every service, at most so many each.
    pub(super) static LIVE = per_engine {
        sqlite: "select r.n, u.uid, u.generation, u.created_at, u.nodeid
            from {rows $1: n bigint, email text} as r
            join users u on u.uid in (
                select x.uid from users x where x.email = r.email and x.replaced_at + 0 is null limit $2
            )",
        postgres: "select r.n, u.uid, u.generation, u.created_at, u.nodeid
            from {rows $1: n bigint, email text} as r
            cross join lateral (
                select * from users x where x.email = r.email and x.replaced_at + 0 is null limit $2
            ) u",
    };
    pub(super) static CARRY = both(
        "update users set generation = r.generation, replaced_at = r.replaced_at
        from {rows $1: uid bigint, generation bigint, replaced_at bigint} as r
        where users.uid = r.uid and users.replaced_at + 0 is null and r.uid + 0 = r.uid
            and users.generation < r.generation"
    );
}

/// What one account's events mean to its rows, in their order.
pub(crate) struct Carrying {
    /// The user.
    pub email: String,
    /// What the events mean.
    pub carried: Vec<Carried>,
}

/// What was carried into the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carry {
    /// All of it.
    Done {
        /// How many rows' generations were raised.
        raised: usize,
        /// How many rows were retired.
        retired: usize,
    },
    /// Nothing: a user has more live rows than allowed.
    TooMany,
}

/// Carries events into the live rows of their users, who are all different and whose accounts are locked.
pub(crate) async fn carry(
    tx: &mut Tx<'_>,
    users: &[Carrying],
    most_rows: i64,
    now: Millis,
) -> Result<Carry, StoreError> {
    if users.is_empty() {
        return Ok(Carry::Done { raised: 0, retired: 0 });
    }
    let mut rows = live(tx, users, most_rows + 1).await?;
    let too_many = |rows: &Vec<LiveRow>| i64::try_from(rows.len()).is_ok_and(|count| count > most_rows);
    if rows.values().any(too_many) {
        return Ok(Carry::TooMany);
    }
    let mut changed = Vec::new();
    for (n, rows) in &mut rows {
        for row in rows {
            let before = row.generation;
            users[*n].carried.iter().for_each(|carried| carried.apply(row));
            if row.generation > before {
                changed.push(*row);
            }
        }
    }
    write(tx, &changed, now).await?;
    let retired = changed.iter().filter(|row| row.generation == RETIRED).count();
    Ok(Carry::Done { raised: changed.len() - retired, retired })
}

async fn live(
    tx: &mut Tx<'_>,
    users: &[Carrying],
    limit: i64,
) -> Result<BTreeMap<usize, Vec<LiveRow>>, StoreError> {
    #[derive(Serialize)]
    struct Given<'a> {
        n: usize,
        email: &'a str,
    }
    let given: Vec<_> = users.iter().enumerate().map(|(n, user)| Given { n, email: &user.email }).collect();
    let given = serde_json::to_string(&given).expect("numbers and texts always serialise");
    let mut live: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let take = |row: &Row<'_>| {
        let n = usize::try_from(row.int(0)?).expect("the numbers are those given");
        let (uid, generation, created_at) = (row.int(1)?, row.int(2)?, Millis::new(row.int(3)?));
        live.entry(n).or_default().push(LiveRow { uid, generation, created_at, node_id: row.int(4)? });
        Ok(())
    };
    tx.query(&LIVE, &[(&given).into(), limit.into()], take).await?;
    Ok(live)
}

async fn write(tx: &mut Tx<'_>, changed: &[LiveRow], now: Millis) -> Result<(), StoreError> {
    #[derive(Serialize)]
    struct Written {
        uid: i64,
        generation: i64,
        replaced_at: Option<Millis>,
    }
    if changed.is_empty() {
        return Ok(());
    }
    let retired = |row: &&LiveRow| row.generation == RETIRED;
    let written: Vec<_> = changed
        .iter()
        .map(|row| Written {
            uid: row.uid,
            generation: row.generation,
            replaced_at: Some(now).filter(|_| retired(&row)),
        })
        .collect();
    let written = serde_json::to_string(&written).expect("numbers always serialise");
    tx.execute(&CARRY, &[(&written).into()]).await?;
    // A retired row no longer counts on its node.
    let mut moved = BTreeMap::new();
    for row in changed.iter().filter(retired) {
        *moved.entry(row.node_id).or_default() -= 1;
    }
    rooms::count(tx, moved, rooms::Places::Move).await
}
