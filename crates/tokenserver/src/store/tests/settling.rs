use super::*;
use crate::rules::RETIRED;

async fn known(test: &TestStore, name: &str) -> Known {
    let (account, email) = (account(name), format!("{name}@{DOMAIN}"));
    test.store
        .read(&Lookup { service: &sync(), account: &account, email: &email })
        .await
        .expect("the store answers")
}

#[tokio::test]
async fn a_first_request_makes_one_live_row_on_the_least_loaded_node() {
    for test in with_nodes(&[("https://a", 5, 10), ("https://b", 9, 10)]).await {
        let served = settle_one(&test, asked("user", 100, 50, 1)).await.expect("served");
        assert_eq!(
            (served.node.as_str(), served.key_time, served.first_seen_at),
            ("https://b", 50, test.clock.now())
        );
        assert_eq!(users(&test).await, [[served.uid, 100, 50, 1, 2]]);
        let known = known(&test, "user").await;
        assert_eq!(known.rows[0].uid, served.uid);
        assert_eq!(known.rows[0].node.as_deref(), Some("https://b"));
        counters_are_true(&test).await;
    }
}

#[tokio::test]
async fn a_user_without_rows_is_still_a_row_of_the_answer_and_a_missing_service_is_not() {
    static NONE: Sql = Sql::both("delete from services");
    for test in with_nodes(&[]).await {
        assert_eq!(known(&test, "user").await, Known::default());
        execute(&test, &NONE).await;
        let (account, email) = (account("user"), String::from("user@x"));
        let lookup = test.store.read(&Lookup { service: &sync(), account: &account, email: &email }).await;
        assert!(matches!(lookup, Err(StoreError::Statement { .. })));
    }
}

#[tokio::test]
async fn a_service_that_is_made_anew_is_found_under_its_new_id() {
    static GONE: Sql = Sql::both("update services set service = 'old'");
    static ANEW: Sql = Sql::both("insert into services (id, service) values (77, 'sync-1.5')");
    static MOVE: Sql = Sql::both("update nodes set service = 77");
    static THERE: Sql = Sql::both("select count(*) from users where service = 77");
    for test in with_nodes(&[("https://a", 5, 10)]).await {
        settle_one(&test, asked("user", 1, 1, 1)).await.expect("served");
        for statement in [&GONE, &ANEW, &MOVE] {
            execute(&test, statement).await;
        }
        assert_eq!(known(&test, "user").await, Known::default());
        settle_one(&test, asked("user", 1, 1, 1)).await.expect("served");
        assert_eq!(ask(&test, &THERE, 1).await, [[1]]);
    }
}

#[tokio::test]
async fn many_users_are_settled_in_one_transaction_each_by_its_own_right() {
    for test in with_nodes(&[("https://a", 10, 10), ("https://b", 10, 10)]).await {
        let old = settle_one(&test, asked("old", 100, 50, 1)).await.expect("served");
        let batch = vec![
            asked("new", 1, 0, 2),
            asked("old", 99, 50, 1),
            asked("raised", 5, 5, 3),
            asked("another", 0, 0, 4),
        ];
        let mut served = settle(&test, &placement(), batch).await;
        assert_eq!(served.remove(1), Err(Refusal::InvalidGeneration));
        assert!(served.iter().all(|served| served.as_ref().is_ok_and(|served| served.uid > old.uid)));
        assert_eq!(users(&test).await.len(), 4);
        assert_eq!(loads(&test).await, [[1, 8, 2], [2, 8, 2]]);
        counters_are_true(&test).await;
    }
}

#[tokio::test]
async fn higher_numbers_are_written_into_the_row_there_is() {
    for test in with_nodes(&[("https://a", 10, 10)]).await {
        let first = settle_one(&test, asked("user", 100, 0, 1)).await.expect("served");
        let raised = settle_one(&test, asked("user", 200, 150, 1)).await.expect("served");
        assert_eq!((raised.uid, raised.key_time), (first.uid, 150));
        assert_eq!(users(&test).await, [[first.uid, 200, 150, 1, 1]]);
    }
}

#[tokio::test]
async fn an_absent_key_change_stays_null() {
    for test in with_nodes(&[("https://a", 10, 10)]).await {
        settle_one(&test, asked("user", 100, 0, 1)).await.expect("served");
        let raised = settle_one(&test, asked("user", 200, 0, 1)).await.expect("served");
        assert_eq!(raised.key_time, 200);
        assert_eq!(users(&test).await[0][2], -1);
    }
}

#[tokio::test]
async fn another_key_gets_another_row_on_the_same_node() {
    for test in with_nodes(&[("https://a", 10, 10), ("https://b", 9, 10)]).await {
        let first = settle_one(&test, asked("user", 100, 50, 1)).await.expect("served");
        test.clock.advance(Duration::from_secs(1));
        let second = settle_one(&test, asked("user", 200, 150, 2)).await.expect("served");
        assert!(second.uid != first.uid && second.node == first.node);
        assert_eq!(second.first_seen_at, first.first_seen_at);
        assert_eq!(users(&test).await, [[first.uid, 100, 50, 0, 1], [second.uid, 200, 150, 1, 1]]);
        assert_eq!(loads(&test).await[0], [1, 9, 1], "the row that is replaced no longer counts");
        counters_are_true(&test).await;
        let stale = settle_one(&test, asked("user", 300, 250, 1)).await.expect_err("left behind");
        assert_eq!(stale.wire().description, "Unacceptable client-state value stale value");
    }
}

