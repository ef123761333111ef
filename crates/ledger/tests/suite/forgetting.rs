//! What is forgotten in time, and what is not: a deleted account leaves a tombstone that speaks for it.

use crate::told::{account, all_events, at, delete, known, ledger, login, news, place_all, subscribed, told};
use account::{AccountId, Change, Mark, State};
use keys::RootKey;
use ledger::{CarryOut, DeadLetter, Ledger, News, Outcome, Retention, SourceId, Standing, Tombstones};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use store::testing::{TestStore, engines};
use store::{StoreError, Tx};
use work::Tick;

const A_DAY: Duration = Duration::from_hours(24);

/// Drops what is old until there is no more of it. The last event always stays, so another account's comes first.
async fn drop_all_old(ledger: &Ledger) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let now = ledger.store().clock().now();
    let id = format!("last {}", NEXT.fetch_add(1, Ordering::SeqCst));
    news(ledger, told(id, &account("last"), now, login())).await;
    place_all(ledger).await;
    for _ in 0..100 {
        match ledger.clone().drop_old(Retention::default()).await {
            Tick::Idle => return,
            Tick::More => {}
            Tick::Failed => panic!("the store is there"),
        }
    }
    panic!("there is no end to it");
}

async fn standing(ledger: &Ledger, account: &AccountId) -> Option<Standing> {
    ledger.standing(account).await.expect("read")
}

/// An account that was deleted at 5 and, a hundred days later, forgotten.
async fn forgotten(test: &TestStore, ledger: &Ledger) -> AccountId {
    let user = account("user");
    news(ledger, told("change", &user, at(3), Change::PasswordChange)).await;
    news(ledger, told("delete", &user, at(5), delete())).await;
    drop_all_old(ledger).await;
    assert_eq!(standing(ledger, &user).await.expect("known").version, 2, "not yet");
    test.clock.advance(101 * A_DAY);
    drop_all_old(ledger).await;
    user
}

#[tokio::test]
async fn a_forgotten_account_stands_as_its_tombstone_says() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        let user = forgotten(&test, &ledger).await;
        let expected =
            Standing { mark: Mark::at(at(5)), state: State::Deleted, state_at: at(5), ..Standing::default() };
        assert_eq!(standing(&ledger, &user).await, Some(expected));
        assert!(
            all_events(&ledger).await.iter().all(|event| event.account != user),
            "nothing else is left of it"
        );

        // Nor does what is left tell whose it is: another key finds nothing.
        let other_key = Tombstones::new(&RootKey::generate(), Duration::ZERO);
        let stranger = Ledger::new(test.store.clone(), other_key, vec![]);
        assert_eq!(standing(&stranger, &user).await, None);
    }
}

#[tokio::test]
async fn an_older_event_does_not_revive_a_forgotten_account() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        let user = forgotten(&test, &ledger).await;
        known(&ledger, told("a", &user, at(4), Change::Enable)).await;
        known(&ledger, told("b", &user, at(4), delete())).await;
        assert_eq!(standing(&ledger, &user).await.expect("a tombstone").version, 0);
        // News, since nobody remembers; and its version begins anew.
        assert_eq!(news(&ledger, told("c", &user, at(4), Change::PasswordChange)).await, 1);
        let now = standing(&ledger, &user).await.expect("known");
        assert_eq!(
            (now.version, now.state, now.state_at, now.mark),
            (1, State::Deleted, at(5), Mark::at(at(5)))
        );

        // It is forgotten again in its time, and deleted still.
        test.clock.advance(101 * A_DAY);
        drop_all_old(&ledger).await;
        let then = standing(&ledger, &user).await.expect("a tombstone");
        assert_eq!((then.version, then.state, then.mark), (0, State::Deleted, Mark::at(at(5))));
    }
}

#[tokio::test]
async fn an_account_may_come_back_after_its_deletion_and_its_old_grants_may_not() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        let user = forgotten(&test, &ledger).await;
        assert_eq!(news(&ledger, told("back", &user, at(6), Change::Enable)).await, 1);
        let now = standing(&ledger, &user).await.expect("known");
        assert_eq!((now.state, now.state_at, now.mark), (State::Active, at(6), Mark::at(at(5))));
    }
}

