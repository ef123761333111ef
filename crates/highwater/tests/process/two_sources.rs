//! An event by a queue and by a signed token, in either order, through the built binary: the same grants end, once.
//! (The identity provider answers on threads of its own.)

use crate::queue::Queue;
use crate::world::{PATIENCE, World, in_queue, told_by_queue};
use serde_json::json;
use standins::SecurityEvent;
use testkit::wait_until;

#[tokio::test(flavor = "multi_thread")]
async fn the_same_change_by_a_queue_and_by_a_token_counts_once_whichever_comes_first() {
    let queue = Queue::new("two-sources");
    let world = World::with_queue(&queue).await;
    let refused = (401, json!("invalid-generation"));
    let mut ended = Vec::new();
    for (subject, queue_first) in [("a".repeat(32), true), ("b".repeat(32), false)] {
        world.idp.sign_up(&subject);
        let old = world.sign_in(&subject);
        assert_eq!(world.exchange(&old).0, 200);

        let at = world.change_password(&subject).await;
        let token = SecurityEvent::PasswordChange(at);
        if queue_first {
            told_by_queue(&queue, in_queue("passwordChange", &subject, at)).await;
            assert_eq!(world.exchange(&old), refused, "by the queue alone");
            world.told_by_token(&subject, &token);
        } else {
            world.told_by_token(&subject, &token);
            assert_eq!(world.exchange(&old), refused, "by the token alone");
            told_by_queue(&queue, in_queue("passwordChange", &subject, at)).await;
        }
        assert_eq!(world.exchange(&old), refused);
        assert_eq!(world.exchange(&world.sign_in(&subject)).0, 200, "a fresh one is served");
        let mut account = world.account(&subject);
        assert_eq!((&account["version"], &account["mark"]), (&json!(1), &json!(at)), "one change, once");
        for moment in ["mark", "credential_at", "state_at"] {
            account.as_object_mut().expect("an object").remove(moment);
        }
        ended.push(account);
    }
    assert_eq!(ended[0], ended[1], "both ways end in the same row");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_account_is_refused_and_its_neighbour_is_not() {
    let queue = Queue::new("deletion");
    let world = World::with_queue(&queue).await;
    let (gone, neighbour) = ("c".repeat(32), "d".repeat(32));
    world.idp.sign_up(&gone);
    world.idp.sign_up(&neighbour);
    let devices = [world.sign_in(&gone), world.sign_in(&neighbour)];
    assert!(devices.iter().all(|device| world.exchange(device).0 == 200));
    told_by_queue(&queue, json!({ "event": "delete", "uid": gone })).await;
    assert_eq!(devices.map(|device| world.exchange(&device).0), [401, 200]);
    assert_eq!(world.account(&gone)["state"], "deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_waits_in_the_queue_while_the_node_is_dead() {
    let queue = Queue::new("killed");
    let world = World::with_queue(&queue).await;
    let subject = "e".repeat(32);
    world.idp.sign_up(&subject);
    let old = world.sign_in(&subject);
    assert_eq!(world.exchange(&old).0, 200);
    let at = world.change_password(&subject).await;
    let World { idp, house, node } = world;
    node.kill();
    queue.send(&in_queue("passwordChange", &subject, at));
    let node = house.serve(&[]);
    let world = World { idp, house, node };
    wait_until("taken in after the start", PATIENCE, async || queue.left() == 0).await;
    assert_eq!(world.exchange(&old).0, 401);
}
