use super::recent::RECENT;
use super::*;
use account::{IdpId, Mark, Millis, Subject};

fn account(subject: &str) -> AccountId {
    AccountId::new(IdpId::new("idp").expect("valid"), Subject::new(subject).expect("valid"))
}

fn version(version: i64) -> Record {
    Record { version, mark: Mark::at(Millis::new(version)), ..Record::default() }
}

fn change(version: i64, at: i64) -> NewVersion {
    NewVersion { version, at: Millis::new(at) }
}

fn number(lives: &Lives) -> usize {
    lives.table.lock().lives.len()
}

#[test]
fn an_event_ends_the_life_of_its_account_and_of_no_other() {
    let lives = Lives::new();
    let join = |subject| lives.join(&account(subject), lives.stamp(), Record::default()).expect("unchanged");
    let (a, b) = (join("a"), join("b"));
    assert!(Arc::ptr_eq(&a, &join("a")));
    lives.end(&account("a"), 1, None);
    assert!(!a.goes_on() && b.goes_on());
}

#[test]
fn what_was_begun_before_an_event_joins_no_life_after_it() {
    let lives = Lives::new();
    let before = lives.stamp();
    lives.end(&account("a"), 7, None);
    assert!(lives.join(&account("b"), before, Record::default()).is_ok());
    assert_eq!(lives.join(&account("a"), before, Record::default()).err(), Some(Changed));
    lives.read_to(3);
    let life = lives.join(&account("a"), lives.stamp(), Record::default()).expect("begun after it");
    assert!(life.goes_on());
}

#[test]
fn an_event_that_is_told_late_ends_the_life_all_the_same() {
    let lives = Lives::new();
    lives.read_to(9);
    let life = lives.join(&account("a"), lives.stamp(), Record::default()).expect("unchanged");
    lives.end(&account("a"), 5, None);
    assert!(!life.goes_on());
}

#[test]
fn the_later_record_counts() {
    let (lives, a) = (Lives::new(), account("a"));
    let first = lives.join(&a, lives.stamp(), version(1)).expect("unchanged");
    let second = lives.join(&a, lives.stamp(), version(2)).expect("the store knows more than the feed told");
    assert!(!first.goes_on() && second.goes_on());
    assert_eq!(second.record().mark, Mark::at(Millis::new(2)));
    assert_eq!(lives.join(&a, lives.stamp(), version(1)).err(), Some(Changed));
    drop(first);
    assert!(Arc::ptr_eq(&second, &lives.join(&a, lives.stamp(), version(2)).expect("the same")));
}

#[test]
fn a_new_beginning_ends_every_life_and_everything_under_way() {
    let lives = Lives::new();
    lives.read_to(900);
    let (life, before) =
        (lives.join(&account("a"), lives.stamp(), Record::default()).expect("unchanged"), lives.stamp());
    lives.begin_anew("e", 3);
    assert!(!life.goes_on());
    assert_eq!(lives.join(&account("b"), before, Record::default()).err(), Some(Changed));
    lives.end(&account("a"), 4, None);
    assert!(lives.join(&account("b"), lives.stamp(), Record::default()).is_ok());
}

#[test]
fn the_first_refusal_after_a_change_is_told_from_those_after_it() {
    let lives = Lives::new();
    let join = |subject| lives.join(&account(subject), lives.stamp(), Record::default()).expect("unchanged");
    let (a, b) = (join("a"), join("b"));
    let at = Millis::new;
    lives.end(&account("a"), 1, Some(change(1, 70)));
    lives.end(&account("stranger"), 2, Some(change(1, 80)));
    assert_eq!((lives.refused(&account("a")), lives.refused(&account("a"))), (Some(at(70)), None));
    assert_eq!(lives.refused(&account("stranger")), None, "nothing was remembered of it");
    assert_eq!((a.refused(), b.refused()), (None, None));
    lives.end(&account("b"), 3, Some(change(1, 90)));
    assert_eq!((b.refused(), lives.refused(&account("b"))), (Some(at(90)), None));
}

