//! The operations, on both engines.

mod planning;

use super::*;

pub(crate) const TABLES: &[&[store::Migration]] = &[ledger::MIGRATIONS, keys::MIGRATIONS, MIGRATIONS];

#[tokio::test]
async fn every_statement_is_taken_by_both_engines() {
    store::testing::prepare_all(TABLES, STATEMENTS).await;
}
