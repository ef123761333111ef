//! Where an account's latest event is, as the store tells those who share what they know.

use super::*;
use verify::{Place, Records};

async fn place(house: &House, subject: &str) -> Option<Place> {
    house.inner().records.placed_record(&account(subject)).await.expect("the store answers").1
}

async fn position(house: &House, subject: &str) -> Option<i64> {
    place(house, subject).await.map(|place| place.position)
}

#[tokio::test]
async fn an_accounts_place_is_that_of_its_latest_event() {
    for house in House::on_each_engine().await {
        assert_eq!(position(&house, "u1").await, Some(0), "nothing happened");
        house.happens("u1", START, Change::PasswordChange).await;
        house.happens("u2", START, Change::PasswordChange).await;
        assert_eq!((position(&house, "u1").await, position(&house, "u2").await), (Some(1), Some(2)));
        house.happens("u1", START.plus(Duration::from_secs(1)), Change::Disable).await;
        let (record, placed) =
            house.inner().records.placed_record(&account("u1")).await.expect("the store answers");
        let head = house.ledger.feed().head().await.expect("the store answers");
        assert_eq!(placed, Some(Place { epoch: head.epoch.as_str().into(), position: 3 }));
        assert_eq!((record.version, record.state), (2, account::State::Disabled), "in the same view");
    }
}

#[tokio::test]
async fn an_event_that_has_committed_and_has_no_position_has_no_place() {
    let [_, house] = House::on_each_engine().await;
    let source = SourceId::new("test");
    let event = AccountEvent { account: account("u1"), at: Some(START), change: Change::PasswordChange };
    house.ledger.apply(Received { source, message_id: "1".into(), event }).await.expect("the store answers");
    assert_eq!(place(&house, "u1").await, None);
    while house.ledger.clone().place().await == work::Tick::More {}
    assert_eq!(position(&house, "u1").await, Some(1));
}

#[tokio::test]
async fn an_event_that_is_kept_no_longer_was_before_all_that_are() {
    for house in House::on_each_engine().await {
        house.happens("u1", START, Change::PasswordChange).await;
        house.happens("u2", START, Change::PasswordChange).await;
        house.clock.advance(Duration::from_hours(24 * 365));
        house.happens("u3", START.plus(Duration::from_hours(24 * 365)), Change::PasswordChange).await;
        while house.ledger.clone().drop_old(ledger::Retention::default()).await == work::Tick::More {}
        assert_eq!(position(&house, "u3").await, Some(3));
        assert_eq!(position(&house, "u1").await, Some(2), "before the first that is kept");
    }
}

#[tokio::test]
async fn a_restore_is_seen_by_the_epoch() {
    let house = House::new().await;
    let before = place(&house, "u1").await.expect("placed");
    house.store.run(following::Restored).await.expect("the store answers");
    let after = place(&house, "u1").await.expect("placed");
    assert_ne!(before.epoch, after.epoch);
    assert!(!before.covers(&after) && !after.covers(&before));
}