#[test]
fn an_event_that_is_known_before_the_feed_tells_it_is_on_record_at_once() {
    let (lives, a, at) = (Lives::new(), account("a"), Millis::new);
    let begun = lives.stamp();
    let life = lives.join(&a, begun, version(1)).expect("unchanged");
    lives.raise(&a, version(1), at(60));
    assert_eq!(lives.refused(&a), None, "it knows of that one");
    lives.raise(&a, version(2), at(70));
    assert_eq!((life.goes_on(), life.record().mark), (true, version(2).mark));
    assert_eq!(lives.refused(&a), Some(at(70)));
    assert_eq!(lives.join(&a, begun, version(1)).err(), Some(Changed));
    assert!(Arc::ptr_eq(&life, &lives.join(&a, begun, version(2)).expect("the feed has told nothing")));
    lives.end(&a, 1, Some(change(2, 70)));
    assert!(!life.goes_on(), "what had begun before it may be of before it");
    assert_eq!(lives.refused(&a), None, "it was refused for that change already");
    assert_eq!(lives.join(&a, begun, version(2)).err(), Some(Changed));
}

#[test]
fn a_second_event_that_the_feed_has_not_told_ends_the_life() {
    let (lives, a, at) = (Lives::new(), account("a"), Millis::new);
    let life = lives.join(&a, lives.stamp(), version(1)).expect("unchanged");
    lives.raise(&a, version(2), at(70));
    lives.raise(&a, version(3), at(80));
    assert!(!life.goes_on());
    assert_eq!((lives.refused(&a), number(&lives)), (Some(at(80)), 0));
}

#[test]
fn accounts_that_are_never_refused_are_given_up_in_the_end() {
    let lives = Lives::new();
    for i in 0..3 * AWAITED {
        let account = account(&i.to_string());
        let life = lives.join(&account, lives.stamp(), Record::default()).expect("unchanged");
        lives.end(&account, 1, Some(change(1, 0)));
        drop(life);
    }
    assert!(lives.table.lock().awaited.len() <= AWAITED);
}

#[test]
fn a_life_nothing_hangs_on_takes_no_place() {
    let lives = Lives::new();
    let join =
        |subject: &str| lives.join(&account(subject), lives.stamp(), Record::default()).expect("unchanged");
    let kept: Vec<_> = (0..100).map(|i| join(&i.to_string())).collect();
    assert_eq!(number(&lives), 100);
    lives.end(&account("0"), 1, None);
    drop(kept);
    assert_eq!(number(&lives), 0);
}

#[test]
fn events_without_end_take_bounded_place_and_forget_towards_caution() {
    let lives = Lives::new();
    let early = lives.stamp();
    for i in 0..=2 * i64::try_from(RECENT).expect("small") {
        lives.end(&account(&i.to_string()), i + 1, None);
    }
    let recent = lives.table.lock();
    assert!(recent.recent.newer.len() + recent.recent.older.len() <= 2 * RECENT);
    drop(recent);
    assert_eq!(lives.join(&account("stranger"), early, Record::default()).err(), Some(Changed));
    lives.read_to(i64::try_from(RECENT).expect("small") * 2 + 1);
    assert!(lives.join(&account("0"), lives.stamp(), Record::default()).is_ok());
}

#[test]
fn however_events_and_flights_interleave_no_life_outlasts_a_later_event() {
    let lives = Lives::new();
    std::thread::scope(|scope| {
        let learner = scope.spawn(|| {
            let stamped = (0..20_000).map(|_| lives.stamp());
            stamped
                .filter_map(|stamp| Some((stamp, lives.join(&account("a"), stamp, Record::default()).ok()?)))
                .collect::<Vec<_>>()
        });
        for position in 1..=2_000 {
            lives.end(&account("a"), position, None);
            lives.read_to(position);
        }
        for (stamp, life) in learner.join().expect("no panic") {
            assert!(!life.goes_on() || stamp.position == 2_000);
        }
    });
}
