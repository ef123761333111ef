//! Any order, any duplication, any mix of sources; in any batches, at once: the same end.

use crate::model::{Said, expected};
use crate::told::{account, all_events, at, known, ledger, login, news, subscribed, told, told_by};
use account::{AccountId, Change, DeleteReason, Login, Mark, Profile, State};
use ledger::{Applied, FeedEvent, Ledger, LedgerError, Received, SourceId, Standing};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use store::testing::{START, engines};
use tokio::task::JoinSet;

const SOURCES: [&str; 3] = ["sqs", "webhook", "file"];

/// Texts that a careless store would trip over.
fn hostile_text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("o'clock \"quoted\" \\ back $1 ?1 {rows $1: a text}".to_owned()),
        Just("nul \0 and \u{7} and \u{1f980}".to_owned()),
        Just("[{\"a\": null}]".to_owned()),
        "\\PC{0,20}",
    ]
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => Just(Change::PasswordChange),
        1 => Just(Change::PasswordReset),
        1 => Just(Change::SignOutEverywhere),
        2 => Just(Change::Disable),
        2 => Just(Change::Enable),
        1 => prop_oneof![Just(None), Just(Some(DeleteReason::Admin))].prop_map(|reason| Change::Delete { reason }),
        2 => (any::<Option<bool>>(), prop::option::of(hostile_text())).prop_map(|(account_disabled, email)| {
            Change::ProfileChange(Profile { account_disabled, email, ..Profile::default() })
        }),
        1 => hostile_text().prop_map(|service| Change::Login(Login { service: Some(service), ..Login::default() })),
        1 => (any::<bool>(), hostile_text()).prop_map(|(active, capability)| subscribed(active, &capability)),
        1 => prop::option::of(hostile_text()).prop_map(|email| Change::PrimaryEmailChange { email }),
        1 => (hostile_text(), hostile_text()).prop_map(|(name, body)| Change::Unknown { name, body }),
    ]
}

fn any_said() -> impl Strategy<Value = Said> {
    let at = prop_oneof![
        6 => (0..20_i64).prop_map(Some),
        1 => Just(Some(300_000)),
        1 => Just(Some(300_001)),
        1 => Just(None),
    ];
    (0..3_usize, at, any_change(), prop::bool::weighted(0.3))
        .prop_map(|(account, at, change, by_operator)| Said { account, at, change, by_operator })
}

/// How a set of events is told: each by some of the sources, each message more than once maybe, in any order, in batches
/// of any size.
#[derive(Clone, Debug)]
struct Telling {
    said: Vec<Said>,
    /// Which event, and by which source.
    deliveries: Vec<(usize, usize)>,
    batch: usize,
}

fn any_telling() -> impl Strategy<Value = Telling> {
    prop::collection::vec((any_said(), prop::collection::vec(0..3_usize, 1..4)), 1..16)
        .prop_flat_map(|said| {
            let deliveries: Vec<(usize, usize)> = said
                .iter()
                .enumerate()
                .flat_map(|(event, (_, sources))| sources.iter().map(move |source| (event, *source)))
                .collect();
            let said = said.into_iter().map(|(said, _)| said).collect::<Vec<_>>();
            (Just(said), Just(deliveries).prop_shuffle(), 1..9_usize)
        })
        .prop_map(|(said, deliveries, batch)| Telling { said, deliveries, batch })
}

impl Telling {
    /// The batches, about accounts that no other round has.
    fn batches(&self, round: usize) -> Vec<Vec<Received>> {
        let receive = |(event, source): &(usize, usize)| {
            let Said { account, at: time, change, by_operator } = &self.said[*event];
            let subject = Self::account(round, *account);
            let source = if *by_operator { SourceId::OPERATOR } else { SOURCES[*source] };
            told_by(source, format!("{round}-{event}"), &subject, time.map(at), change.clone())
        };
        self.deliveries.chunks(self.batch).map(|batch| batch.iter().map(receive).collect()).collect()
    }

    fn account(round: usize, number: usize) -> AccountId {
        account(format!("{round}-{number}"))
    }

    /// How many event rows each account must have at least: messages that are always news, once for each source.
    fn always_news(&self) -> BTreeMap<usize, usize> {
        // An operator has one way only.
        let way = |(event, source): &(usize, usize)| {
            (*event, if self.said[*event].by_operator { 0 } else { *source })
        };
        let distinct: BTreeSet<(usize, usize)> = self.deliveries.iter().map(way).collect();
        let mut counts = BTreeMap::new();
        for (event, _) in distinct {
            let Said { account, change, .. } = &self.said[event];
            if matches!(
                change,
                Change::Login(_)
                    | Change::ProfileChange(_)
                    | Change::PrimaryEmailChange { .. }
                    | Change::Unknown { .. }
            ) {
                *counts.entry(*account).or_default() += 1;
            }
        }
        counts
    }
}

