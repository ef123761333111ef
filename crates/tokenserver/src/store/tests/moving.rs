//! Users who are moved and allocated by operators.

use super::*;
use crate::store::moves::Moves;

fn user(name: &str) -> User {
    User { email: format!("{name}@{DOMAIN}"), account: Some(account(name)) }
}

async fn moved(test: &TestStore, names: &[&str], from: Option<i64>, to: Target) -> Moves {
    let users = names.iter().map(|name| user(name)).collect();
    let (placement, now) = (Arc::new(placement()), test.clock.now());
    test.store.run(Move { users, from, to, placement, now, drain: None }).await.expect("the store answers")
}

fn to_b() -> Target {
    Target::Node(2, "https://b".to_owned())
}

#[tokio::test]
async fn a_moved_user_has_a_new_row_and_the_old_one_is_replaced() {
    for test in with_nodes(&[("https://a", 10, 10), ("https://b", 0, 0)]).await {
        settle_one(&test, asked("u", 100, 50, 1)).await.expect("served");
        test.clock.advance(Duration::from_secs(1));
        let moves = moved(&test, &["u", "stranger"], None, to_b()).await;
        let to = |it: &Moved| (it.from, it.to, it.node.clone());
        assert_eq!(moves.moved.iter().map(to).collect::<Vec<_>>(), [(1, 2, "https://b".to_owned())]);
        assert_eq!(users(&test).await, [[1, 100, 50, 0, 1], [2, 100, 50, 1, 2]], "{:?}", test.engine());
        counters_are_true(&test).await;
        // What clients present is held against the same credentials as before.
        assert_eq!(settle_one(&test, asked("u", 99, 50, 1)).await, Err(Refusal::InvalidGeneration));
        let served = settle_one(&test, asked("u", 100, 50, 1)).await.expect("served");
        assert_eq!((served.uid, served.node.as_str()), (2, "https://b"));
        assert!(moved(&test, &["u"], None, to_b()).await.moved.is_empty(), "there already");
        assert!(moved(&test, &["u"], Some(1), to_b()).await.moved.is_empty(), "does not live there");
    }
}

#[tokio::test]
async fn rows_left_live_beside_the_one_that_counts_are_ended_with_the_move() {
    static STRAY: Sql = Sql::both(
        "insert into users (service, email, generation, client_state, created_at, nodeid)
        values (1, 'u@accounts.example', 1, 'bb', 5, 1)",
    );
    for test in with_nodes(&[("https://a", 10, 10), ("https://b", 10, 10)]).await {
        settle_one(&test, asked("u", 100, 50, 1)).await.expect("served");
        execute(&test, &STRAY).await;
        test.store.run(Recount(NodeName::id(&sync(), 1))).await.expect("the store answers");
        assert_eq!(moved(&test, &["u"], Some(1), to_b()).await.moved.len(), 1);
        let live: Vec<_> = users(&test).await.iter().map(|row| (row[0], row[3])).collect();
        assert_eq!(live, [(1, 0), (2, 0), (3, 1)]);
        counters_are_true(&test).await;
        // Another stray on a node where its user does not live.
        execute(&test, &STRAY).await;
        test.store.run(Recount(NodeName::id(&sync(), 1))).await.expect("the store answers");
        assert!(moved(&test, &["u"], Some(1), Target::Anywhere).await.moved.is_empty());
        counters_are_true(&test).await;
        assert_eq!(loads(&test).await[0], [1, 10, 0]);
    }
}

#[tokio::test]
async fn nobody_is_moved_where_there_is_no_room() {
    for test in with_nodes(&[("https://a", 10, 10), ("https://b", 1, 1)]).await {
        static CORDON: Sql = Sql::both("update nodes set backoff = 1 where id = 1");
        for name in ["u", "v"] {
            settle(&test, &Placement { only_node: Some(1), ..placement() }, vec![asked(name, 100, 50, 1)])
                .await;
        }
        execute(&test, &CORDON).await;
        let moves = moved(&test, &["u", "v"], Some(1), Target::Anywhere).await;
        assert_eq!((moves.moved.len(), moves.without_room), (1, 1));
        counters_are_true(&test).await;
    }
}

async fn allocated(test: &TestStore, name: &str, to: Target) -> Allocated {
    let (user, placement, now) = (user(name), Arc::new(placement()), test.clock.now());
    test.store.run(Allocate { user, to, placement, now }).await.expect("the store answers")
}

#[tokio::test]
async fn a_user_who_has_not_come_yet_is_allocated_and_may_bring_any_credentials() {
    for test in with_nodes(&[("https://a", 10, 10), ("https://b", 0, 0)]).await {
        assert_eq!(allocated(&test, "u", to_b()).await, Allocated::New(1, "https://b".to_owned()));
        let lives = Allocated::Lives(1, 2, "https://b".to_owned());
        assert_eq!(allocated(&test, "u", Target::Anywhere).await, lives);
        counters_are_true(&test).await;
        let served = settle_one(&test, asked("u", 100, 50, 1)).await.expect("served");
        assert_eq!(
            (served.uid, served.node.as_str()),
            (2, "https://b"),
            "the first key makes a row of its own"
        );
        assert_eq!(allocated(&test, "v", Target::Anywhere).await, Allocated::New(3, "https://a".to_owned()));
        counters_are_true(&test).await;
    }
}

#[tokio::test]
async fn an_unassigned_user_is_allocated_with_the_credentials_known_and_a_deleted_one_is_not() {
    static UNASSIGN: Sql = Sql::both("update users set replaced_at = created_at + 1");
    for test in with_nodes(&[("https://a", 10, 10)]).await {
        settle_one(&test, asked("u", 100, 50, 1)).await.expect("served");
        settle_one(&test, asked("gone", 100, 50, 1)).await.expect("served");
        carrying::delete(&test, "gone").await;
        execute(&test, &UNASSIGN).await;
        assert_eq!(allocated(&test, "u", Target::Anywhere).await, Allocated::New(3, "https://a".to_owned()));
        assert_eq!(users(&test).await[2], [3, 100, 50, 1, 1]);
        assert_eq!(allocated(&test, "gone", Target::Anywhere).await, Allocated::Retired);
    }
}
