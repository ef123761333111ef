//! When the one who asks for all fails, or is gone.

use super::*;
use futures::future::join_all;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An identity provider that is away for the first questions.
struct AwayFor(AtomicUsize, usize);

impl Respond for AwayFor {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        let answer = if number < self.1 { ResponseTemplate::new(503) } else { yes() };
        answer.set_delay(BRIEFLY)
    }
}

#[tokio::test]
async fn a_question_that_failed_is_asked_once_more_by_one_for_all_processes() {
    for (failures, good) in [(1, true), (9, false)] {
        let town = Town::new().await;
        town.answers(AwayFor(AtomicUsize::new(0), failures)).await;
        let nodes: Vec<Verifier> = (0..4).map(|_| town.node(0)).collect();
        let asked = nodes.iter().flat_map(|node| (0..10).map(move |_| check(node, &ANY, at(0))));
        let answers = join_all(asked).await;
        assert_eq!(town.questions().await, 2, "{failures}");
        assert!(answers.iter().all(|answer| answer.is_ok() == good), "{failures}: {answers:?}");
        assert!(!answers.contains(&refused()), "an outage is no refusal");
    }
}

#[tokio::test]
async fn nobody_tries_again_where_the_identity_provider_said_when() {
    let town = Town::new().await;
    let stay_away = ResponseTemplate::new(429).insert_header("retry-after", "900").set_delay(BRIEFLY);
    town.answers(stay_away).await;
    let nodes: Vec<Verifier> = (0..4).map(|_| town.node(0)).collect();
    let answers = join_all(nodes.iter().map(|node| check(node, &ANY, at(0)))).await;
    let told_to_wait = |answer: &Result<Answer, CheckError>| matches!(answer, Err(CheckError::Unavailable { retry_after }) if *retry_after > Duration::from_mins(14));
    assert!(answers.iter().all(told_to_wait), "{answers:?}");
    assert_eq!(town.questions().await, 1);
}

#[tokio::test]
async fn trouble_is_kept_of_no_token() {
    let town = Town::new().await;
    town.answers(ResponseTemplate::new(503)).await;
    assert!(check(&town.node(0), &ANY, at(0)).await.is_err());
    town.answers(yes()).await;
    assert_eq!(how(&town.node(0), &ANY, at(0)).await, How::Learned);
}

#[tokio::test]
async fn when_the_one_who_asks_is_gone_another_asks_at_the_end_of_its_term() {
    let town = Town::new().await;
    town.answers(yes().set_delay(Duration::from_mins(1))).await;
    let (gone, waiting) = (town.node(0), town.node(0));
    let hasty = Freshness { patience: Some(BRIEFLY), ..ANY };
    assert!(matches!(check(&gone, &hasty, at(0)).await, Err(CheckError::TimedOut { .. })));
    assert!(town.board.is_flown(), "nobody carried it on, and its term goes on");
    town.answers(yes()).await;
    let later = async {
        tokio::task::yield_now().await;
        town.board.ends_terms();
    };
    let (answer, ()) = tokio::join!(check(&waiting, &ANY, at(0)), later);
    assert_eq!(answer.expect("good").how, How::Learned);
    assert_eq!(town.questions().await, 1);
}

#[tokio::test]
async fn one_who_waits_has_a_patience_of_its_own() {
    let town = Town::new().await;
    town.answers(yes().set_delay(BRIEFLY * 4)).await;
    let (asking, waiting) = (town.node(0), town.node(0));
    let hasty = Freshness { patience: Some(BRIEFLY), ..ANY };
    let (long, short) = tokio::join!(check(&asking, &ANY, at(0)), check(&waiting, &hasty, at(0)));
    assert!(long.is_ok());
    assert!(matches!(short, Err(CheckError::TimedOut { .. })), "{short:?}");
}

#[tokio::test]
async fn a_tier_that_goes_away_while_one_waits_leaves_each_to_itself() {
    let town = Town::new().await;
    town.answers(yes().set_delay(BRIEFLY)).await;
    let (asking, waiting) = (town.node(0), town.node(0));
    let goes = async {
        while !town.board.is_flown() {
            tokio::task::yield_now().await;
        }
        town.board.is_down.store(true, Ordering::Relaxed);
    };
    let (first, second, ()) = tokio::join!(check(&asking, &ANY, at(0)), check(&waiting, &ANY, at(0)), goes);
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(town.questions().await, 2);
}