/// Applies all batches at once and judges where the accounts stand.
async fn tell(ledger: &Ledger, round: usize, telling: &Telling) {
    let mut applying = JoinSet::new();
    for batch in telling.batches(round) {
        let ledger = ledger.clone();
        applying.spawn(async move { ledger.apply_batch(batch).await.expect("applied") });
    }
    let applied: Vec<Applied> = applying.join_all().await.into_iter().flatten().collect();
    assert_eq!(applied.len(), telling.deliveries.len());
    let always_news = telling.always_news();
    let mut rows = 0;
    for (number, expected) in expected(&telling.said) {
        let standing = ledger.standing(&Telling::account(round, number)).await.expect("read");
        let standing = standing.expect("something is known of it");
        assert_eq!(standing.mark.get(), expected.mark, "the mark of {number}");
        assert_eq!(standing.credential_at.get(), expected.credential_at, "the credential of {number}");
        let (strictness, since) = expected.state();
        let state = (State::from_code(strictness), since);
        assert_eq!((standing.state, standing.state_at.get()), state, "the state of {number}");
        let at_least = always_news.get(&number).copied().unwrap_or(0);
        assert!(
            standing.version >= i64::try_from(at_least).expect("few"),
            "every message that is news is there"
        );
        rows += standing.version;
    }
    let news = applied.iter().filter(|applied| matches!(applied, Applied::News { .. })).count();
    assert_eq!(i64::try_from(news).expect("few"), rows, "each version is one event that was news");
}

#[test]
fn any_order_any_duplication_and_any_mix_of_sources_end_alike() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("built");
    for test in runtime.block_on(engines(&[ledger::MIGRATIONS])) {
        let ledger = ledger(&test, vec![]);
        let round = AtomicUsize::new(0);
        let mut runner =
            TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
        let outcome = runner.run(&any_telling(), |telling| {
            let round = round.fetch_add(1, Ordering::SeqCst);
            runtime.block_on(tell(&ledger, round, &telling));
            Ok(())
        });
        if let Err(error) = outcome {
            panic!("{:?}: {error}", test.engine());
        }
        runtime.block_on(judge_feed(&ledger));
    }
}

/// What is in the feed is what was applied: each account's versions in order, without a gap. And who reads it knows the
/// state of every account, and the mark of each that may act.
async fn judge_feed(ledger: &Ledger) {
    let mut last = BTreeMap::<AccountId, FeedEvent>::new();
    for event in all_events(ledger).await {
        let before = last.get(&event.account).map_or(0, |last| last.version);
        assert_eq!(event.version, before + 1, "{:?}", event.account);
        last.insert(event.account.clone(), event);
    }
    for (account, event) in last {
        let standing = ledger.standing(&account).await.expect("read").expect("known");
        assert_eq!(event.state, standing.state, "{account}");
        assert!(event.mark == standing.mark || standing.state != State::Active, "{account}");
    }
}

/// What was told must be told again as it was: byte by byte.
#[tokio::test]
async fn what_an_event_carries_comes_out_of_the_feed_as_it_went_in() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        let hostile = "o'clock \"quoted\" \\ $1 ?1 {rows $1: a text} nul \0 bell \u{7} \u{1f980}";
        let changes = [
            Change::Login(Login {
                service: Some(hostile.into()),
                device_count: Some(i64::MAX),
                ..Login::default()
            }),
            Change::Unknown { name: hostile.into(), body: format!("{{\"a\":{hostile:?}}}") },
            subscribed(true, hostile),
            Change::Delete { reason: Some(DeleteReason::Inactivity) },
        ];
        let odd = account("o'clock \\ \"quoted\" \u{1f980} [1]");
        for (number, change) in changes.iter().enumerate() {
            news(&ledger, told(number, &odd, at(5), change.clone())).await;
        }
        let events = all_events(&ledger).await;
        assert_eq!(
            events.iter().map(|event| &event.change).collect::<Vec<_>>(),
            changes.iter().collect::<Vec<_>>()
        );
        assert!(
            events.iter().all(|event| event.account == odd && event.source == "queue" && event.at == at(5))
        );
        assert!(events.iter().all(|event| event.received_at == START));
        let last = events.last().expect("four");
        assert_eq!((last.version, last.mark, last.state), (4, Mark::at(at(5)), State::Deleted));
    }
}

#[tokio::test]
async fn the_same_change_told_by_two_sources_is_one_event() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        let user = account("user");
        let changes =
            [Change::PasswordChange, Change::Disable, subscribed(true, "relay"), crate::told::delete()];
        for (number, change) in (1..).zip(changes) {
            let tell = |source| told_by(source, number, &user, Some(at(number)), change.clone());
            assert_eq!(news(&ledger, tell("sqs")).await, number);
            known(&ledger, tell("webhook")).await;
        }
        assert_eq!(all_events(&ledger).await.len(), 4);
    }
}

