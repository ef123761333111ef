//! What is written here, as operations: parts of rows with the cursor that says how far they reach.

use crate::Counted;
use crate::rows::{Cell, Row, set};
use crate::tables::{Kind, NODES, SERVICES, Table, USERS};
use account::Millis;
use serde_json::json;
use store::{Migration, Operation, StoreError, Tx, Value};

/// Before the first key of any table.
pub(crate) const BEGINNING: i64 = i64::MIN;

/// What it keeps of itself: a row for each table.
pub static MIGRATIONS: &[Migration] = &[Migration::both(
    "import 0001 imports",
    "create table imports (
        table_name varchar(30) primary key,
        source varchar(700) not null,
        last_key bigint not null,
        row_count bigint not null,
        began_at bigint not null,
        finished_at bigint,
        sha256 varchar(64)
    );",
)];

store::statements! {
    static CURSORS = both(
        "select table_name, source, last_key, row_count, finished_at, sha256 from imports order by table_name");
    static UNDER_WAY = both("select 1 from imports where finished_at is null limit 1");
    static BEGIN = both(
        "insert into imports (table_name, source, last_key, row_count, began_at) values ($1, $2, $3, 0, $4)
        on conflict (table_name) do nothing");
    static CURSOR = both("select last_key from imports where table_name = $1 and finished_at is null {for_update}");
    static ADVANCE = both(
        "update imports set last_key = {greatest}(last_key, $2), row_count = row_count + $3 where table_name = $1");
    static FINISH = both("update imports set finished_at = $2, row_count = $3, sha256 = $4 where table_name = $1");
    static COUNT = both("select (select count(*) from users), (select count(*) from nodes)");
    static NO_SERVICES = both("delete from services");

    pub(crate) static INSERT_SERVICES = both(
        "insert into services (id, service, pattern) select r.id, r.service, r.pattern
        from {each $1: id bigint, service text, pattern text} as r where true");
    pub(crate) static SERVICES_AFTER = both(
        "select id, service, pattern from services where id > cast($1 as bigint) order by id limit $2");
    pub(crate) static REMOVE_SERVICES = both(
        "delete from services where id in (select r.id from {rows $1: id bigint} as r)");
    pub(crate) static NUMBER_SERVICES = per_engine {
        sqlite: "update sqlite_sequence set seq = max(seq, $1) where name = 'services'",
        postgres: "select setval(pg_get_serial_sequence('services', 'id'), greatest(cast($1 as bigint), (select max(id) from services), 1))",
    };

    pub(crate) static INSERT_NODES = both(
        "insert into nodes (id, service, node, available, current_load, capacity, downed, backoff)
        select r.id, r.service, r.node, r.available, r.current_load, r.capacity, r.downed, r.backoff
        from {each $1: id bigint, service bigint, node text, available bigint, current_load bigint, capacity bigint,
            downed bigint, backoff bigint} as r where true");
    pub(crate) static NODES_AFTER = both(
        "select id, service, node, available, current_load, capacity, downed, backoff
        from nodes where id > $1 order by id limit $2");
    pub(crate) static REMOVE_NODES = both("delete from nodes where id in (select r.id from {rows $1: id bigint} as r)");
    pub(crate) static NUMBER_NODES = per_engine {
        sqlite: "update sqlite_sequence set seq = max(seq, $1) where name = 'nodes'",
        postgres: "select setval(pg_get_serial_sequence('nodes', 'id'), greatest($1, (select max(id) from nodes), 1))",
    };

    pub(crate) static INSERT_USERS = both(
        "insert into users
            (uid, service, email, generation, client_state, created_at, replaced_at, nodeid, keys_changed_at)
        select r.uid, r.service, r.email, r.generation, r.client_state, r.created_at, r.replaced_at, r.nodeid,
            r.keys_changed_at
        from {each $1: uid bigint, service bigint, email text, generation bigint, client_state text, created_at bigint,
            replaced_at bigint, nodeid bigint, keys_changed_at bigint} as r where true");
    pub(crate) static USERS_AFTER = both(
        "select uid, service, email, generation, client_state, created_at, replaced_at, nodeid, keys_changed_at
        from users where uid > $1 order by uid limit $2");
    pub(crate) static REMOVE_USERS = both(
        "delete from users where uid in (select r.uid from {rows $1: uid bigint} as r)");
    pub(crate) static NUMBER_USERS = per_engine {
        sqlite: "update sqlite_sequence set seq = max(seq, $1) where name = 'users'",
        postgres: "select setval(pg_get_serial_sequence('users', 'uid'), greatest($1, (select max(uid) from users), 1))",
    };
}

/// Where an import stands here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing was begun, and nothing stands in its way.
    Empty,
    /// Nothing was begun, and others are here.
    Occupied { users: u64, nodes: u64 },
    /// It is under way: the last keys.
    UnderWay(Cursors),
    /// It was finished: from where, with what.
    Finished(String, Vec<Counted>),
}

/// The last keys that were copied, and how many rows those are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursors {
    pub(crate) nodes: (i64, u64),
    pub(crate) users: (i64, u64),
}

/// Tells where it stands, and begins it where it can be begun and is to be.
pub(crate) struct Stand {
    pub(crate) begin: Option<(String, Millis)>,
}

/// Whether an import was begun and has not ended.
pub(crate) struct IsUnderWay;

/// Writes a part: rows of the source after the cursor.
pub(crate) struct Take {
    pub(crate) table: &'static Table,
    pub(crate) after: i64,
    pub(crate) rows: Vec<Row>,
}

/// Makes a stretch what it is in the source.
pub(crate) struct Mend {
    pub(crate) table: &'static Table,
    pub(crate) cursor: i64,
    pub(crate) wanted: Vec<Row>,
    pub(crate) gone: Vec<i64>,
}

/// What became of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is here.
    Here,
    /// The cursor is elsewhere: another import is at work. Nothing was done.
    Moved,
    /// There is a row after the cursor that no import brought. Nothing was done.
    Foreign(i64),
}

/// Rows of a table after a key.
pub(crate) struct ReadAfter {
    pub(crate) table: &'static Table,
    pub(crate) key: i64,
    pub(crate) most: usize,
}

/// The end: the services, the numbers that are given next, and what was found by comparing. False when the cursors are
/// elsewhere.
pub(crate) struct Finish {
    pub(crate) cursors: Cursors,
    pub(crate) services: Vec<Row>,
    /// The last number given to a row of each table.
    pub(crate) numbers: Vec<(&'static Table, i64)>,
    pub(crate) counted: Vec<Counted>,
    pub(crate) now: Millis,
}

impl Operation for Stand {
    const NAME: &'static str = "import.stand";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = Standing;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Standing, StoreError> {
        let standing = standing(tx).await?;
        let (Standing::Empty, Some((source, now))) = (&standing, &self.begin) else { return Ok(standing) };
        for table in [&SERVICES, &NODES, &USERS] {
            let begun = [table.name.into(), source.into(), BEGINNING.into(), (*now).into()];
            if tx.execute(&BEGIN, &begun).await? == 0 {
                // Another one has begun since.
                return self::standing(tx).await;
            }
        }
        // Without its service nobody can be served, nor a node be added: they come with the end.
        tx.execute(&NO_SERVICES, &[]).await?;
        Ok(Standing::UnderWay(Cursors { nodes: (BEGINNING, 0), users: (BEGINNING, 0) }))
    }
}

impl Operation for IsUnderWay {
    const NAME: &'static str = "import.is_under_way";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = bool;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        Ok(tx.query_opt(&UNDER_WAY, &[], |_| Ok(())).await?.is_some())
    }
}

async fn standing(tx: &mut Tx<'_>) -> Result<Standing, StoreError> {
    let rows = tx
        .query(&CURSORS, &[], |row| {
            let counted = Counted {
                table: row.text(0)?.to_owned(),
                rows: row.int(3)?.unsigned_abs(),
                sha256: row.opt_text(5)?.unwrap_or_default().to_owned(),
            };
            Ok((counted, row.text(1)?.to_owned(), row.int(2)?, row.opt_int(4)?))
        })
        .await?;
    if rows.is_empty() {
        let (users, nodes) = tx.query_one(&COUNT, &[], |row| Ok((row.int(0)?, row.int(1)?))).await?;
        let (users, nodes) = (users.unsigned_abs(), nodes.unsigned_abs());
        return Ok(if users + nodes == 0 { Standing::Empty } else { Standing::Occupied { users, nodes } });
    }
    if rows.iter().all(|(.., finished_at)| finished_at.is_some()) {
        let source = rows.first().map(|(_, source, ..)| source.clone()).unwrap_or_default();
        return Ok(Standing::Finished(source, rows.into_iter().map(|(counted, ..)| counted).collect()));
    }
    let cursor = |table: &Table| {
        let of = rows.iter().find(|(counted, ..)| counted.table == table.name);
        of.map_or((BEGINNING, 0), |(counted, _, last_key, _)| (*last_key, counted.rows))
    };
    Ok(Standing::UnderWay(Cursors { nodes: cursor(&NODES), users: cursor(&USERS) }))
}

impl Operation for Take {
    const NAME: &'static str = "import.take";
    // A part that is here already is one that was taken: the cursor says so.
    const RESOLVES_UNKNOWN: bool = true;
    type Output = Taken;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Taken, StoreError> {
        let Some(last) = self.rows.last().map(Row::key) else { return Ok(Taken::Here) };
        match cursor(tx, self.table).await? {
            Some(at) if at == last => return Ok(Taken::Here),
            Some(at) if at == self.after => {}
            _ => return Ok(Taken::Moved),
        }
        if let Some(foreign) = read_after(tx, self.table, self.after, 1).await?.first() {
            return Ok(Taken::Foreign(foreign.key()));
        }
        insert(tx, self.table, &self.rows).await?;
        advance(tx, self.table, last, self.rows.len()).await?;
        Ok(Taken::Here)
    }
}

impl Operation for Mend {
    const NAME: &'static str = "import.mend";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = Taken;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Taken, StoreError> {
        let reached = self.wanted.iter().map(Row::key).max().map_or(self.cursor, |key| key.max(self.cursor));
        match cursor(tx, self.table).await? {
            Some(at) if at == self.cursor || at == reached => {}
            _ => return Ok(Taken::Moved),
        }
        let keys = self.wanted.iter().map(Row::key).chain(self.gone.iter().copied());
        let keys: Vec<_> = keys.map(|key| json!({ (self.table.key()): key })).collect();
        tx.execute(self.table.statements.remove, &[Value::Text(&json!(keys).to_string())]).await?;
        insert(tx, self.table, &self.wanted).await?;
        advance(tx, self.table, reached, 0).await?;
        Ok(Taken::Here)
    }
}

impl Operation for ReadAfter {
    const NAME: &'static str = "import.read_after";
    type Output = Vec<Row>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Row>, StoreError> {
        read_after(tx, self.table, self.key, self.most).await
    }
}

impl Operation for Finish {
    const NAME: &'static str = "import.finish";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = bool;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        if let Standing::Finished(_, counted) = standing(tx).await? {
            return Ok(counted == self.counted);
        }
        for (table, (last, _)) in [(&NODES, self.cursors.nodes), (&USERS, self.cursors.users)] {
            if cursor(tx, table).await? != Some(last) {
                return Ok(false);
            }
        }
        tx.execute(&NO_SERVICES, &[]).await?;
        insert(tx, &SERVICES, &self.services).await?;
        if read_after(tx, &SERVICES, BEGINNING, self.services.len() + 1).await? != self.services {
            return Err(StoreError::Undone("the services were not stored as they are in the source"));
        }
        for (table, number) in &self.numbers {
            tx.query(table.statements.number, &[(*number).into()], |_| Ok(())).await?;
        }
        for Counted { table, rows, sha256 } in &self.counted {
            let rows = i64::try_from(*rows).unwrap_or(i64::MAX);
            tx.execute(&FINISH, &[table.into(), self.now.into(), rows.into(), sha256.into()]).await?;
        }
        Ok(true)
    }
}

