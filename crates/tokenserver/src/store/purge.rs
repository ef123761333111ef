//! Rows that were replaced long enough ago.

use super::nodes;
use crate::rules::{KeyId, Live, Replaced, ServiceName};
use account::Millis;
use serde::Serialize;
use store::{Operation, Row, RowSet, StoreError, Tx};

store::statements! {
    /// In the order of their ids, so that one pass over the table sees each once, whatever becomes of it.
    static OLD = both(
        "select u.uid, u.email, u.generation, u.keys_changed_at, u.client_state, u.nodeid, n.node, n.downed,
            v.generation, v.keys_changed_at, v.client_state, v.nodeid
        from users u
        left join nodes n on n.id = u.nodeid
        left join users v on v.uid = (
            select max(x.uid) from users x
            where x.email = u.email and x.service + 0 = u.service and x.replaced_at + 0 is null
        )
        where u.service + 0 = $1 and u.replaced_at + 0 < $2 and u.uid > $3 and u.uid < $4
        order by u.uid limit $5"
    );
    /// Nobody counts them any more; they were counted off when they were replaced.
    static DROP = both(
        "delete from users where uid in (select r.uid from {rows $1: uid bigint} as r)
            and replaced_at + 0 < $2"
    );
    static BACKLOG = both("select count(*) from users where service = $1 and replaced_at < $2");
}

/// The next rows of a service that were replaced before some time.
pub(crate) struct FindReplaced {
    /// The service.
    pub service: ServiceName,
    /// The time.
    pub before: Millis,
    /// Only rows above this one.
    pub after: i64,
    /// Only rows below this one.
    pub until: i64,
    /// At most so many.
    pub limit: i64,
}

/// Deletes rows, unless they are not as old as that; how many were deleted.
pub(crate) struct DropRows {
    /// Which.
    pub uids: Vec<i64>,
    /// Only those replaced before then.
    pub before: Millis,
}

/// How many rows of a service were replaced before then.
pub(crate) struct CountReplaced(pub ServiceName, pub Millis);

impl Operation for FindReplaced {
    const NAME: &'static str = "tokenserver.find_replaced";
    type Output = Vec<Replaced>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let service = nodes::service_id(tx, &self.service).await?;
        let Self { before, after, until, limit, .. } = *self;
        tx.query(&OLD, &[service.into(), before.into(), after.into(), until.into(), limit.into()], read).await
    }
}

impl Operation for DropRows {
    const NAME: &'static str = "tokenserver.drop_rows";
    type Output = u64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        #[derive(Serialize)]
        struct Given {
            uid: i64,
        }
        let uids = RowSet::of(self.uids.iter().map(|uid| Given { uid: *uid }));
        tx.execute(&DROP, &[(&uids).into(), self.before.into()]).await
    }
}

impl Operation for CountReplaced {
    const NAME: &'static str = "tokenserver.count_replaced";
    type Output = i64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<i64, StoreError> {
        let service = nodes::service_id(tx, &self.0).await?;
        tx.query_one(&BACKLOG, &[service.into(), self.1.into()], |row| row.int(0)).await
    }
}

fn read(row: &Row<'_>) -> Result<Replaced, StoreError> {
    let node = match row.opt_text(6)? {
        Some(url) => Some((url.to_owned(), row.bool(7)?)),
        None => None,
    };
    let live = match row.opt_int(8)? {
        Some(generation) => {
            Some(Live { key: KeyId::new(generation, row.opt_int(9)?, row.text(10)?), node_id: row.int(11)? })
        }
        None => None,
    };
    Ok(Replaced {
        uid: row.int(0)?,
        email: row.text(1)?.to_owned(),
        key: KeyId::new(row.int(2)?, row.opt_int(3)?, row.text(4)?),
        node_id: row.int(5)?,
        node,
        live,
    })
}