/// Told twice, or after a change that came later: whatever came in first, the tombstone says the same.
#[tokio::test]
async fn a_tombstone_stands_at_the_accounts_mark_whatever_the_order_of_events() {
    let deletes = || vec![(5, delete()), (9, delete())];
    let changed_later = || vec![(5, delete()), (9, Change::PasswordChange)];
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        let mut users = Vec::new();
        for (number, events) in [deletes(), changed_later()].into_iter().enumerate() {
            for (name, events) in
                [("forward", events.clone()), ("backward", events.into_iter().rev().collect())]
            {
                let user = account(format!("{name} {number}"));
                for (time, change) in events {
                    let id = format!("{user} {time}");
                    ledger.apply(told(id, &user, at(time), change)).await.expect("applied");
                }
                assert_eq!(standing(&ledger, &user).await.expect("known").mark, Mark::at(at(9)));
                users.push(user);
            }
        }
        test.clock.advance(101 * A_DAY);
        drop_all_old(&ledger).await;
        for user in users {
            let now = standing(&ledger, &user).await.expect("a tombstone");
            assert_eq!((now.version, now.state, now.mark), (0, State::Deleted, Mark::at(at(9))), "{user}");
        }
    }
}

#[tokio::test]
async fn a_tombstone_outlives_every_token_and_then_goes() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let long = Tombstones::new(&RootKey::generate(), 500 * A_DAY);
        for (ledger, life) in
            [(ledger(&test, vec![]), 400), (Ledger::new(test.store.clone(), long, vec![]), 500)]
        {
            let user = account(life);
            let deleted_at = test.clock.now();
            news(&ledger, told(life, &user, deleted_at, delete())).await;
            test.clock.set(deleted_at.plus(life * A_DAY));
            drop_all_old(&ledger).await;
            drop_all_old(&ledger).await;
            assert_eq!(standing(&ledger, &user).await.expect("a tombstone").state, State::Deleted);
            test.clock.advance(Duration::from_millis(1));
            drop_all_old(&ledger).await;
            assert_eq!(standing(&ledger, &user).await, None, "after {life} days");
        }
    }
}

#[tokio::test]
async fn only_deleted_accounts_are_forgotten() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        news(&ledger, told(1, &account("active"), at(1), Change::PasswordChange)).await;
        news(&ledger, told(2, &account("disabled"), at(1), Change::Disable)).await;
        test.clock.advance(1_000 * A_DAY);
        drop_all_old(&ledger).await;
        for (name, state) in [("active", State::Active), ("disabled", State::Disabled)] {
            let now = standing(&ledger, &account(name)).await.expect("known");
            assert_eq!((now.version, now.state, now.mark), (1, state, Mark::at(at(1))));
        }
        // Its version goes on although its events are gone.
        assert_eq!(news(&ledger, told(3, &account("active"), at(2), Change::PasswordChange)).await, 2);
    }
}

/// Fails until a day has come.
struct NotBefore(account::Millis, store::Clock);

impl CarryOut for NotBefore {
    fn capability(&self) -> &'static str {
        "late"
    }

    async fn carry_out(&self, _: &mut Tx<'_>, _: &[News], _: bool) -> Result<Outcome, StoreError> {
        if self.1.now() < self.0 { Err(StoreError::Undone("too early")) } else { Ok(Outcome::Done) }
    }
}

/// The effect was settled late, when its event was old already. If the account were forgotten while it is owed, its
/// versions would begin anew and meet the old effect's.
#[tokio::test]
async fn versions_that_begin_anew_meet_nothing_of_the_old_ones() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let late = NotBefore(at(0).plus(50 * A_DAY), test.clock.clone());
        let ledger = ledger(&test, vec![Arc::new(late)]);
        ledger.register_capabilities().await.expect("registered");
        let (early, late) = (account("early"), account("late"));
        for user in [&early, &late] {
            news(&ledger, told(format!("delete {user}"), user, at(5), delete())).await;
        }
        let carry_out = async || while ledger.clone().carry_out_due().await == Tick::More {};
        for _ in 0..60 {
            test.clock.advance(A_DAY);
            carry_out().await;
        }
        assert!(ledger.pending_effects().await.expect("read").is_empty());

        // The event is older than what is kept.
        test.clock.advance(41 * A_DAY);
        drop_all_old(&ledger).await;
        news(&ledger, told("early again", &early, at(4), login())).await;
        // Now the account is, too.
        test.clock.advance(101 * A_DAY);
        drop_all_old(&ledger).await;
        assert_eq!(standing(&ledger, &late).await.expect("a tombstone").version, 0);
        assert_eq!(news(&ledger, told("late again", &late, at(4), login())).await, 1);
    }
}

