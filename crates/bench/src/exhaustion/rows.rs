//! What is in the table, when the server has ended.

use anyhow::Result;
use store::{Clock, Operation, Settings, Sql, Store, StoreError, Tx};

/// How many users have a live row.
pub(super) fn count(url: &str) -> Result<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let counted =
        runtime.block_on(async { Store::open(&Settings::at(url), Clock::system())?.run(Count).await })?;
    Ok(u64::try_from(counted)?)
}

struct Count;

impl Operation for Count {
    const NAME: &'static str = "bench.count";
    type Output = i64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<i64, StoreError> {
        static LIVE: Sql = Sql::both("select count(*) from users where replaced_at is null");
        tx.query_one(&LIVE, &[], |row| row.int(0)).await
    }
}
