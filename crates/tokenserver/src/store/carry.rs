use super::rooms;
use crate::rules::{Carried, LiveRow, RETIRED, Reach};
use account::Millis;
use serde::Serialize;
use std::collections::BTreeMap;
use store::{Row, RowSet, StoreError, Tx};

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
    /// The live rows of one user that an event changes still, of every service, at most so many.
    pub(super) static REACHED = both(
        "select uid, generation, created_at, nodeid from users
        where email = $1 and replaced_at + 0 is null and generation < $2 and (generation > 0 or created_at <= $3)
        limit $4"
    );
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
    /// A part of it: there may be more.
    Part {
        /// How many rows' generations were raised.
        raised: usize,
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
    let retired = retired(&changed);
    Ok(Carry::Done { raised: changed.len() - retired, retired })
}

/// Carries events into at most so many rows; for workers, who come again until all are done. Only rows that change are
/// counted, so each part is a step ahead.
pub(crate) async fn carry_part(
    tx: &mut Tx<'_>,
    users: &[Carrying],
    most_rows: i64,
    now: Millis,
) -> Result<Carry, StoreError> {
    let (mut changed, mut all_retired) = (0, 0);
    for user in users {
        for carried in &user.carried {
            let mut rows = reached(tx, &user.email, *carried, most_rows).await?;
            for row in &mut rows {
                carried.apply(row);
            }
            write(tx, &rows, now).await?;
            changed += rows.len();
            all_retired += retired(&rows);
            if i64::try_from(rows.len()).is_ok_and(|count| count >= most_rows) {
                return Ok(Carry::Part { raised: changed - all_retired });
            }
        }
    }
    Ok(Carry::Done { raised: changed - all_retired, retired: all_retired })
}

fn retired(rows: &[LiveRow]) -> usize {
    rows.iter().filter(|row| row.generation == RETIRED).count()
}

async fn reached(
    tx: &mut Tx<'_>,
    email: &str,
    carried: Carried,
    limit: i64,
) -> Result<Vec<LiveRow>, StoreError> {
    let Reach { below, undated_until } = carried.reach();
    tx.query(&REACHED, &[email.into(), below.into(), undated_until.into(), limit.into()], |row| {
        let (uid, generation, created_at) = (row.int(0)?, row.int(1)?, Millis::new(row.int(2)?));
        Ok(LiveRow { uid, generation, created_at, node_id: row.int(3)? })
    })
    .await
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
    let given = RowSet::of(users.iter().enumerate().map(|(n, user)| Given { n, email: &user.email }));
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
    let written = RowSet::of(changed.iter().map(|row| Written {
        uid: row.uid,
        generation: row.generation,
        replaced_at: Some(now).filter(|_| retired(&row)),
    }));
    tx.execute(&CARRY, &[(&written).into()]).await?;
    // A retired row no longer counts on its node.
    let mut moved = BTreeMap::new();
    for row in changed.iter().filter(retired) {
        *moved.entry(row.node_id).or_default() -= 1;
    }
    rooms::count(tx, moved, rooms::Places::Move).await
}
