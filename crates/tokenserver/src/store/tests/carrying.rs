use super::*;
use crate::rules::{Carried, RETIRED};

/// Carries events for some users, as the ledger's transaction does.
struct CarryAll {
    users: Vec<(String, Vec<Carried>)>,
    most_rows: i64,
    now: Millis,
}

impl Operation for CarryAll {
    const NAME: &'static str = "test.carry";
    type Output = Carry;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Carry, StoreError> {
        let carrying = |(name, carried): &(String, Vec<Carried>)| Carrying {
            email: format!("{name}@{DOMAIN}"),
            carried: carried.clone(),
        };
        carry(tx, &self.users.iter().map(carrying).collect::<Vec<_>>(), self.most_rows, self.now).await
    }
}

async fn carried(test: &TestStore, users: &[(&str, Carried)]) -> Carry {
    let users = users.iter().map(|(name, carried)| ((*name).to_owned(), vec![*carried])).collect();
    let carry = CarryAll { users, most_rows: 50, now: test.clock.now() };
    test.store.run(carry).await.expect("the store answers")
}

pub(super) async fn delete(test: &TestStore, name: &str) {
    assert_ne!(carried(test, &[(name, Carried::Retire(test.clock.now()))]).await, Carry::TooMany);
}

const fn raise(at: i64) -> Carried {
    Carried::Raise(Millis::new(at))
}

#[tokio::test]
async fn a_batch_of_events_is_carried_into_the_rows_of_its_users() {
    for test in with_nodes(&[("https://a", 10, 10)]).await {
        for (name, generation) in [("a", 100), ("b", 200), ("c", 300), ("d", 0)] {
            settle_one(&test, asked(name, generation, 0, 1)).await.expect("served");
        }
        let gone = Carried::Retire(Millis::new(250));
        let outcome =
            carried(&test, &[("a", raise(150)), ("b", gone), ("c", gone), ("stranger", gone)]).await;
        assert_eq!(outcome, Carry::Done { raised: 1, retired: 1 });
        let rows: Vec<_> = users(&test).await.iter().map(|row| (row[1], row[3])).collect();
        assert_eq!(rows, [(149, 1), (RETIRED, 0), (300, 1), (0, 1)]);
        assert_eq!(loads(&test).await, [[1, 7, 3]], "the retired one gave its place up");
        counters_are_true(&test).await;
        let again = carried(&test, &[("a", raise(150)), ("b", gone)]).await;
        assert_eq!(again, Carry::Done { raised: 0, retired: 0 }, "once is enough");
    }
}

#[tokio::test]
async fn an_event_reaches_the_rows_of_every_service() {
    static OTHER: Sql = Sql::both(
        "insert into users (service, email, generation, client_state, created_at, nodeid)
        values (1, 'user@accounts.example', 5, '', 1, 1), (2, 'user@accounts.example', 5, '', 1, 1)",
    );
    for test in with_nodes(&[("https://a", 10, 10)]).await {
        execute(&test, &OTHER).await;
        assert_eq!(carried(&test, &[("user", raise(150))]).await, Carry::Done { raised: 2, retired: 0 });
    }
}

#[tokio::test]
async fn a_user_with_more_live_rows_than_allowed_is_left_for_later() {
    static MANY: Sql = Sql::per_engine(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 51)
        insert into users (service, email, generation, client_state, created_at, nodeid)
        select 1, 'user@accounts.example', 5, '', i, 1 from n",
        "insert into users (service, email, generation, client_state, created_at, nodeid)
        select 1, 'user@accounts.example', 5, '', i, 1 from generate_series(1, 51) as i",
    );
    for test in with_nodes(&[("https://a", 10, 10)]).await {
        execute(&test, &MANY).await;
        assert_eq!(carried(&test, &[("user", raise(150))]).await, Carry::TooMany);
        assert_eq!(users(&test).await.len(), 51);
    }
}

/// Carries events into at most so many rows, as a worker does.
struct CarryPart {
    carried: Carried,
    most_rows: i64,
    now: Millis,
}

impl Operation for CarryPart {
    const NAME: &'static str = "test.carry_part";
    type Output = Carry;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Carry, StoreError> {
        let user = Carrying { email: format!("user@{DOMAIN}"), carried: vec![self.carried] };
        carry_part(tx, &[user], self.most_rows, self.now).await
    }
}

/// Rows that need no change do not count: a part is never spent on them alone.
#[tokio::test]
async fn very_many_rows_are_changed_in_parts_until_none_is_left() {
    static MANY: Sql = Sql::per_engine(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 300)
        insert into users (service, email, generation, client_state, created_at, nodeid)
        select 1, 'user@accounts.example', i % 3 * 100, '', 1000000 * (i % 2), 1 from n",
        "insert into users (service, email, generation, client_state, created_at, nodeid)
        select 1, 'user@accounts.example', i % 3 * 100, '', 1000000 * (i % 2), 1 from generate_series(1, 300) as i",
    );
    static LOADED: Sql = Sql::both("update nodes set current_load = 300");
    for test in with_nodes(&[("https://a", 1000, 1000)]).await {
        execute(&test, &MANY).await;
        execute(&test, &LOADED).await;
        let part = async |carried| {
            let part = CarryPart { carried, most_rows: 40, now: test.clock.now() };
            test.store.run(part).await.expect("the store answers")
        };
        // The hundred of generation 100, and the half of those without one that was made by then.
        let gone = Carried::Retire(Millis::new(150));
        for _ in 0..3 {
            assert_eq!(part(gone).await, Carry::Part { raised: 0 });
        }
        assert_eq!(part(gone).await, Carry::Done { raised: 0, retired: 30 });
        assert_eq!(loads(&test).await[0][2], 150);
        counters_are_true(&test).await;
        // The other half, and none of generation 200.
        assert_eq!(part(raise(151)).await, Carry::Part { raised: 40 });
        assert_eq!(part(raise(151)).await, Carry::Done { raised: 10, retired: 0 });
        assert_eq!(part(raise(151)).await, Carry::Done { raised: 0, retired: 0 });
        let live: Vec<_> = users(&test).await.iter().filter(|row| row[3] == 1).map(|row| row[1]).collect();
        let of = |generation| live.iter().filter(|it| **it == generation).count();
        assert_eq!((of(150), of(200), live.len()), (50, 100, 150));
    }
}
