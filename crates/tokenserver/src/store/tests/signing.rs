//! Which secret of a service signs, whatever the service's number.

use super::*;
use crate::rules::Rotation;
use store::testing::engines;

fn notes() -> ServiceName {
    ServiceName::new("notes", "2").expect("a name")
}

fn rotation(at: i64) -> Rotation {
    Rotation { first: "first".to_owned(), signs: "second".to_owned(), at: Millis::new(at) }
}

async fn found(test: &TestStore, service: ServiceName) -> Option<Rotation> {
    test.store.scan(FindRotation(service)).await.expect("the store answers")
}

#[tokio::test]
async fn a_rotation_stays_its_services_when_the_numbers_change() {
    static OTHER: Sql = Sql::both("update services set id = 7 where service = 'sync-1.5'");
    static TAKEN: Sql = Sql::both("insert into services (id, service) values (1, 'notes-2')");
    for test in with_nodes(&[]).await {
        let rotate = Rotate { service: sync(), rotation: rotation(5) };
        test.store.run(rotate).await.expect("the store answers");
        execute(&test, &OTHER).await;
        execute(&test, &TAKEN).await;
        assert_eq!(found(&test, sync()).await, Some(rotation(5)), "{:?}", test.engine());
        assert_eq!(found(&test, notes()).await, None, "what has its number now was never rotated");
        let rotate = Rotate { service: notes(), rotation: rotation(6) };
        test.store.run(rotate).await.expect("the store answers");
        assert_eq!(found(&test, sync()).await, Some(rotation(5)));
    }
}

#[tokio::test]
async fn a_rotation_of_before_is_taken_over_under_its_services_name() {
    static BEFORE: Sql = Sql::both(
        "insert into secret_rotations (service, first, signs, at) values (1, 'first', 'second', 5), (9, 'a', 'b', 6)",
    );
    let (before, after) = MIGRATIONS.split_at(5);
    for test in engines(&[ledger::MIGRATIONS, before]).await {
        execute(&test, &BEFORE).await;
        test.store.migrate(&[ledger::MIGRATIONS, before, after]).await.expect("it goes on");
        assert_eq!(found(&test, sync()).await, Some(rotation(5)), "{:?}", test.engine());
        assert_eq!(found(&test, notes()).await, None);
    }
}
