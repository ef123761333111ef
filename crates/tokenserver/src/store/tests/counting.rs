use super::*;
use proptest::prelude::*;

async fn placed(test: &TestStore, users: i64) -> Vec<Option<String>> {
    let mut nodes = Vec::new();
    for n in 0..users {
        let served = settle_one(test, asked(&format!("u{n}"), 0, 0, 1)).await;
        nodes.push(served.ok().map(|served| served.node));
    }
    nodes
}

#[tokio::test]
async fn a_full_node_opens_a_part_of_its_capacity_rounded_up() {
    for test in with_nodes(&[("https://a", 0, 4)]).await {
        assert_eq!(placed(&test, 5).await.iter().flatten().count(), 4, "a node of four never stays closed");
        assert_eq!(loads(&test).await, [[1, 0, 4]]);
        counters_are_true(&test).await;
    }
}

#[tokio::test]
async fn a_batch_larger_than_the_open_places_opens_more() {
    for test in with_nodes(&[("https://a", 1, 50), ("https://b", 0, 20)]).await {
        let batch = (0..64).map(|n| asked(&format!("u{n}"), 0, 0, 1)).collect();
        // Five rounds: 1, then ⌈50/10⌉ + ⌈20/10⌉ = 7 each.
        let served = settle(&test, &placement(), batch).await;
        let taken = served.iter().filter(|served| served.is_ok()).count();
        assert!(taken >= 14, "{taken} were placed");
        assert!(served.iter().flatten().all(|served| served.uid > 0));
        counters_are_true(&test).await;
    }
}

#[tokio::test]
async fn nodes_that_are_down_or_backing_off_get_nobody_but_the_latter_open_places() {
    static FLAGS: Sql = Sql::both(
        "update nodes set downed = case when id = 1 then 1 else 0 end, backoff = case when id = 2 then 1 else 0 end",
    );
    for test in with_nodes(&[("https://a", 0, 10), ("https://b", 0, 10), ("https://c", 0, 10)]).await {
        execute(&test, &FLAGS).await;
        assert_eq!(placed(&test, 1).await, [Some("https://c".to_owned())]);
        assert_eq!(loads(&test).await, [[1, 0, 0], [2, 1, 0], [3, 0, 1]]);
    }
}

#[tokio::test]
async fn no_node_at_all_is_told_and_leaves_nothing_behind() {
    for test in with_nodes(&[]).await {
        assert_eq!(settle_one(&test, asked("user", 0, 0, 1)).await, Err(Refusal::NoNode));
        assert!(users(&test).await.is_empty());
    }
}

#[tokio::test]
async fn a_load_driven_below_zero_by_foreign_hands_harms_nobody() {
    static NEGATIVE: Sql = Sql::both("update nodes set current_load = -2");
    for test in with_nodes(&[("https://a", 5, 10)]).await {
        execute(&test, &NEGATIVE).await;
        assert_eq!(placed(&test, 1).await, [Some("https://a".to_owned())]);
        assert_eq!(loads(&test).await, [[1, 4, 1]]);
    }
}

#[tokio::test]
async fn everybody_goes_to_the_one_node_when_there_is_one() {
    static MISSING: Sql = Sql::both("delete from nodes where id = 2");
    for test in with_nodes(&[("https://a", 5, 10), ("https://b", 0, 0)]).await {
        let only = Placement { only_node: Some(2), ..placement() };
        let served = settle(&test, &only, vec![asked("a", 0, 0, 1), asked("b", 0, 0, 1)]).await;
        assert!(served.iter().all(|served| served.as_ref().is_ok_and(|served| served.node == "https://b")));
        assert_eq!(loads(&test).await, [[1, 5, 0], [2, 0, 2]], "only the load moves");
        execute(&test, &MISSING).await;
        assert_eq!(settle(&test, &only, vec![asked("c", 0, 0, 1)]).await, [Err(Refusal::NoNode)]);
    }
}

#[tokio::test]
async fn a_node_is_added_once_and_every_flag_can_be_set_and_cleared() {
    for test in with_nodes(&[("https://a", 5, 10)]).await {
        let node = NodeUrl::parse("https://A/").expect("a node");
        let again = AddNode {
            service: sync(),
            node: node.clone(),
            capacity: 99,
            available: 99,
            rest: NodeChange::default(),
        };
        let there = Added::There("https://a".to_owned());
        assert_eq!(test.store.run(again).await.expect("the store answers"), there);
        let update = |change| UpdateNode { name: NodeName::new(&sync(), "https://A/"), change };
        for flag in [true, false] {
            let change = NodeChange { downed: Some(flag), backoff: Some(flag), ..NodeChange::default() };
            let changed = test.store.run(update(change)).await.expect("the store answers");
            let Updated::Done(changed) = changed else { panic!("{changed:?}") };
            assert_eq!(
                (changed.downed, changed.backoff, changed.available, changed.capacity),
                (flag, flag, 5, 10)
            );
        }
        let change = NodeChange {
            capacity: Some(20),
            available: Some(7),
            current_load: Some(3),
            ..NodeChange::default()
        };
        test.store.run(update(change)).await.expect("the store answers");
        let listed = test.store.scan(ListNodes(sync())).await.expect("the store answers");
        assert_eq!((listed[0].capacity, listed[0].available, listed[0].current_load), (20, 7, 3));
        let stranger = UpdateNode { name: NodeName::new(&sync(), "x"), change: NodeChange::default() };
        assert_eq!(test.store.run(stranger).await.expect("the store answers"), Updated::Unknown);
    }
}

/// What may happen to a handful of users, in any order.
#[derive(Clone, Debug)]
enum Step {
    Request { user: usize, generation: i64, keys: i64, state: u8 },
    Delete { user: usize },
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..4usize, 0..5i64, 0..5i64, 1..4u8)
            .prop_map(|(user, generation, keys, state)| Step::Request { user, generation, keys, state }),
        1 => (0..4usize).prop_map(|user| Step::Delete { user }),
    ]
}

#[test]
fn whatever_users_do_the_counters_are_true_and_no_user_has_two_live_rows() {
    static TWICE: Sql =
        Sql::both("select count(*) from users where replaced_at is null group by email having count(*) > 1");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    proptest!(ProptestConfig::with_cases(12), |(steps in prop::collection::vec(any_step(), 1..40))| {
        runtime.block_on(async {
            for test in with_nodes(&[("https://a", 2, 5), ("https://b", 0, 7)]).await {
                for step in &steps {
                    test.clock.advance(Duration::from_millis(1));
                    match step {
                        Step::Request { user, generation, keys, state } => {
                            let asked = asked(&format!("u{user}"), *generation, *keys, *state);
                            drop(settle(&test, &placement(), vec![asked]).await);
                        }
                        Step::Delete { user } => carrying::delete(&test, &format!("u{user}")).await,
                    }
                    counters_are_true(&test).await;
                }
                assert!(ask(&test, &TWICE, 1).await.is_empty());
            }
        });
    });
}
