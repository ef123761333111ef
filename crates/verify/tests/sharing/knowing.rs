//! What one process learned, the others know: for how long, and under which secrets.

use super::*;
use futures::future::join_all;
use std::sync::atomic::Ordering;

#[tokio::test]
async fn what_one_process_learned_no_other_asks() {
    let town = Town::new().await;
    town.answers(yes()).await;
    let (a, b) = (town.node(0), town.node(0));
    let learned = check(&a, &ANY, at(0)).await.expect("good");
    let known = check(&b, &ANY, at(7)).await.expect("good");
    assert_eq!((learned.how, known.how), (How::Learned, How::Remembered));
    assert_eq!(known.facts, learned.facts, "as old as they were");
    assert_eq!(how(&b, &ANY, at(8)).await, How::Remembered);
    assert_eq!(town.questions().await, 1);
}

#[tokio::test]
async fn a_thousand_in_each_of_four_processes_are_one_question() {
    let town = Town::new().await;
    town.answers(yes().set_delay(BRIEFLY)).await;
    let nodes: Vec<Verifier> = (0..4).map(|_| town.node(0)).collect();
    let asked = nodes.iter().flat_map(|node| (0..1_000).map(move |_| check(node, &ANY, at(0))));
    let answers = join_all(asked).await;
    assert!(answers.iter().all(Result::is_ok));
    let learned = answers.iter().flatten().filter(|answer| answer.how == How::Learned).count();
    assert_eq!((learned, town.questions().await), (1, 1));
}

#[tokio::test]
async fn garbage_is_never_looked_for() {
    let town = Town::new().await;
    town.answers(yes()).await;
    let node = town.node(0);
    for i in 0..10_000 {
        let outcome = node.check(&format!("{i:063x}"), &ANY, at(0)).await;
        assert_eq!(outcome, Err(CheckError::Refused(Refusal::Shape)));
    }
    assert_eq!((town.questions().await, town.board.names()), (0, 0));
}

#[tokio::test]
async fn each_caller_has_its_own_idea_of_fresh_of_what_others_learned_too() {
    let town = Town::new().await;
    town.answers(yes()).await;
    let (a, b, c) = (town.node(0), town.node(0), town.node(0));
    assert_eq!(how(&a, &ANY, at(0)).await, How::Learned);
    assert_eq!(how(&b, &no_older_than(10), at(9)).await, How::Remembered);
    assert_eq!(how(&b, &no_older_than(5), at(9)).await, How::Learned);
    assert_eq!(how(&c, &no_older_than(5), at(13)).await, How::Remembered, "what was learned last");
    assert_eq!(how(&c, &Freshness::NOW, at(13)).await, How::Learned);
    assert_eq!(town.questions().await, 3);
}

#[tokio::test]
async fn those_who_ask_now_share_the_answer_across_processes_if_they_ask_at_the_same_time() {
    let town = Town::new().await;
    town.answers(yes().set_delay(BRIEFLY)).await;
    let nodes: Vec<Verifier> = (0..3).map(|_| town.node(0)).collect();
    assert_eq!(how(&nodes[0], &ANY, at(0)).await, How::Learned);
    let answers = join_all(nodes.iter().map(|node| check(node, &Freshness::NOW, at(1)))).await;
    assert!(answers.iter().flatten().all(|answer| answer.facts.learned_at == at(1)));
    assert_eq!(town.questions().await, 2);
    assert_eq!(how(&nodes[0], &Freshness::NOW, at(1)).await, How::Learned, "the others have gone");
    assert_eq!(town.questions().await, 3);
}

#[tokio::test]
async fn one_who_asks_now_is_not_content_with_what_another_task_found_kept() {
    let town = Town::new().await;
    town.answers(yes()).await;
    let (a, b) = (town.node(0), town.node(0));
    assert_eq!(how(&a, &ANY, at(0)).await, How::Learned);
    let (lenient, strict) = tokio::join!(how(&b, &ANY, at(9)), check(&b, &Freshness::NOW, at(9)));
    assert_eq!(lenient, How::Remembered);
    assert_eq!(strict.expect("good").facts.learned_at, at(9));
}

#[tokio::test]
async fn it_counts_as_long_as_it_would_have_counted_where_it_was_learned() {
    let town = Town::new().await;
    let (a, b) = (town.node(0), town.node(0));
    town.answers(yes()).await;
    assert_eq!(how(&a, &ANY, at(0)).await, How::Learned);
    assert_eq!(how(&b, &ANY, at(47)).await, How::Remembered);
    assert_eq!(how(&town.node(0), &ANY, at(60)).await, How::Learned, "reading made it no younger");
    town.answers(said(&json!({ "exp": NOW + 80 }))).await;
    assert_eq!(how(&a, &Freshness::NOW, at(60)).await, How::Learned);
    assert_eq!(how(&town.node(0), &ANY, at(74)).await, How::Remembered);
    assert_eq!(how(&town.node(0), &ANY, at(75)).await, How::Learned, "so near its end it is asked about");
    assert_eq!(town.questions().await, 2);
}