/// The last key of an import that is under way; locks it.
async fn cursor(tx: &mut Tx<'_>, table: &Table) -> Result<Option<i64>, StoreError> {
    tx.query_opt(&CURSOR, &[table.name.into()], |row| row.int(0)).await
}

async fn advance(tx: &mut Tx<'_>, table: &Table, last: i64, rows: usize) -> Result<(), StoreError> {
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    tx.execute(&ADVANCE, &[table.name.into(), last.into(), rows.into()]).await.map(drop)
}

async fn insert(tx: &mut Tx<'_>, table: &'static Table, rows: &[Row]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    tx.execute(table.statements.insert, &[(&set(table, rows)).into()]).await.map(drop)
}

async fn read_after(
    tx: &mut Tx<'_>,
    table: &'static Table,
    key: i64,
    most: usize,
) -> Result<Vec<Row>, StoreError> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    tx.query(table.statements.after, &[key.into(), most.into()], |row| {
        let cell = |(at, kind): (usize, Kind)| {
            Ok(match kind {
                Kind::Text(_) => row.opt_text(at)?.map_or(Cell::Null, |text| Cell::Text(text.to_owned())),
                Kind::Int | Kind::BigInt => row.opt_int(at)?.map_or(Cell::Null, Cell::Int),
            })
        };
        table.columns.iter().map(|it| it.kind).enumerate().map(cell).collect::<Result<_, _>>().map(Row)
    })
    .await
}
