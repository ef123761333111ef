//! No word of the identity provider's from before an event of the account counts after it, whichever node has heard of it.

use super::*;
use std::sync::atomic::{AtomicBool, Ordering};

#[tokio::test]
async fn what_was_learned_before_an_event_counts_nowhere_after_it() {
    let town = Town::new().await;
    town.answers(yes()).await;
    let (a, told, lagging) = (town.node(5), town.node(5), town.node(5));
    assert_eq!(how(&a, &ANY, at(0)).await, How::Learned);
    town.store.commits(6);
    told.account_changed(&account("u"), 6);
    told.feed_read(6, at(1));
    town.answers(no()).await;
    assert_eq!(check(&told, &ANY, at(1)).await, refused());
    assert_eq!(check(&lagging, &ANY, at(1)).await, refused(), "the store knows what it has not heard of");
}

#[tokio::test]
async fn a_node_that_lags_brings_back_nothing_by_what_it_keeps_for_others() {
    let town = Town::new().await;
    town.answers(yes()).await;
    let (lagging, told) = (town.node(5), town.node(6));
    town.store.commits(6);
    assert_eq!(how(&lagging, &ANY, at(0)).await, How::Learned);
    assert_eq!(how(&told, &ANY, at(1)).await, How::Learned, "perhaps that was asked before the event");
    assert_eq!(
        how(&town.node(5), &ANY, at(2)).await,
        How::Remembered,
        "and this was certainly asked after it"
    );
    assert_eq!(town.questions().await, 2);
}

#[tokio::test]
async fn events_of_others_end_nothing_however_much_a_node_has_forgotten_of_the_feed() {
    let town = Town::new().await;
    town.answers(yes()).await;
    town.store.commits(40);
    assert_eq!(how(&town.node(50), &ANY, at(0)).await, How::Learned);
    let other = town.node(50);
    for position in 51..=70_000 {
        other.account_changed(&account(&position.to_string()), position);
    }
    other.feed_read(70_000, at(1));
    assert_eq!(how(&other, &ANY, at(1)).await, How::Remembered);
    assert_eq!(how(&town.node(70_000), &ANY, at(1)).await, How::Remembered, "one that began a moment ago");
    assert_eq!(town.questions().await, 1);
}

#[tokio::test]
async fn an_event_without_a_position_yet_is_after_everything() {
    let town = Town::new().await;
    town.answers(yes()).await;
    assert_eq!(how(&town.node(5), &ANY, at(0)).await, How::Learned);
    town.store.commits_unplaced();
    assert_eq!(how(&town.node(5), &ANY, at(1)).await, How::Learned);
    assert_eq!(
        how(&town.node(5), &ANY, at(2)).await,
        How::Learned,
        "nor is anything kept for others meanwhile"
    );
    assert_eq!(town.questions().await, 3);
}

#[tokio::test]
async fn an_event_while_another_process_asks_makes_its_answer_worthless_to_all() {
    let town = Town::new().await;
    let (asking, waiting) = (town.node(5), town.node(5));
    let (store, heard) = (town.store.clone(), waiting.clone());
    let has_happened = AtomicBool::new(false);
    let event = move || {
        if has_happened.swap(true, Ordering::Relaxed) {
            return;
        }
        store.commits(6);
        heard.account_changed(&account("u"), 6);
        heard.feed_read(6, at(0));
    };
    town.answers(Meanwhile(event, yes().set_delay(BRIEFLY))).await;
    let second = async {
        while !town.board.is_flown() {
            tokio::task::yield_now().await;
        }
        check(&waiting, &ANY, at(0)).await
    };
    let (first, second) = tokio::join!(check(&asking, &ANY, at(0)), second);
    assert!(first.is_ok(), "the feed has not told it there, and the mark judges it: {first:?}");
    assert_eq!(second.expect("good").how, How::Learned, "it does not take that answer");
    assert_eq!(town.questions().await, 2);
    assert_eq!(how(&town.node(6), &ANY, at(1)).await, How::Remembered, "its own is good for all");
}

#[tokio::test]
async fn an_event_that_is_told_while_what_is_kept_is_fetched_ends_it() {
    let town = Town::new().await;
    town.answers(yes()).await;
    let (a, b) = (town.node(5), town.node(5));
    assert_eq!(how(&a, &ANY, at(0)).await, How::Learned);
    assert_eq!(how(&b, &ANY, at(1)).await, How::Remembered);
    for node in [&a, &b] {
        node.account_changed(&account("u"), 6);
        node.feed_read(6, at(1));
    }
    town.store.commits(6);
    town.answers(no()).await;
    for node in [&b, &a] {
        assert_eq!(check(node, &ANY, at(1)).await, refused());
    }
}

#[tokio::test]
async fn after_a_restore_nothing_from_before_counts_whatever_the_positions_are() {
    let town = Town::new().await;
    town.answers(yes()).await;
    assert_eq!(how(&town.node(900), &ANY, at(0)).await, How::Learned);
    let unaware = town.node(900);
    // The event that ended the token is above everything in the restored feed, and far below where the old one was.
    town.store.is_restored("another", 501);
    assert_eq!(how(&unaware, &ANY, at(1)).await, How::Learned);
    let aware = town.node(900);
    aware.feed_lost("another", 501);
    assert_eq!(how(&aware, &ANY, at(1)).await, How::Learned);
    assert_eq!(town.questions().await, 3);
    let other = town.node(0);
    other.feed_lost("another", 501);
    assert_eq!(how(&other, &ANY, at(2)).await, How::Remembered, "from the new feed it counts");
    assert_eq!(
        how(&town.node(900), &ANY, at(2)).await,
        How::Learned,
        "but not for one that reads the old one"
    );
}

#[tokio::test]
async fn a_node_that_follows_no_feed_yet_shares_nothing_and_believes_nobody() {
    let town = Town::new().await;
    town.answers(yes()).await;
    let unfed = || town.unfed_node(secret(1), &[]);
    assert_eq!(how(&unfed(), &ANY, at(0)).await, How::Learned);
    assert_eq!(how(&town.node(0), &ANY, at(1)).await, How::Learned);
    assert_eq!(how(&unfed(), &ANY, at(2)).await, How::Learned);
    assert_eq!(town.questions().await, 3);
}