#[tokio::test]
async fn another_key_within_the_same_millisecond_or_after_the_clock_went_back_counts() {
    for test in with_nodes(&[("https://a", 10, 10)]).await {
        settle_one(&test, asked("user", 0, 0, 1)).await.expect("served");
        let same = settle_one(&test, asked("user", 0, 0, 2)).await.expect("served");
        test.clock.set(Millis::new(1_000));
        let back = settle_one(&test, asked("user", 0, 0, 3)).await.expect("served");
        assert!(back.uid > same.uid);
        let again = settle_one(&test, asked("user", 0, 0, 3)).await.expect("served");
        assert_eq!(again.uid, back.uid);
        counters_are_true(&test).await;
    }
}

#[tokio::test]
async fn rows_left_live_by_a_race_of_former_days_are_replaced() {
    static STRAYS: Sql = Sql::both(
        "insert into users (service, email, generation, client_state, created_at, nodeid, keys_changed_at)
        values (1, 'user@accounts.example', 100, '01', 5, 1, 50), (1, 'user@accounts.example', 100, '01', 6, 1, 50),
            (1, 'user@accounts.example', 100, '01', 6, 2, 50)",
    );
    static COUNTED: Sql = Sql::both("update nodes set current_load = case when id = 1 then 2 else 1 end");
    static REPLACED: Sql =
        Sql::both("select uid, replaced_at from users where replaced_at is not null order by uid");
    for test in with_nodes(&[("https://a", 5, 10), ("https://b", 5, 10)]).await {
        execute(&test, &STRAYS).await;
        execute(&test, &COUNTED).await;
        let served = settle_one(&test, asked("user", 100, 50, 1)).await.expect("served");
        assert_eq!((served.uid, served.node.as_str()), (3, "https://b"));
        assert_eq!(ask(&test, &REPLACED, 2).await, [[1, 6], [2, 6]], "by the current row's making");
        counters_are_true(&test).await;
    }
}

#[tokio::test]
async fn a_user_whose_node_is_gone_or_who_was_unassigned_gets_a_node_and_keeps_the_rest() {
    static GONE: Sql = Sql::both("delete from nodes where id = 1");
    static UNASSIGN: Sql = Sql::both("update users set replaced_at = 9");
    for test in with_nodes(&[("https://a", 10, 10), ("https://b", 9, 10)]).await {
        let first = settle_one(&test, asked("user", 100, 50, 1)).await.expect("served");
        execute(&test, &GONE).await;
        test.clock.advance(Duration::from_secs(1));
        let second = settle_one(&test, asked("user", 0, 50, 1)).await.expect("served");
        assert_eq!((first.node.as_str(), second.node.as_str()), ("https://a", "https://b"));
        execute(&test, &UNASSIGN).await;
        let refused = settle_one(&test, asked("user", 99, 50, 1)).await;
        assert_eq!(refused, Err(Refusal::InvalidGeneration), "the checks hold the stored state");
        assert_eq!(users(&test).await.len(), 2, "and nothing is made for a refused request");
        let third = settle_one(&test, asked("user", 0, 50, 1)).await.expect("served");
        assert_eq!(users(&test).await[2], [third.uid, 100, 50, 1, 2]);
    }
}

#[tokio::test]
async fn a_retired_user_is_refused_and_nothing_is_written() {
    static RETIRE: Sql = Sql::both("update users set generation = 9223372036854775807, replaced_at = 9");
    for test in with_nodes(&[("https://a", 10, 10)]).await {
        let first = settle_one(&test, asked("user", 100, 50, 1)).await.expect("served");
        execute(&test, &RETIRE).await;
        let before = users(&test).await;
        for asked in [asked("user", 101, 50, 1), asked("user", 0, 50, 1), asked("user", 0, 60, 2)] {
            assert_eq!(settle_one(&test, asked).await, Err(Refusal::InvalidGeneration));
        }
        let served = settle_one(&test, asked("user", RETIRED, 50, 1)).await.expect("served");
        assert_eq!(served.uid, first.uid);
        assert_eq!(users(&test).await, before);
    }
}

#[tokio::test]
async fn a_deleted_account_that_was_forgotten_is_remembered_by_its_tombstone() {
    static BURY: Sql =
        Sql::both("insert into tombstones (account, deleted_at, expires_at) values ('HASH', 500, 9999)");
    static NAMED: Sql = Sql::both("select 1 from tombstones where account <> 'HASH'");
    for test in with_nodes(&[("https://a", 10, 10)]).await {
        execute(&test, &BURY).await;
        let tombstones = tombstones();
        let asked = |generation| vec![asked("user", generation, 0, 1)];
        rename_tombstone(&test, tombstones.hash(&account("user"))).await;
        assert_eq!(ask(&test, &NAMED, 1).await.len(), 1);
        let settle = |asked| Settle {
            asked,
            placement: Arc::new(placement()),
            tombstones: tombstones.clone(),
            now: test.clock.now(),
        };
        let old = test.store.run(settle(asked(400))).await.expect("the store answers");
        assert_eq!(old, [Err(Refusal::InvalidGeneration)]);
        let new = test.store.run(settle(asked(600))).await.expect("the store answers");
        assert!(new[0].is_ok());
    }
}

async fn rename_tombstone(test: &TestStore, hash: String) {
    static RENAME: Sql = Sql::both("update tombstones set account = $1");
    struct Rename(String);
    impl Operation for Rename {
        const NAME: &'static str = "test.rename";
        type Output = ();
        async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
            tx.execute(&RENAME, &[(&self.0).into()]).await.map(drop)
        }
    }
    test.store.run(Rename(hash)).await.expect("the store answers");
}
