//! Looking at deliveries, and sending them again.

use super::receiver::{Answer, Receiver};
use super::*;
use serde_json::json;

#[tokio::test]
async fn deliveries_are_listed_by_what_is_asked_for() {
    for house in House::on_each_engine().await {
        let receiver = Receiver::start().await;
        for rp in ["aaaa", "bbbb"] {
            let once = |config: &mut Config, _: &mut Secrets| {
                (config.resource_server, config.retry) = (true, RetryPolicy { delays_seconds: vec![] });
            };
            house.add(rp, &receiver, once).await;
        }
        house.happens("u1", 900, Change::PasswordChange).await;
        house.happens("u2", 901, Change::PasswordChange).await;
        receiver.answers_next([Answer::Status(404)]);
        house.deliver().await;
        let untold = house.deliveries().await.into_iter().find(|it| it.state == "exhausted").expect("one is");
        house.happens("u1", 902, Change::Disable).await;
        let listed = async |query: &str| {
            let listed = house.ask(&format!("GET /deliveries?{query}"), None).await.json();
            let ids = listed.as_array().expect("a list").iter().map(|it| it["id"].as_i64());
            ids.collect::<Option<Vec<_>>>().expect("each has a number")
        };
        let all = listed("").await;
        assert!(all.is_sorted());
        for (query, count) in [
            ("rp=AAAA", 3),
            ("subject=u1&idp=main", 4),
            ("subject=u1", 4),
            ("subject=u1&idp=other", 0),
            ("rp=bbbb&subject=u1", 2),
        ] {
            let some = listed(query).await;
            assert!(some.is_sorted() && some.len() == count, "{query}: {some:?}");
        }
        assert_eq!(listed("state=exhausted").await, [untold.id]);
        assert!(listed(&format!("state=exhausted&after={}", untold.id)).await.is_empty());
        assert_eq!(listed(&format!("state=exhausted&rp={}", untold.client_id)).await, [untold.id]);
        assert!(listed("state=rejected").await.is_empty());
        let pending = listed("state=pending").await;
        assert_eq!(pending, all[4..], "the others have ended");
        assert_eq!(listed("state=pending&subject=u1").await, pending);
        assert_eq!(listed("state=pending&limit=1").await, pending[..1]);
        assert_eq!(listed(&format!("state=pending&after={}", pending[0])).await, pending[1..]);
        assert_eq!(listed("limit=3").await, all[..3]);
        assert_eq!(listed(&format!("after={}", all[2])).await, all[3..]);
    }
}

/// Numbers grow with time, or nearly so: clocks of nodes differ.
#[tokio::test]
async fn what_was_made_since_then_is_listed_whatever_was_made_before() {
    for house in House::on_each_engine().await {
        let receiver = Receiver::answering(Answer::Status(404)).await;
        for rp in ["aaaa", "bbbb"] {
            let once = |config: &mut Config, _: &mut Secrets| {
                (config.resource_server, config.retry) = (true, RetryPolicy { delays_seconds: vec![] });
            };
            house.add(rp, &receiver, once).await;
        }
        let begin = house.clock.now();
        for number in 0..12 {
            house.happens(&format!("u{number}"), 900, Change::PasswordChange).await;
            if number == 5 {
                house.deliver().await;
            }
            // Of three, the second is made last.
            let minutes = [11, 2, 20][number % 3] + 20 * (number / 3);
            house.clock.set(begin.plus(Duration::from_mins(u64::try_from(minutes).expect("small"))));
        }
        let made = house.deliveries().await;
        assert_eq!(made.len(), 24);
        for since in made.iter().flat_map(|one| [one.created_at.get(), one.created_at.get() + 1]) {
            for (query, states) in [
                ("", &["exhausted", "pending"][..]),
                ("&rp=aaaa", &["exhausted", "pending"]),
                ("&state=pending", &["pending"]),
                ("&state=exhausted", &["exhausted"]),
                ("&state=exhausted&rp=aaaa", &["exhausted"]),
            ] {
                let answer = house.ask(&format!("GET /deliveries?since={since}{query}"), None).await.json();
                let ids = answer.as_array().expect("a list").iter().map(|it| it["id"].as_i64());
                let is_asked_for = |it: &&DeliveryView| {
                    it.created_at.get() >= since
                        && states.contains(&it.state.as_str())
                        && (!query.contains("rp=") || it.client_id.as_str() == "aaaa")
                };
                let expected = made.iter().filter(is_asked_for).map(|it| Some(it.id));
                assert!(ids.eq(expected), "since {since}{query}");
            }
        }
    }
}