#[tokio::test]
async fn receipts_are_kept_for_as_long_as_a_queue_may_deliver_again() {
    let hasty =
        Retention { receipts_days: 1, events_days: 1, deleted_accounts_days: 1, ..Retention::default() };
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        let user = account("user");
        let tell =
            || vec![told("1", &user, at(1), login()), told("2", &user, at(1), subscribed(true, "relay"))];
        let applied = ledger.apply_batch(tell()).await.expect("applied");
        let known = ledger.apply_batch(tell()).await.expect("applied");
        assert_ne!(applied, known);
        test.clock.advance(30 * A_DAY);
        ledger.clone().drop_old(hasty).await;
        assert_eq!(
            ledger.apply_batch(tell()).await.expect("applied"),
            known,
            "still known after thirty days"
        );
        test.clock.advance(Duration::from_millis(1));
        ledger.clone().drop_old(hasty).await;
        assert_ne!(ledger.apply_batch(tell()).await.expect("applied"), known, "and no longer after that");
    }
}

async fn bury(ledger: &Ledger, numbers: std::ops::Range<usize>) {
    let letter = |number| DeadLetter {
        source: SourceId::new("queue"),
        message_id: format!("{number}"),
        reason: "not_json",
        detail: String::new(),
        body: b"{oops".to_vec(),
    };
    ledger.bury(numbers.map(letter).collect()).await.expect("kept");
}

async fn letters(ledger: &Ledger) -> Vec<String> {
    let kept = ledger.dead_letters(0, 10_000).await.expect("read");
    kept.into_iter().map(|letter| letter.message_id).collect()
}

#[tokio::test]
async fn dead_letters_go_when_they_are_old() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        bury(&ledger, 0..600).await;
        test.clock.advance(A_DAY);
        bury(&ledger, 600..602).await;
        test.clock.advance(89 * A_DAY);
        ledger.clone().drop_old(Retention::default()).await;
        assert_eq!(letters(&ledger).await.len(), 602, "ninety days are not over");
        test.clock.advance(Duration::from_millis(1));
        assert_eq!(ledger.clone().drop_old(Retention::default()).await, Tick::More, "a chunk at a time");
        assert_eq!(letters(&ledger).await.len(), 102);
        assert_eq!(ledger.clone().drop_old(Retention::default()).await, Tick::Idle);
        assert_eq!(letters(&ledger).await, ["600", "601"]);
    }
}

#[tokio::test]
async fn of_very_many_dead_letters_the_latest_are_kept() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        bury(&ledger, 0..10).await;
        let few = |dead_letters| Retention { dead_letters, ..Retention::default() };
        ledger.clone().drop_old(few(10)).await;
        assert_eq!(letters(&ledger).await.len(), 10);
        ledger.clone().drop_old(few(3)).await;
        assert_eq!(letters(&ledger).await, ["7", "8", "9"]);
        ledger.clone().drop_old(few(0)).await;
        assert!(letters(&ledger).await.is_empty());
    }
}

#[tokio::test]
async fn recent_dead_letters_are_counted_up_to_a_bound() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        bury(&ledger, 0..5).await;
        test.clock.advance(A_DAY);
        let since = test.clock.now();
        bury(&ledger, 5..12).await;
        let recent = async |most| ledger.recent_dead_letters(since, most).await.expect("counted");
        assert_eq!((recent(100).await, recent(7).await, recent(4).await), (7, 7, 4));
        assert_eq!(ledger.recent_dead_letters(at(0), 100).await.expect("counted"), 12);
    }
}
