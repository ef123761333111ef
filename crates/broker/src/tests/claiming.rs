//! Claims, leases and fences; the hand-over of what may yet be rolled back.

use super::receiver::Receiver;
use super::*;
use crate::delivery::{Effect, Next, Terminal};
use crate::handover::Held;
use crate::store::claim::{Claim, LEASE, ReleaseAll, Room};
use crate::store::record::Line;
use crate::store::rows::Delivery;
use crate::store::settle::{Attempt, Attempted, Settle, Settled};
use serde_json::json;

async fn claim(house: &House, owner: &str, most: u32) -> Vec<Delivery> {
    let now = house.clock.now();
    let rooms = vec![Room { client_id: client("aaaa"), most, due_by: now }];
    house.store.run(Claim { rooms, owner: owner.into(), now }).await.expect("the store answers")
}

async fn settle(house: &House, delivery: &Delivery, next: Next) -> Settled {
    settle_together(house, std::slice::from_ref(delivery), next).await
}

async fn settle_together(house: &House, deliveries: &[Delivery], next: Next) -> Settled {
    let now = house.clock.now();
    let attempt = Attempt {
        at: now,
        duration: Duration::from_millis(5),
        status: Some(200),
        outcome: "delivered",
        detail: None,
        answer: None,
    };
    let attempted = |delivery: &Delivery| Attempted {
        id: delivery.id,
        fence: delivery.fence,
        line: Line { client_id: delivery.client_id.clone(), about: delivery.about.clone() },
        kind: delivery.kind.clone(),
        jti: delivery.jti.clone(),
        failures: 0,
        next,
        effects: vec![Effect::ReleaseLine],
        attempt: attempt.clone(),
    };
    let attempts = deliveries.iter().map(attempted).collect();
    let cipher = house.inner().snapshots.cipher.clone();
    let settle = Settle { attempts, cipher, now, failing_limit: Millis::ZERO };
    house.store.run(settle).await.expect("the store answers")
}

async fn with_deliveries(accounts: usize) -> Vec<House> {
    let mut houses = Vec::new();
    for house in House::on_each_engine().await {
        let nobody = Receiver::start().await;
        house.add("aaaa", &nobody, |config, _| config.resource_server = true).await;
        for number in 0..accounts {
            house.happens(&format!("u{number}"), 900, Change::PasswordChange).await;
        }
        houses.push(house);
    }
    houses
}

#[tokio::test]
async fn what_one_has_claimed_nobody_else_gets_until_the_lease_ends() {
    for house in with_deliveries(3).await {
        let first = claim(&house, "one", 2).await;
        assert_eq!(
            first.iter().map(|it| it.id).collect::<Vec<_>>(),
            [1, 2],
            "the oldest first, and no more than fit"
        );
        assert_eq!(claim(&house, "two", 10).await.iter().map(|it| it.id).collect::<Vec<_>>(), [3]);
        house.clock.advance(LEASE.saturating_sub(Duration::from_millis(1)));
        assert_eq!(claim(&house, "two", 10).await, []);
        house.clock.advance(Duration::from_millis(1));
        let again = claim(&house, "two", 10).await;
        assert_eq!(again.len(), 3);
        assert!(again.iter().all(|it| it.fence > first[0].fence));
        assert_eq!((&again[0].jti, again[0].iat), (&first[0].jti, first[0].iat), "the same token");
    }
}

#[tokio::test]
async fn the_outcome_of_a_claim_that_was_lost_changes_nothing() {
    for house in with_deliveries(1).await {
        let late = claim(&house, "one", 1).await.remove(0);
        house.clock.advance(LEASE);
        let current = claim(&house, "two", 1).await.remove(0);
        settle(&house, &late, Next::Ended(Terminal::Rejected)).await;
        settle(&house, &late, Next::Again(Millis::MAX)).await;
        assert_eq!(house.shown().await, ["aaaa u0 password-change pending 0"]);
        settle(&house, &current, Next::Ended(Terminal::Delivered)).await;
        settle(&house, &late, Next::Ended(Terminal::Exhausted)).await;
        assert_eq!(house.shown().await, ["aaaa u0 password-change delivered 0"]);
    }
}

