use crate::sql::Text;
use crate::{Operation, Store, StoreError, Tx};
use account::Millis;

/// A step of the schema. Steps are applied once each, in their order, and never changed afterwards: first expand,
/// later contract, so that two versions of Highwater can run side by side.
#[derive(Debug)]
pub struct Migration {
    /// Its name, unique in the house: `ledger 0001 accounts`.
    pub name: &'static str,
    /// One or more statements without parameters, separated by `;`.
    sql: Text,
}

impl Migration {
    /// A step whose text both engines take (with the names of [`Sql`](crate::Sql)).
    pub const fn both(name: &'static str, sql: &'static str) -> Self {
        Self { name, sql: Text::Both(sql) }
    }

    /// A step with a text for each engine.
    pub const fn per_engine(name: &'static str, sqlite: &'static str, postgres: &'static str) -> Self {
        Self { name, sql: Text::PerEngine { sqlite, postgres } }
    }
}

/// What was done to a schema, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MigrationReport {
    /// Names of the steps applied now (or pending, when only asked).
    pub applied: Vec<&'static str>,
    /// How many were there before.
    pub already: usize,
    /// Names of those that were there and are not known: somebody else's, or a later version's.
    pub unknown: Vec<String>,
}

crate::statements! {
    static APPLIED = both("select name from highwater_migrations");
    static RECORD = both("insert into highwater_migrations (name, applied_at) values ($1, $2) on conflict do nothing");
    static ONE_AT_A_TIME = per_engine { sqlite: "select 1", postgres: "select pg_advisory_xact_lock(7308324466019527794)" };
    static TABLE = both(
        "create table if not exists highwater_migrations (name varchar(100) primary key, applied_at bigint not null)");
}

/// Brings a store's schema up to date.
struct Migrate {
    steps: Vec<&'static Migration>,
    now: Millis,
    only_ask: bool,
}

impl Store {
    /// Applies the steps that are missing, all in one transaction; several nodes may do so at once.
    pub async fn migrate(&self, steps: &[&'static [Migration]]) -> Result<MigrationReport, StoreError> {
        self.run(Migrate { steps: in_order(steps), now: self.clock().now(), only_ask: false }).await
    }

    /// The steps that are missing, without applying them.
    pub async fn pending_migrations(
        &self,
        steps: &[&'static [Migration]],
    ) -> Result<MigrationReport, StoreError> {
        self.run(Migrate { steps: in_order(steps), now: self.clock().now(), only_ask: true }).await
    }
}

fn in_order(steps: &[&'static [Migration]]) -> Vec<&'static Migration> {
    crate::MIGRATIONS.iter().chain(steps.iter().copied().flatten()).collect()
}

impl Operation for Migrate {
    const NAME: &'static str = "migrate";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = MigrationReport;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<MigrationReport, StoreError> {
        tx.query(&ONE_AT_A_TIME, &[], |_| Ok(())).await?;
        tx.batch(TABLE.for_engine(tx.engine())).await?;
        let applied = tx.query(&APPLIED, &[], |row| Ok(row.text(0)?.to_owned())).await?;
        let is_known = |name: &str| self.steps.iter().any(|step| step.name == name);
        let unknown = applied.iter().filter(|name| !is_known(name)).cloned().collect();
        let mut report = MigrationReport { applied: Vec::new(), already: applied.len(), unknown };
        for step in self.steps.iter().filter(|step| !applied.iter().any(|name| name == step.name)) {
            if !self.only_ask {
                apply(tx, step, self.now).await?;
            }
            report.applied.push(step.name);
        }
        Ok(report)
    }
}

async fn apply(tx: &mut Tx<'_>, step: &Migration, now: Millis) -> Result<(), StoreError> {
    let text = step.sql.for_engine(tx.engine());
    tx.batch(&text).await.map_err(|error| match error {
        StoreError::Statement { reason } => {
            StoreError::Statement { reason: format!("migration {:?}: {reason}", step.name) }
        }
        other => other,
    })?;
    tx.execute(&RECORD, &[step.name.into(), now.into()]).await.map(drop)
}
