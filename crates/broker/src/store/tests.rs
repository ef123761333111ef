//! The operations, on both engines.
use super::*;
use crate::MIGRATIONS as OWN;

const TABLES: &[&[store::Migration]] = &[ledger::MIGRATIONS, OWN];

#[tokio::test]
async fn every_statement_is_taken_by_both_engines() {
    store::testing::prepare_all(TABLES, STATEMENTS).await;
}