#[tokio::test]
async fn what_comes_from_a_clock_that_is_ahead_is_not_kept_for_longer() {
    let town = Town::new().await;
    town.answers(yes()).await;
    assert_eq!(how(&town.node(0), &ANY, at(100)).await, How::Learned);
    assert_eq!(how(&town.node(0), &ANY, at(96)).await, How::Remembered);
    assert_eq!(how(&town.node(0), &ANY, at(94)).await, How::Learned);
}

#[tokio::test]
async fn a_no_is_known_to_all_for_its_short_life_and_takes_a_yes_with_it() {
    let town = Town::new().await;
    town.answers(yes()).await;
    let (a, b) = (town.node(0), town.node(0));
    assert_eq!(how(&a, &ANY, at(0)).await, How::Learned);
    town.answers(no()).await;
    assert_eq!(check(&a, &Freshness::NOW, at(1)).await, refused());
    assert_eq!(check(&b, &ANY, at(2)).await, refused());
    assert_eq!(check(&b, &ANY, at(3)).await, refused());
    assert_eq!(check(&town.node(0), &ANY, at(17)).await, refused());
    assert_eq!(town.questions().await, 1);
    assert_eq!(check(&town.node(0), &ANY, at(25)).await, refused());
    assert_eq!(town.questions().await, 2, "it was asked again");
}

#[tokio::test]
async fn those_who_wait_in_other_processes_hear_the_no() {
    let town = Town::new().await;
    town.answers(no().set_delay(BRIEFLY)).await;
    let nodes: Vec<Verifier> = (0..3).map(|_| town.node(0)).collect();
    let answers = join_all(nodes.iter().map(|node| check(node, &Freshness::NOW, at(0)))).await;
    assert!(answers.iter().all(|answer| *answer == refused()), "{answers:?}");
    assert_eq!(town.questions().await, 1);
}

#[tokio::test]
async fn what_cannot_be_read_is_asked_anew() {
    let town = Town::new().await;
    town.answers(yes()).await;
    assert_eq!(how(&town.node(0), &ANY, at(0)).await, How::Learned);
    for (questions, spoiled) in [&b""[..], b"garbage", &[1; 40], &[0; 9_000]].into_iter().enumerate() {
        town.board.spoil(spoiled);
        assert_eq!(how(&town.node(0), &ANY, at(1)).await, How::Learned, "{spoiled:?}");
        assert_eq!(town.questions().await, questions + 2);
        assert_eq!(how(&town.node(0), &ANY, at(1)).await, How::Remembered, "mended");
    }
}

#[tokio::test]
async fn secrets_are_changed_by_reading_the_new_one_first_and_writing_it_then() {
    let town = Town::new().await;
    town.answers(yes()).await;
    let (old, new) = (secret(1), secret(2));
    let node = |first: &SharedSecret, others: &[SharedSecret]| town.node_with(0, first.clone(), others);
    assert_eq!(how(&node(&old, &[]), &ANY, at(0)).await, How::Learned);
    let prepared = node(&old, std::slice::from_ref(&new));
    let changed = node(&new, std::slice::from_ref(&old));
    assert_eq!(how(&prepared, &ANY, at(1)).await, How::Remembered);
    assert_eq!(how(&changed, &ANY, at(1)).await, How::Remembered, "what was written under the old one");
    assert_eq!(how(&node(&new, &[]), &ANY, at(2)).await, How::Learned, "without the old one it says nothing");
    assert_eq!(how(&prepared, &no_older_than(1), at(2)).await, How::Remembered, "written under the new one");
    assert_eq!(town.questions().await, 2);
}

#[tokio::test]
async fn without_the_tier_each_process_is_on_its_own_and_with_it_again_it_is_not() {
    let town = Town::new().await;
    town.answers(yes()).await;
    let (a, b) = (town.node(0), town.node(0));
    assert_eq!(a.shared_trouble(), Some(None));
    town.board.is_down.store(true, Ordering::Relaxed);
    assert_eq!(a.shared_trouble(), Some(Some("down".to_owned())));
    assert_eq!((how(&a, &ANY, at(0)).await, how(&b, &ANY, at(0)).await), (How::Learned, How::Learned));
    town.board.is_down.store(false, Ordering::Relaxed);
    assert_eq!(how(&a, &Freshness::NOW, at(1)).await, How::Learned);
    assert_eq!(how(&town.node(0), &ANY, at(2)).await, How::Remembered);
    assert_eq!(town.questions().await, 3);
}

#[tokio::test]
async fn a_refresh_by_one_process_is_one_for_all() {
    let town = Town::new().await;
    town.answers(yes()).await;
    let (a, b) = (town.node(0), town.node(0));
    for node in [&a, &b] {
        assert!(check(node, &ANY, at(0)).await.is_ok());
    }
    let refreshed = async |node: &Verifier| {
        while check(node, &ANY, at(47)).await.expect("good").facts.learned_at == at(0) {
            tokio::task::yield_now().await;
        }
    };
    for node in [&a, &b] {
        let running = node.clone();
        tokio::select! { never = running.run_errands() => match never {}, () = refreshed(node) => {} }
    }
    assert_eq!(town.questions().await, 2);
}
