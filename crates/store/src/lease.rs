use crate::{Migration, Operation, Sql, Store, StoreError, Tx, Value};
use account::Millis;
use std::time::Duration;

/// The tables for leases and fences.
pub(crate) const LEASES: Migration = Migration::per_engine(
    "store 0001 leases",
    "create table leases (name text primary key, owner text not null, fence bigint not null, until bigint not null);
     create table fences (last bigint not null);
     insert into fences values (0);",
    "create table leases (name text primary key, owner text not null, fence bigint not null, until bigint not null);
     create sequence fences;",
);

crate::statements! {
    static ACQUIRE = both(
        "insert into leases (name, owner, fence, until) values ($1, $2, 1, $4)
         on conflict (name) do update set owner = $2, until = $4,
           fence = leases.fence + case when leases.owner = $2 and leases.until > $3 then 0 else 1 end
         where leases.until <= $3 or leases.owner = $2
         returning fence");
    static RENEW = both("update leases set until = $4 where name = $1 and owner = $2 and fence = $3");
    static RELEASE = both("update leases set until = 0 where name = $1 and owner = $2 and fence = $3");
    static HOLDS = both("select 1 from leases where name = $1 and owner = $2 and fence = $3 and until > $4 {for_update}");
    pub(crate) static NEXT_FENCE = per_engine {
        sqlite: "update fences set last = last + 1 returning last",
        postgres: "select nextval('fences')",
    };
}

/// A named lease, held: for what must happen in one place at a time.
///
/// A lease can be lost while its holder is paused. So its fence is checked again in the transaction that does the
/// work ([`Lease::still_held`]): a lock that expires is no lock without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What it is for.
    pub name: &'static str,
    /// Who holds it.
    pub owner: String,
    /// Rises each time it changes hands.
    pub fence: i64,
    /// Until when, unless renewed.
    pub until: Millis,
}

/// Somebody who takes leases under one owner name.
#[derive(Clone)]
pub struct LeaseHolder {
    store: Store,
    owner: String,
}

impl LeaseHolder {
    /// A holder of that name; the name tells processes apart.
    pub fn new(store: Store, owner: impl Into<String>) -> Self {
        Self { store, owner: owner.into() }
    }

    /// Takes a lease, or prolongs one's own. `None` when somebody else holds it.
    pub async fn acquire(&self, name: &'static str, life: Duration) -> Result<Option<Lease>, StoreError> {
        let now = self.store.clock().now();
        let lease = Lease { name, owner: self.owner.clone(), fence: 0, until: now.plus(life) };
        self.store.run(Acquire { lease, now }).await
    }

    /// Prolongs a lease; false when it is lost.
    pub async fn renew(&self, lease: &mut Lease, life: Duration) -> Result<bool, StoreError> {
        let until = self.store.clock().now().plus(life);
        let kept = self.store.run(Change { lease: lease.clone(), sql: &RENEW, until: Some(until) }).await?;
        if kept {
            lease.until = until;
        }
        Ok(kept)
    }

    /// Lets a lease go.
    pub async fn release(&self, lease: Lease) -> Result<(), StoreError> {
        self.store.run(Change { lease, sql: &RELEASE, until: None }).await.map(drop)
    }
}

impl Lease {
    /// Whether this very lease is still held, inside the transaction that relies on it; it stays so until the
    /// commit.
    pub async fn still_held(&self, tx: &mut Tx<'_>, now: Millis) -> Result<bool, StoreError> {
        let params = [self.name.into(), (&self.owner).into(), self.fence.into(), now.into()];
        Ok(tx.query_opt(&HOLDS, &params, |_| Ok(())).await?.is_some())
    }
}

struct Acquire {
    lease: Lease,
    now: Millis,
}

impl Operation for Acquire {
    const NAME: &'static str = "lease.acquire";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = Option<Lease>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<Lease>, StoreError> {
        let Lease { name, ref owner, until, .. } = self.lease;
        let params = [name.into(), owner.into(), self.now.into(), until.into()];
        let fence = tx.query_opt(&ACQUIRE, &params, |row| row.int(0)).await?;
        Ok(fence.map(|fence| Lease { fence, ..self.lease.clone() }))
    }
}

struct Change {
    lease: Lease,
    sql: &'static Sql,
    until: Option<Millis>,
}

impl Operation for Change {
    const NAME: &'static str = "lease.change";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = bool;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        let mut params = vec![self.lease.name.into(), (&self.lease.owner).into(), self.lease.fence.into()];
        params.extend(self.until.map(Value::from));
        Ok(tx.execute(self.sql, &params).await? == 1)
    }
}