/// Nobody who follows the feed may go on with a mark that is too low.
#[tokio::test]
async fn a_late_word_that_raises_the_mark_is_in_the_feed_with_the_state_that_holds() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        let user = account("user");
        news(&ledger, told(1, &user, at(3), Change::Disable)).await;
        known(&ledger, told(2, &user, at(5), Change::Disable)).await;
        news(&ledger, told(3, &user, at(9), Change::Enable)).await;
        news(&ledger, told(4, &user, at(7), Change::Disable)).await;
        news(&ledger, told(5, &user, at(8), crate::told::delete())).await;
        known(&ledger, told(6, &user, at(6), crate::told::delete())).await;
        let events = all_events(&ledger).await;
        let seen: Vec<_> = events.iter().map(|it| (it.at, it.mark, it.state)).collect();
        let active = |time, mark| (at(time), Mark::at(at(mark)), State::Active);
        let disabled = (at(3), Mark::at(at(3)), State::Disabled);
        assert_eq!(seen, [disabled, active(9, 5), active(7, 7), active(8, 8)]);
        let standing = ledger.standing(&user).await.expect("read").expect("known");
        assert_eq!(
            (standing.mark, standing.state, standing.state_at),
            (Mark::at(at(8)), State::Active, at(9))
        );
    }
}

#[tokio::test]
async fn a_redelivered_message_is_known_whatever_its_kind() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        let user = account("user");
        let long_id = "x".repeat(5_000);
        for id in ["1", "with \u{7} a bell", "o'clock", &long_id] {
            news(&ledger, told(id, &user, at(1), login())).await;
            known(&ledger, told(id, &user, at(1), login())).await;
        }
        // Another source may use the same id for something else.
        news(&ledger, told_by("webhook", "1", &user, Some(at(1)), login())).await;
        // Within one batch, too.
        let twice = vec![told("2", &user, at(1), login()), told("2", &user, at(1), login())];
        let applied = ledger.apply_batch(twice).await.expect("applied");
        assert_eq!(applied, [Applied::News { version: 6 }, Applied::Known]);
    }
}

#[tokio::test]
async fn a_subscription_change_is_recognised_by_what_it_says() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        let (user, other) = (account("user"), account("other"));
        let tell = |source: &str, id: i64, account, time: i64, active, capability: &str| {
            told_by(source, id, account, Some(at(time)), subscribed(active, capability))
        };
        news(&ledger, tell("sqs", 1, &user, 1, true, "relay")).await;
        known(&ledger, tell("webhook", 1, &user, 1, true, "relay")).await;
        known(&ledger, tell("sqs", 2, &user, 1, true, "relay")).await;
        news(&ledger, tell("sqs", 3, &user, 1, false, "relay")).await;
        news(&ledger, tell("sqs", 4, &user, 1, true, "vpn")).await;
        news(&ledger, tell("sqs", 5, &user, 2, true, "relay")).await;
        news(&ledger, tell("sqs", 6, &other, 1, true, "relay")).await;
    }
}

/// Without a change time nothing tells two subscription changes apart from one told twice, except their messages. To
/// take them for one would lose the second for good; to take them for two only tells somebody twice.
#[tokio::test]
async fn subscription_changes_without_a_time_are_told_apart_by_their_messages() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        let user = account("user");
        for (id, active) in [(1, true), (2, false), (3, true)] {
            let tell = || told_by("sqs", id, &user, None, subscribed(active, "relay"));
            assert_eq!(news(&ledger, tell()).await, id);
            known(&ledger, tell()).await;
        }
    }
}

#[tokio::test]
async fn a_batch_is_applied_in_its_order_and_all_or_none() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        let user = account("user");
        let batch: Vec<Received> = (1..=256).map(|n| told(n, &user, at(n), Change::PasswordChange)).collect();
        let applied = ledger.apply_batch(batch.clone()).await.expect("applied");
        assert_eq!(applied, (1..=256).map(|version| Applied::News { version }).collect::<Vec<_>>());
        assert_eq!(all_events(&ledger).await.len(), 256);

        let too_many: Vec<Received> = (300..557).map(|n| told(n, &user, at(n), login())).collect();
        let error = ledger.apply_batch(too_many).await.expect_err("one too many");
        assert!(matches!(error, LedgerError::TooMany { count: 257 }) && !error.is_outage());
        assert_eq!(all_events(&ledger).await.len(), 256);
        assert!(ledger.apply_batch(vec![]).await.expect("nothing to do").is_empty());
    }
}

#[tokio::test]
async fn an_account_nobody_told_of_has_no_standing() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        assert_eq!(ledger.standing(&account("user")).await.expect("read"), None);
        news(&ledger, told(1, &account("User"), at(7), Change::Disable)).await;
        assert_eq!(
            ledger.standing(&account("user")).await.expect("read"),
            None,
            "subjects are compared bytewise"
        );
        let standing = ledger.standing(&account("User")).await.expect("read").expect("known");
        let expected = Standing {
            version: 1,
            mark: Mark::at(at(7)),
            state: State::Disabled,
            state_at: at(7),
            first_seen_at: START,
            updated_at: START,
            ..Standing::default()
        };
        assert_eq!(standing, expected);
    }
}
