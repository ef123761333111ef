//! Nodes that are unassigned, removed, failed, recounted.

use super::*;

async fn assigned(test: &TestStore, users: usize) {
    let asked = (0..users).map(|n| asked(&format!("u{n}"), 100, 50, 1)).collect();
    assert!(settle(test, &placement(), asked).await.iter().all(Result::is_ok));
}

async fn residents(test: &TestStore, node_id: i64) -> Vec<Resident> {
    test.store.scan(FindResidents { node_id, after: 0, limit: 100 }).await.expect("the store answers")
}

async fn unassign(test: &TestStore, node_id: i64) -> i64 {
    let residents = residents(test, node_id).await;
    let accounts = residents.iter().filter_map(|it| Some(account(it.email.split('@').next()?))).collect();
    let unassign = Unassign { node_id, residents, accounts, now: test.clock.now() };
    test.store.run(unassign).await.expect("the store answers")
}

#[tokio::test]
async fn unassigned_users_are_replaced_once_and_counted_off() {
    for test in with_nodes(&[("https://a", 10, 10)]).await {
        assigned(&test, 3).await;
        test.clock.advance(Duration::from_secs(1));
        assert_eq!((unassign(&test, 1).await, unassign(&test, 1).await), (3, 0));
        assert_eq!(loads(&test).await, [[1, 10, 0]], "their places are open again");
        counters_are_true(&test).await;
        // The next request makes a new row, and the purge has the old one to deal with.
        let served = settle_one(&test, asked("u0", 100, 50, 1)).await.expect("served");
        assert_eq!((served.uid, served.node.as_str()), (4, "https://a"));
        counters_are_true(&test).await;
    }
}

#[tokio::test]
async fn a_node_is_removed_only_when_nobody_and_nothing_is_on_it() {
    for test in with_nodes(&[("https://a", 10, 10)]).await {
        assigned(&test, 2).await;
        let remove = async |with_data| {
            test.store.run(RemoveNode { node_id: 1, with_data }).await.expect("the store answers")
        };
        let living = Removed::Occupied(Occupancy { live: 2, replaced: 0 });
        assert_eq!((remove(false).await, remove(true).await), (living, living));
        unassign(&test, 1).await;
        assert_eq!(remove(false).await, Removed::Occupied(Occupancy { live: 0, replaced: 2 }));
        assert_eq!((remove(true).await, remove(true).await), (Removed::Done, Removed::Unknown));
        let refused = settle_one(&test, asked("u0", 100, 50, 1)).await;
        assert_eq!(refused, Err(Refusal::NoNode), "and nobody is served from it any more");
    }
}

#[tokio::test]
async fn a_load_that_others_wrote_is_counted_anew() {
    static DRIFT: Sql = Sql::both("update nodes set current_load = 9");
    for test in with_nodes(&[("https://a", 10, 10)]).await {
        assigned(&test, 2).await;
        execute(&test, &DRIFT).await;
        let recount = async || {
            let counted = test.store.run(Recount(NodeName::id(&sync(), 1))).await.expect("the store answers");
            counted.map(|(node, off)| (node.current_load, off))
        };
        assert_eq!((recount().await, recount().await), (Some((2, 7)), Some((2, 0))));
        counters_are_true(&test).await;
    }
}

async fn fail(test: &TestStore) -> Failing {
    let fail = FailNode { name: NodeName::new(&sync(), "https://a/"), now: test.clock.now() };
    test.store.run(fail).await.expect("the store answers")
}

async fn undo(test: &TestStore) -> Failing {
    test.store.run(UndoFailure(NodeName::new(&sync(), "https://a"))).await.expect("the store answers")
}

async fn report(test: &TestStore) -> (i64, Vec<(i64, Option<i64>, Option<String>)>) {
    let find = FindFailure { name: NodeName::id(&sync(), 1), after: 0, limit: 100 };
    let (_, failure) = test.store.scan(find).await.expect("the store answers").expect("a node");
    let failure = failure.expect("it failed");
    let who = failure.who.into_iter().map(|it| (it.uid, it.new_uid, it.new_node)).collect();
    (failure.moved, who)
}

