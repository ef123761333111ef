//! Every statement is one that both engines take.

use store::testing::prepare_all;

#[tokio::test]
async fn every_statement_of_the_ledger_and_the_keys_is_taken_by_both_engines() {
    assert!(ledger::STATEMENTS.iter().copied().flatten().count() >= 30);
    let statements = [ledger::STATEMENTS, keys::STATEMENTS].concat();
    prepare_all(&[ledger::MIGRATIONS, keys::MIGRATIONS], &statements).await;
}
