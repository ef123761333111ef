//! The feed's cursors, its heartbeat, and what becomes of a reader that cannot go on.

use crate::told::{Execute, account, all_events, at, ledger, login, news, place_all, told};
use account::{Change, Mark, State};
use futures::FutureExt;
use ledger::{Cursor, FeedError, Ledger, Retention};
use std::time::Duration;
use store::Sql;
use store::testing::{TestStore, engines, postgres};
use work::Tick;

static OTHER_EPOCH: Sql = Sql::both("update feed set epoch = 'another life'");
static HOLD_FEED: Sql = Sql::both("update feed set heartbeat_at = heartbeat_at");
static OWE_THE_THIRD: Sql = Sql::both(
    "insert into effects (idp, subject, version, capability, state, attempts, next_attempt_at)
     values ('main', 'user', 2, 'gone', 0, 0, 0)",
);
static FROM_A_NEWER_VERSION: Sql = Sql::both(
    r#"update events set kind = 'frozen', change = '{"kind":"frozen","until":7}' where version = 2"#,
);
static LOSE_THE_FOURTH: Sql = Sql::both("delete from events where position = 4");
static SETTLE: Sql = Sql::both("update effects set state = 1");

async fn positions_after(ledger: &Ledger, cursor: &Cursor) -> Result<Vec<i64>, FeedError> {
    let page = ledger.feed().after(cursor).await?;
    Ok(page.events.iter().map(|event| event.position).collect())
}

#[tokio::test]
async fn the_head_is_before_what_comes_next_and_the_start_before_what_is_kept() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        let feed = ledger.feed();
        let (start, head) = (feed.start().await.expect("read"), feed.head().await.expect("read"));
        assert_eq!((start.position, &start), (0, &head));
        assert_eq!(start.epoch.len(), 32);

        news(&ledger, told(1, &account("user"), at(1), login())).await;
        place_all(&ledger).await;
        let head = feed.head().await.expect("read");
        assert_eq!(head.position, 1);
        news(&ledger, told(2, &account("user"), at(1), login())).await;
        place_all(&ledger).await;
        assert_eq!(positions_after(&ledger, &head).await.expect("read"), [2]);
        assert_eq!(positions_after(&ledger, &start).await.expect("read"), [1, 2]);
    }
}

#[tokio::test]
async fn a_long_feed_is_read_page_by_page() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        for batch in 0..5 {
            let batch = (0..250).map(|n| told(format!("{batch}-{n}"), &account(n), at(1), login())).collect();
            ledger.apply_batch(batch).await.expect("applied");
        }
        place_all(&ledger).await;
        let mut tail = ledger.feed().tail(ledger.feed().start().await.expect("read"));
        for (count, more) in [(500, true), (500, true), (250, false)] {
            let page = tail.next().await.expect("read");
            assert_eq!((page.events.len(), page.more), (count, more));
            assert_eq!(&page.next, tail.cursor());
        }
        assert_eq!(tail.cursor().position, 1250);
        let positions: Vec<i64> = all_events(&ledger).await.iter().map(|event| event.position).collect();
        assert_eq!(positions, (1..=1250).collect::<Vec<_>>());
    }
}

/// However large the events, a page fits into memory many times over; and one that alone is too large comes alone.
#[tokio::test]
async fn a_page_is_bounded_in_bytes_too() {
    let sized = |bytes| Change::Unknown { name: "large".into(), body: "x".repeat(bytes) };
    let (large, huge) = (400 * 1024, 2 * 1024 * 1024);
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        for (n, bytes) in [large, large, large, large, 1, huge, 1, 1].into_iter().enumerate() {
            news(&ledger, told(n, &account("user"), at(1), sized(bytes))).await;
        }
        place_all(&ledger).await;
        let mut tail = ledger.feed().tail(ledger.feed().start().await.expect("read"));
        let mut pages = Vec::new();
        loop {
            let page = tail.next().await.expect("read");
            pages.push(page.events.iter().map(|event| event.position).collect::<Vec<_>>());
            if !page.more {
                break;
            }
        }
        assert_eq!(pages, [vec![1, 2, 3], vec![4, 5, 6], vec![7, 8]], "full as soon as it has a mebibyte");
    }
}