#[tokio::test]
async fn the_users_of_a_failed_node_move_as_they_come() {
    for test in with_nodes(&[("https://a", 10, 10), ("https://b", 0, 0)]).await {
        static OPEN_B: Sql = Sql::both("update nodes set capacity = 10, available = 10 where id = 2");
        assigned(&test, 2).await;
        carrying::delete(&test, "u1").await;
        test.clock.advance(Duration::from_secs(1));
        execute(&test, &OPEN_B).await;
        assert!(matches!(fail(&test).await, Failing::Done(node) if node.downed && node.failed));
        assert!(matches!(fail(&test).await, Failing::Already(_)));
        assert_eq!(report(&test).await, (0, vec![]), "nobody has come, and who was deleted does not count");
        let served = settle_one(&test, asked("u0", 100, 50, 1)).await.expect("served");
        assert_eq!((served.uid, served.node.as_str()), (3, "https://b"));
        let new = settle_one(&test, asked("new", 100, 50, 1)).await.expect("served");
        assert_eq!(new.node, "https://b", "it gets nobody new");
        assert_eq!(report(&test).await, (1, vec![(1, Some(3), Some("https://b".to_owned()))]));
        assert_eq!(undo(&test).await, Failing::Moved(1));
        counters_are_true(&test).await;
        let opened = NodeChange { downed: Some(false), ..NodeChange::default() };
        let update = UpdateNode { name: NodeName::id(&sync(), 1), change: opened };
        let Updated::Done(node) = test.store.run(update).await.expect("the store answers") else { panic!() };
        assert!(!node.downed && !node.failed, "an operator opens it again nevertheless");
    }
}

#[tokio::test]
async fn a_failure_is_undone_while_nobody_has_moved() {
    for test in with_nodes(&[("https://a", 10, 10), ("https://b", 10, 10)]).await {
        assert!(matches!(undo(&test).await, Failing::Already(_)));
        let down = NodeChange { downed: Some(true), ..NodeChange::default() };
        let update = UpdateNode { name: NodeName::id(&sync(), 1), change: down };
        test.store.run(update).await.expect("the store answers");
        fail(&test).await;
        assert!(matches!(undo(&test).await, Failing::Done(node) if node.downed && !node.failed), "as before");
        fail(&test).await;
        let down = NodeChange { downed: Some(true), ..NodeChange::default() };
        let update = UpdateNode { name: NodeName::id(&sync(), 1), change: down };
        let Updated::Done(node) = test.store.run(update).await.expect("the store answers") else { panic!() };
        assert!(node.failed, "a node that has failed is down besides");
    }
}

#[tokio::test]
async fn a_retired_user_of_a_failed_node_is_refused_as_on_any_other() {
    for test in with_nodes(&[("https://a", 10, 10), ("https://b", 0, 0)]).await {
        assigned(&test, 1).await;
        carrying::delete(&test, "u0").await;
        fail(&test).await;
        assert_eq!(settle_one(&test, asked("u0", 100, 50, 1)).await, Err(Refusal::InvalidGeneration));
    }
}

#[tokio::test]
async fn the_one_node_that_everybody_goes_to_serves_nobody_while_it_has_failed() {
    for test in with_nodes(&[("https://a", 10, 10)]).await {
        let only = Placement { only_node: Some(1), ..placement() };
        fail(&test).await;
        let served = settle(&test, &only, vec![asked("u0", 100, 50, 1)]).await;
        assert_eq!(served, [Err(Refusal::NoNode)], "rather than a new row with each request");
    }
}

#[tokio::test]
async fn a_node_that_others_wrote_with_a_slash_gets_no_second_row() {
    static SLASH: Sql = Sql::both(
        "insert into nodes (service, node, available, current_load, capacity, downed, backoff)
        values (1, 'https://Sync.example/', 5, 0, 10, 0, 0)",
    );
    for test in with_nodes(&[]).await {
        execute(&test, &SLASH).await;
        let node = NodeUrl::parse("https://sync.example").expect("a node");
        let add = AddNode { service: sync(), node, capacity: 1, available: 1, rest: NodeChange::default() };
        let added = test.store.run(add).await.expect("the store answers");
        assert_eq!(added, Added::There("https://Sync.example/".to_owned()));
        let served = settle_one(&test, asked("u0", 100, 50, 1)).await.expect("served");
        assert_eq!(served.node, "https://Sync.example/", "byte for byte, or clients would start over");
    }
}