#[tokio::test]
async fn what_was_not_taken_is_replayed_as_the_same_tokens_in_their_order() {
    for house in House::on_each_engine().await {
        let receiver = Receiver::answering(Answer::Status(410)).await;
        house.add("aaaa", &receiver, |config, _| config.retry = RetryPolicy { delays_seconds: vec![] }).await;
        house.logs_in("u1", "aaaa").await;
        house.happens("u1", 900, Change::PasswordChange).await;
        house.deliver().await;
        house.happens("u1", 901, Change::Disable).await;
        house.happens("u1", 902, Change::Delete { reason: None }).await;
        let first = receiver.got()[0].jti();
        receiver.answers(Answer::Status(200));
        assert_eq!(house.ask("POST /rps/aaaa/enable", None).await.json()["status"], "enabled");
        let replay = json!({ "rp": "aaaa", "since": 0 });
        assert_eq!(house.ask("POST /deliveries/replay", Some(replay.clone())).await.json()["deliveries"], 3);
        house.deliver().await;
        assert_eq!(receiver.heard()[1..], ["u1 password-change", "u1 profile-change", "u1 delete-user"]);
        assert_eq!(receiver.got()[1].jti(), first);
        let receipts = house.ask("GET /accounts/main/u1/deletion-receipts", None).await.json();
        assert_eq!(receipts[0]["state"], "delivered");
        assert_eq!(house.ask("POST /deliveries/replay", Some(replay)).await.json()["deliveries"], 0);
        let nobody = json!({ "rp": "nobody", "since": 0 });
        assert_eq!(house.ask("POST /deliveries/replay", Some(nobody)).await.status, 404);
        assert_eq!(house.ask("POST /deliveries/1/retry", None).await.json()["deliveries"], 1);
        house.deliver().await;
        assert_eq!(receiver.got()[4].jti(), first);
    }
}

#[tokio::test]
async fn a_retried_one_that_waits_goes_at_once() {
    let house = House::new().await;
    let receiver = Receiver::start().await;
    receiver.answers_next([Answer::Status(404)]);
    house.add("aaaa", &receiver, |_, _| ()).await;
    house.logs_in("u1", "aaaa").await;
    house.happens("u1", 900, Change::PasswordChange).await;
    house.deliver().await;
    house.ask("POST /deliveries/1/retry", None).await;
    house.deliver().await;
    assert_eq!(house.shown().await, ["aaaa u1 password-change delivered 1"]);
    let shown = house.ask("GET /deliveries/1", None).await.json();
    assert_eq!(shown["attempts"].as_array().expect("a list").len(), 2);
}

#[tokio::test]
async fn a_delivery_that_is_sent_again_keeps_the_attempts_it_was_taken_at() {
    for house in House::on_each_engine().await {
        let receiver = Receiver::start().await;
        house.add("aaaa", &receiver, |config, _| config.resource_server = true).await;
        house.happens("u1", 900, Change::PasswordChange).await;
        house.deliver().await;
        let mut seen = Vec::new();
        for _ in 0..2 {
            let shown = house.ask("GET /deliveries/1", None).await.json();
            let attempts = shown["attempts"].as_array().expect("attempts").clone();
            assert!(attempts.iter().all(|it| it["outcome"] == "delivered" && it["status"].is_u64()));
            seen.push(attempts.iter().map(|it| it["at"].clone()).collect::<Vec<_>>());
            house.clock.advance(Duration::from_secs(20));
            assert_eq!(house.ask("POST /deliveries/1/retry", None).await.json()["deliveries"], 1);
            house.deliver().await;
        }
        assert_eq!(seen.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(seen[0][0], seen[1][0], "in their order");
    }
}