/// A newer node's events must not stop an older one: what it cannot read still tells whose facts to let go of.
#[tokio::test]
async fn an_event_of_a_kind_that_only_a_newer_version_knows_is_passed_on_with_its_mark_and_state() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        news(&ledger, told(1, &account("user"), at(1), Change::PasswordChange)).await;
        news(&ledger, told(2, &account("user"), at(2), Change::Disable)).await;
        news(&ledger, told(3, &account("user"), at(3), login())).await;
        test.store.run(Execute(&FROM_A_NEWER_VERSION)).await.expect("written");
        let events = all_events(&ledger).await;
        assert_eq!(events.iter().map(|event| event.position).collect::<Vec<_>>(), [1, 2, 3]);
        let body = r#"{"kind":"frozen","until":7}"#.to_owned();
        assert_eq!(events[1].change, Change::Unknown { name: "frozen".into(), body });
        let left = (&events[1].account, events[1].mark, events[1].state);
        assert_eq!(left, (&account("user"), Mark::at(at(2)), State::Disabled));
    }
}

#[tokio::test]
async fn a_reader_that_waits_is_woken_by_the_next_event() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        let mut tail = ledger.feed().tail(ledger.feed().head().await.expect("read"));
        assert!(tail.next().await.expect("read").events.is_empty(), "the first look does not wait");
        let mut waiting = tail.next().boxed();
        assert!((&mut waiting).now_or_never().is_none());
        news(&ledger, told(1, &account("user"), at(1), login())).await;
        place_all(&ledger).await;
        assert_eq!(waiting.await.expect("read").events.len(), 1);
    }
}

#[tokio::test]
async fn a_cursor_from_another_life_of_the_store_starts_over() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        news(&ledger, told(1, &account("user"), at(1), login())).await;
        place_all(&ledger).await;
        let mut tail = ledger.feed().tail(ledger.feed().start().await.expect("read"));
        assert_eq!(tail.next().await.expect("read").events.len(), 1);

        test.store.run(Execute(&OTHER_EPOCH)).await.expect("restored");
        assert!(matches!(tail.next().await, Err(FeedError::OtherEpoch)));
        let over = ledger.feed().start().await.expect("read");
        assert_eq!((over.epoch.as_str(), over.position), ("another life", 0));
        assert_eq!(positions_after(&ledger, &over).await.expect("read"), [1]);
    }
}

const A_DAY: Duration = Duration::from_hours(24);

/// Ten events, and after a hundred days one more; then what is old is dropped.
async fn aged(test: &TestStore) -> (Ledger, Cursor) {
    let ledger = ledger(test, vec![]);
    let start = ledger.feed().start().await.expect("read");
    news(&ledger, told(0, &account("first"), at(1), login())).await;
    for n in 1..10 {
        news(&ledger, told(n, &account("user"), at(1), login())).await;
    }
    place_all(&ledger).await;
    test.clock.advance(100 * A_DAY);
    news(&ledger, told(10, &account("user"), at(1), login())).await;
    place_all(&ledger).await;
    (ledger, start)
}

#[tokio::test]
async fn a_cursor_before_what_is_kept_starts_over() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let (ledger, start) = aged(&test).await;
        assert_eq!(positions_after(&ledger, &start).await.expect("all kept").len(), 11);
        assert_eq!(ledger.clone().drop_old(Retention::default()).await, Tick::Idle);

        assert!(matches!(positions_after(&ledger, &start).await, Err(FeedError::TooOld)));
        let over = ledger.feed().start().await.expect("read");
        assert_eq!(over.position, 10);
        assert_eq!(positions_after(&ledger, &over).await.expect("read"), [11]);
        // Who had read exactly what was dropped has missed nothing.
        let caught_up = Cursor { position: 10, ..start };
        assert_eq!(positions_after(&ledger, &caught_up).await.expect("read"), [11]);
    }
}

/// Retention leaves no gap. Should anything else: what stands before it is read, and nobody steps over it.
#[tokio::test]
async fn a_gap_is_never_stepped_over() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let (ledger, start) = aged(&test).await;
        test.store.run(Execute(&LOSE_THE_FOURTH)).await.expect("lost");
        let page = ledger.feed().after(&start).await.expect("read");
        assert_eq!((page.events.len(), page.next.position, page.more), (3, 3, true));
        assert!(matches!(positions_after(&ledger, &page.next).await, Err(FeedError::TooOld)));
        let behind = Cursor { position: 4, ..start };
        assert_eq!(positions_after(&ledger, &behind).await.expect("read"), (5..=11).collect::<Vec<_>>());
    }
}