#[tokio::test]
async fn of_outcomes_that_are_settled_together_only_those_of_claims_that_hold_count() {
    for house in with_deliveries(2).await {
        for user in ["u0", "u1"] {
            house.happens(user, 901, Change::PasswordChange).await;
        }
        let first = claim(&house, "one", 2).await;
        house.clock.advance(LEASE);
        assert_eq!(claim(&house, "two", 1).await[0].id, first[0].id);
        let settled = settle_together(&house, &first, Next::Ended(Terminal::Delivered)).await;
        assert_eq!(settled.released, [(client("aaaa"), 1)].into(), "the line of the one that ended");
        assert_eq!(
            house.shown().await,
            [
                "aaaa u0 password-change pending 0",
                "aaaa u1 password-change delivered 0",
                "aaaa u0 password-change pending 0",
                "aaaa u1 password-change pending 0"
            ]
        );
    }
}

#[tokio::test]
async fn ending_one_lets_the_next_of_its_line_go_and_says_so() {
    for house in with_deliveries(1).await {
        house.happens("u0", 901, Change::PasswordChange).await;
        let first = claim(&house, "one", 10).await;
        assert_eq!(first.len(), 1, "one of a line at a time");
        let settled = settle(&house, &first[0], Next::Ended(Terminal::Delivered)).await;
        assert_eq!(settled.released, [(client("aaaa"), 1)].into());
        let second = claim(&house, "one", 10).await;
        assert_eq!((second.len(), second[0].id), (1, 2));
        assert_eq!(settle(&house, &second[0], Next::Ended(Terminal::Delivered)).await, Settled::default());
    }
}

#[tokio::test]
async fn the_one_owner_of_a_file_frees_what_a_former_life_had_claimed() {
    for house in with_deliveries(2).await {
        assert_eq!(claim(&house, "one", 10).await.len(), 2);
        let freed = house.store.run(ReleaseAll(house.clock.now())).await.expect("the store answers");
        assert_eq!(freed, 2);
        assert_eq!(claim(&house, "two", 10).await.len(), 2);
    }
}

#[tokio::test]
async fn what_is_handed_over_is_believed_only_when_it_is_committed() {
    for house in with_deliveries(1).await {
        let inner = house.inner();
        house.deliver().await;
        let lane = inner.lanes.get(&client("aaaa")).expect("a lane");
        let real = house.deliveries().await.remove(0);
        let about = crate::token::tests::account();
        let mut delivery = crate::token::tests::delivery(about, crate::EventType::PasswordChange, "{}");
        delivery.id = real.id;
        let left = |delivery: &Delivery| {
            let mut grant = lane.grant(1, house.clock.now()).expect("room");
            let permit = grant.one().expect("one");
            vec![Held { lane: Arc::clone(&lane), delivery: delivery.clone(), permit }]
        };
        // A number that another transaction got after ours was rolled back.
        delivery.jti = "rolled-back".into();
        let transaction = Arc::new(());
        inner.handover.leave(left(&delivery), Arc::downgrade(&transaction));
        let committed =
            async || inner.handover.committed(&house.store).await.expect("the store answers").len();
        assert_eq!(committed().await, 0);
        let room = || lane.grant(100, house.clock.now()).expect("room").count();
        assert_eq!(room(), 31, "it may still be committed");
        delivery.jti = real.jti;
        inner.handover.leave(left(&delivery), Arc::downgrade(&transaction));
        assert_eq!(committed().await, 1);
        assert_eq!(room(), 31);
        drop(transaction);
        assert_eq!(committed().await, 0);
        assert_eq!(room(), 32, "what is not seen when its transaction is over takes no room");
    }
}

#[tokio::test]
async fn what_a_sender_had_claimed_is_acknowledged_once_its_receiver_asks() {
    for house in with_deliveries(2).await {
        let claimed = claim(&house, "one", 1).await;
        let asks = json!({ "config": { "format": "poll", "webhook": null } });
        let changed = house.ask("PATCH /rps/aaaa", Some(asks)).await;
        assert_eq!(changed.status, http::StatusCode::OK, "{}", changed.body);
        let token = house.token_of("aaaa").await;
        let poll = async |body| house.receiver_asks(&token, "POST /ssf/poll", Some(body)).await.json();
        let given = poll(json!({ "returnImmediately": true })).await;
        let named: Vec<&String> = given["sets"].as_object().expect("sets").keys().collect();
        assert_eq!(named.len(), 2);
        assert!(named.contains(&&claimed[0].jti));
        let rest = poll(json!({ "returnImmediately": true, "ack": named })).await;
        assert_eq!(rest["sets"], json!({}));
        settle(&house, &claimed[0], Next::Ended(Terminal::Rejected)).await;
        assert!(house.shown().await.iter().all(|line| line.contains(" delivered ")), "it came too late");
    }
}
