use super::*;
use futures::future::join_all;
use std::collections::HashSet;
use store::{Operation, Sql, StoreError, Tx};

struct Count(&'static Sql);

impl Operation for Count {
    const NAME: &'static str = "test.count";
    type Output = i64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<i64, StoreError> {
        tx.query_one(self.0, &[], |row| row.int(0)).await
    }
}

async fn count(house: &House, sql: &'static Sql) -> i64 {
    house.store.run(Count(sql)).await.expect("the store answers")
}

static ROWS: Sql = Sql::both("select count(*) from users");
static LIVE: Sql = Sql::both("select count(*) from users where replaced_at is null");
static LOAD: Sql = Sql::both("select sum(current_load) from nodes");

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_first_requests_at_once_make_one_row() {
    for house in House::on_each_engine().await {
        let requests = (0..64).map(|_| house.exchange("user", 100, KEY_ID));
        let uids: HashSet<_> = join_all(requests).await.iter().map(Answer::uid).collect();
        assert_eq!(uids.len(), 1);
        assert_eq!((count(&house, &ROWS).await, count(&house, &LOAD).await), (1, 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_key_resets_at_once_make_one_row_more() {
    for house in House::on_each_engine().await {
        house.exchange("user", 100, "50-qqo").await.uid();
        let requests = (0..64).map(|_| house.exchange("user", 200, "150-uw"));
        let uids: HashSet<_> = join_all(requests).await.iter().map(Answer::uid).collect();
        assert_eq!(uids.len(), 1);
        assert_eq!(
            (count(&house, &ROWS).await, count(&house, &LIVE).await, count(&house, &LOAD).await),
            (2, 1, 1)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_users_at_once_each_get_one_row() {
    for house in House::on_each_engine().await {
        let requests = (0..200).map(|n| {
            let house = &house;
            async move { house.exchange(&format!("u{}", n % 100), 100, KEY_ID).await.uid() }
        });
        let uids: HashSet<_> = join_all(requests).await.into_iter().collect();
        assert_eq!(uids.len(), 100);
        assert_eq!((count(&house, &LIVE).await, count(&house, &LOAD).await), (100, 100));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_on_one_store_make_one_row_too() {
    let test = store::testing::postgres(TABLES).await;
    let other = Store::open(&test.settings, test.clock.clone()).expect("the store can be opened");
    let one = House::over(test, settings()).await;
    let idps = idp(&one.key, None);
    let verifier = Verifier::new(idps.clone(), &verify::Settings::default());
    let tombstones = Tombstones::new(&RootKey::generate(), Duration::ZERO);
    let server =
        Tokenserver::new(settings(), other.clone(), idps.clone(), verifier, &tombstones, &Lifecycle::new());
    let two = capability(&other, idps, None, server.ok()).public.split_for_parts().0;
    let two = House { public: two, ..House::without_nodes(other, &settings(), None) };
    // The same tokens, at either door.
    let headers = one.headers("user", 100, KEY_ID);
    let requests = (0..64).map(|n| if n % 2 == 0 { &one } else { &two }.get(SYNC, &headers));
    let uids: HashSet<_> = join_all(requests).await.iter().map(Answer::uid).collect();
    assert_eq!(uids.len(), 1);
    assert_eq!((count(&one, &ROWS).await, count(&one, &LOAD).await), (1, 1));
}

#[tokio::test]
async fn a_client_that_goes_away_takes_nothing_with_it() {
    let house = House::new(settings()).await;
    let gone = house.exchange("gone", 100, KEY_ID);
    assert!(futures::poll!(std::pin::pin!(gone)).is_pending());
    house.exchange("stays", 100, KEY_ID).await.uid();
}
