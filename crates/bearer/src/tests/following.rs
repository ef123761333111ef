use super::*;
use crate::follower::{Follower, Hears, Word};
use parking_lot::Mutex;
use std::sync::Arc;

const NOW: i64 = START.seconds();

/// Writes down what it hears.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<String>>>);

impl Hears for Listener {
    fn hear(&self, word: Word<'_>) {
        self.0.lock().push(match word {
            Word::Changed { account, position, .. } => format!("{account} at {position}"),
            Word::ReadTo { position, proven_at } => {
                format!("to {position}, proven {}", proven_at.get() - START.get())
            }
            Word::BeginAnew { position, .. } => format!("anew at {position}"),
        });
    }
}

impl Listener {
    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

#[tokio::test]
async fn events_are_heard_in_their_order_and_from_the_head_on() {
    for house in House::on_each_engine().await {
        house.happens("u0", START, Change::PasswordChange).await;
        let listener = Listener::default();
        let follower = Follower::new(house.ledger.feed(), house.clock.clone(), listener.clone());
        assert_eq!(follower.position(), None);
        let mut tail = follower.begin().await;
        house.happens("u1", START, Change::PasswordChange).await;
        house.happens("u2", START, Change::Disable).await;
        house.clock.advance(Duration::from_secs(3));
        house.ledger.clone().beat().await;
        assert!(follower.turn(&mut tail).await);
        assert_eq!(listener.heard(), ["anew at 1", "main:u1 at 2", "main:u2 at 3", "to 3, proven 3000"]);
        assert_eq!(follower.position(), Some(3));
        let finding = follower.finding(verify::Sight::Clear);
        assert_eq!((finding.is_degraded, finding.detail.as_str()), (false, "at 3, proven 0 s ago"));
    }
}

#[tokio::test]
async fn a_feed_that_begins_anew_is_followed_from_its_new_head() {
    let house = House::new().await;
    let listener = Listener::default();
    let follower = Follower::new(house.ledger.feed(), house.clock.clone(), listener.clone());
    let mut tail = follower.begin().await;
    house.store.run(Restored).await.expect("the store answers");
    assert!(!follower.turn(&mut tail).await, "what follows is of another life");
    follower.begin().await;
    assert_eq!(listener.heard(), ["anew at 0", "anew at 0"]);
}

#[tokio::test]
async fn a_feed_that_cannot_be_read_is_told_in_stages_and_followed_again() {
    let house = House::new().await;
    let follower = &house.inner().follower;
    let mut tail = follower.begin().await;
    house.ledger.clone().beat().await;
    follower.turn(&mut tail).await;
    assert!(!house.bearer.findings()[0].is_degraded);
    house.store.run(Hidden("alter table feed rename to hidden_feed")).await.expect("the store answers");
    assert!(follower.turn(&mut tail).await, "it goes on where it was");
    let mut told = Vec::new();
    for seconds in [10, 30, 300] {
        house.clock.advance(Duration::from_secs(seconds));
        let finding = house.bearer.findings().remove(0);
        assert!(finding.is_degraded);
        told.push(finding.detail.split(", not read for").next().expect("words").to_owned());
    }
    assert_eq!(told, ["at 0", "dim; at 0", "lost; at 0"]);
    house.store.run(Hidden("alter table hidden_feed rename to feed")).await.expect("the store answers");
    house.ledger.clone().beat().await;
    follower.turn(&mut tail).await;
    let finding = house.bearer.findings().remove(0);
    assert_eq!((finding.is_degraded, finding.detail.as_str()), (false, "at 0, proven 0 s ago"));
}

#[tokio::test]
async fn a_remembered_token_is_refused_once_the_event_is_heard_of() {
    for house in House::on_each_engine().await {
        let follower = &house.inner().follower;
        let mut tail = follower.begin().await;
        let (token, others) = (house.token("u1", NOW - 60), house.token("u2", NOW - 60));
        for token in [&token, &others] {
            assert_eq!(house.passes(token).await.status, StatusCode::OK);
        }
        house.happens_elsewhere("u1", Millis::from_seconds(NOW - 50), Change::PasswordChange).await;
        assert_eq!(house.passes(&token).await.status, StatusCode::OK, "nobody has told this node");
        follower.turn(&mut tail).await;
        assert_eq!(house.passes(&token).await.code(), refused(401, "token_ended"));
        assert_eq!(house.passes(&others).await.status, StatusCode::OK);
        assert_eq!(house.passes(&house.token("u1", NOW - 40)).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn the_node_that_takes_an_event_in_need_not_hear_of_it() {
    for house in House::on_each_engine().await {
        let _followed = house.inner().follower.begin().await;
        let (token, others) = (house.token("u1", NOW - 60), house.token("u2", NOW - 60));
        for token in [&token, &others] {
            assert_eq!(house.passes(token).await.status, StatusCode::OK);
        }
        house.happens("u1", Millis::from_seconds(NOW - 50), Change::PasswordChange).await;
        assert_eq!(house.passes(&token).await.code(), refused(401, "token_ended"));
        assert_eq!(house.passes(&others).await.status, StatusCode::OK);
    }
}

/// A restore from a backup: the feed is in another life.
pub(super) struct Restored;

/// A table comes and goes.
struct Hidden(&'static str);

store::statements! {
    static NEW_LIFE = both("update feed set epoch = 'another'");
}

impl store::Operation for Restored {
    const NAME: &'static str = "test.restored";
    type Output = ();

    async fn run(&self, tx: &mut store::Tx<'_>) -> Result<(), store::StoreError> {
        tx.execute(&NEW_LIFE, &[]).await.map(drop)
    }
}

impl store::Operation for Hidden {
    const NAME: &'static str = "test.hidden";
    type Output = ();

    async fn run(&self, tx: &mut store::Tx<'_>) -> Result<(), store::StoreError> {
        let sql = Box::leak(Box::new(store::Sql::both(self.0)));
        tx.execute(sql, &[]).await.map(drop)
    }
}