/// A gap behind it would be stepped over by a reader that comes late.
#[tokio::test]
async fn an_event_that_is_owed_an_effect_is_kept_and_all_that_come_after_it() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let (ledger, start) = aged(&test).await;
        test.store.run(Execute(&OWE_THE_THIRD)).await.expect("owed");
        assert_eq!(ledger.clone().drop_old(Retention::default()).await, Tick::Idle);
        let over = ledger.feed().start().await.expect("read");
        assert_eq!(positions_after(&ledger, &over).await.expect("read"), (3..=11).collect::<Vec<_>>());
        assert!(matches!(positions_after(&ledger, &start).await, Err(FeedError::TooOld)));

        test.store.run(Execute(&SETTLE)).await.expect("settled");
        assert_eq!(ledger.clone().drop_old(Retention::default()).await, Tick::Idle);
        assert_eq!(ledger.feed().start().await.expect("read").position, 10);
    }
}

/// Received a moment before the others, though placed after them: its turn comes with theirs.
#[tokio::test]
async fn what_is_kept_is_one_stretch_whatever_the_order_of_receipt() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        for (n, received_at) in [5, 3, 5, 4, 6].into_iter().enumerate() {
            test.clock.set(at(received_at));
            news(&ledger, told(n, &account("user"), at(1), login())).await;
        }
        place_all(&ledger).await;
        test.clock.set(at(5).plus(90 * A_DAY));
        ledger.clone().drop_old(Retention::default()).await;
        assert_eq!(ledger.feed().start().await.expect("read").position, 0, "the first is not old enough");
        test.clock.advance(Duration::from_millis(1));
        ledger.clone().drop_old(Retention::default()).await;
        assert_eq!(ledger.feed().start().await.expect("read").position, 4);
    }
}

#[tokio::test]
async fn much_that_is_old_is_dropped_in_chunks() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        for batch in 0..5 {
            let batch = (0..250).map(|n| told(format!("{batch}-{n}"), &account(n), at(1), login())).collect();
            ledger.apply_batch(batch).await.expect("applied");
        }
        place_all(&ledger).await;
        test.clock.advance(91 * A_DAY);
        let mut starts = Vec::new();
        for _ in 0..3 {
            let tick = ledger.clone().drop_old(Retention::default()).await;
            starts.push((tick, ledger.feed().start().await.expect("read").position));
        }
        assert_eq!(starts, [(Tick::More, 500), (Tick::More, 1000), (Tick::Idle, 1249)]);
    }
}

#[tokio::test]
async fn the_heartbeat_is_read_back_and_never_goes_back() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        let cursor = ledger.feed().head().await.expect("read");
        let heard = async || ledger.feed().after(&cursor).await.expect("read").heartbeat_at;
        assert_eq!(heard().await.get(), 0, "none yet");
        test.clock.advance(Duration::from_secs(5));
        assert_eq!(ledger.clone().beat().await, Tick::Idle);
        assert_eq!(heard().await, at(5_000));
        test.clock.set(at(1_000)); // another node, whose clock is behind
        ledger.clone().beat().await;
        assert_eq!(heard().await, at(5_000));
    }
}

/// A heartbeat says that the feed is complete up to it. While nobody gives positions, that does not hold for what waits
/// for one.
#[tokio::test]
async fn the_heartbeat_does_not_pass_what_has_no_position_yet() {
    let test = postgres(&[ledger::MIGRATIONS]).await;
    let ledger = ledger(&test, vec![]);
    let cursor = ledger.feed().head().await.expect("read");
    let heard = async || {
        ledger.clone().beat().await;
        ledger.feed().after(&cursor).await.expect("read").heartbeat_at
    };
    test.clock.advance(Duration::from_secs(1));
    assert_eq!(heard().await, at(1_000));
    test.clock.advance(Duration::from_secs(1));
    news(&ledger, told(1, &account("user"), at(1), login())).await;
    test.clock.advance(Duration::from_secs(1));
    assert!(heard().await < at(2_000), "the event of then is not in the feed yet");
    place_all(&ledger).await;
    assert_eq!(heard().await, at(3_000));
}

/// Whoever writes the heartbeat, or anything else about the feed, does not keep events from their positions.
#[tokio::test]
async fn positions_are_given_while_the_feeds_row_is_being_written() {
    let test = postgres(&[ledger::MIGRATIONS]).await;
    let ledger = ledger(&test, vec![]);
    let (client, connection) =
        tokio_postgres::connect(&test.settings.url, tokio_postgres::NoTls).await.expect("connected");
    let work = async {
        client.batch_execute("begin").await.expect("begun");
        client.batch_execute(HOLD_FEED.for_engine(test.engine())).await.expect("held");
        news(&ledger, told(1, &account("user"), at(1), login())).await;
        place_all(&ledger).await;
        assert_eq!(ledger.feed().head().await.expect("read").position, 1);
        drop(client);
    };
    let ((), _) = tokio::join!(work, connection);
}
