//! Batches that come at once share transactions, and nobody suffers from another's.

use crate::told::{account, all_events, at, ledger, login, told};
use futures::future::{join_all, poll_immediate};
use ledger::{Applied, CarryOut, Ledger, LedgerError, News, Outcome};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use store::testing::{TestStore, engines};
use store::{Migration, StoreError, Tx};

/// The store refuses whatever is told of this one.
const REFUSED: &str = "refused";

static MIGRATIONS: &[Migration] = &[Migration::per_engine(
    "test 0001 one who is refused",
    "create trigger refused before insert on events when new.subject = 'refused'
     begin select raise(abort, 'this one is refused'); end",
    "alter table events add constraint refused check (subject <> 'refused')",
)];

/// Counts the transactions that bring news; gets through in them, or not.
struct Counter {
    count: AtomicUsize,
    stumbles: bool,
}

impl CarryOut for Counter {
    fn capability(&self) -> &'static str {
        "counter"
    }

    async fn carry_out(&self, _: &mut Tx<'_>, _: &[News], _: bool) -> Result<Outcome, StoreError> {
        self.count.fetch_add(1, Ordering::SeqCst);
        if self.stumbles {
            return Err(StoreError::Statement { reason: "it stumbles".into() });
        }
        Ok(Outcome::Done)
    }
}

impl Counter {
    async fn on(test: &TestStore, stumbles: bool) -> (Arc<Self>, Ledger) {
        let counter = Arc::new(Self { count: AtomicUsize::new(0), stumbles });
        let ledger = ledger(test, vec![Arc::clone(&counter) as _]);
        ledger.register_capabilities().await.expect("registered");
        (counter, ledger)
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

type Applying<'a> = Pin<Box<dyn Future<Output = Result<Vec<Applied>, LedgerError>> + Send + 'a>>;

/// Batches of two events, each of its own account, all of them begun.
async fn begun<'a>(ledger: &'a Ledger, subjects: &[&str]) -> Vec<Applying<'a>> {
    let batch = |subject: &&str| {
        let account = account(subject);
        (1..=2).map(|n| told(format!("{subject} {n}"), &account, at(n), login())).collect()
    };
    let mut applying: Vec<Applying<'_>> =
        subjects.iter().map(|subject| Box::pin(ledger.apply_batch(batch(subject))) as _).collect();
    for one in &mut applying {
        assert!(poll_immediate(one).await.is_none(), "it waits for its commit at least");
    }
    applying
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

const BOTH: [Applied; 2] = [Applied::News { version: 1 }, Applied::News { version: 2 }];

#[tokio::test]
async fn batches_that_come_at_once_share_transactions_and_each_is_told_its_own() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let (counter, ledger) = Counter::on(&test, false).await;
        let subjects = numbered(60);
        let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
        for outcome in join_all(begun(&ledger, &subjects).await).await {
            assert_eq!(outcome.expect("applied"), BOTH);
        }
        let transactions = counter.count();
        assert!(transactions < 10, "{transactions} transactions for 60 batches");
        assert_eq!(all_events(&ledger).await.len(), 120);
    }
}

#[tokio::test]
async fn a_consequence_that_fails_in_a_shared_transaction_is_owed_for_all_who_share_it() {
    for test in engines(&[ledger::MIGRATIONS, MIGRATIONS]).await {
        let (counter, ledger) = Counter::on(&test, true).await;
        let subjects = numbered(60);
        let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
        for outcome in join_all(begun(&ledger, &subjects).await).await {
            assert_eq!(outcome.expect("applied"), BOTH);
        }
        let tried = counter.count();
        assert!(tried < 10, "tried {tried} times for 60 batches");
        // Together with a batch that is refused, and after which each is applied by itself.
        let subjects = ["a", "b", "c", "d", "e", REFUSED, "f"];
        let outcomes = join_all(begun(&ledger, &subjects).await).await;
        for (subject, outcome) in subjects.iter().zip(outcomes) {
            assert_eq!(outcome.is_ok_and(|it| it == BOTH), *subject != REFUSED, "{subject}");
        }
        let owed = ledger.pending_effects().await.expect("read");
        assert_eq!((owed.len(), owed[0].count), (1, 132), "two events of each but the one who is refused");
    }
}

#[tokio::test]
async fn a_batch_that_is_refused_keeps_no_other_from_being_applied() {
    for test in engines(&[ledger::MIGRATIONS, MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        let mut subjects = numbered(12);
        subjects.insert(8, REFUSED.to_owned());
        let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
        let outcomes = join_all(begun(&ledger, &subjects).await).await;
        for (subject, outcome) in subjects.iter().zip(outcomes) {
            if *subject == REFUSED {
                assert!(!outcome.expect_err("it is refused").is_outage());
            } else {
                assert_eq!(outcome.expect("applied"), BOTH, "{subject}");
            }
        }
        assert_eq!(all_events(&ledger).await.len(), 24);
    }
}

#[tokio::test]
async fn who_waits_for_one_that_goes_away_is_applied_all_the_same() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        let subjects = numbered(12);
        let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
        let mut applying = begun(&ledger, &subjects).await;
        // The first ones have their turn and the others wait; then the ones after them are given it, and go too.
        for _ in 0..6 {
            drop(applying.remove(0));
        }
        for outcome in join_all(applying).await {
            assert_eq!(outcome.expect("applied"), BOTH);
        }
        let events = all_events(&ledger).await;
        assert!(subjects[6..].iter().all(|subject| {
            events.iter().filter(|event| event.account.subject.as_str() == *subject).count() == 2
        }));
    }
}

#[tokio::test]
async fn who_was_taken_along_by_one_that_goes_away_is_applied_once() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        let subjects = numbered(12);
        let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
        let mut applying = begun(&ledger, &subjects).await;
        // The first ones go, so that the next is given a turn; it takes the others along, and goes in turn.
        drop(applying.drain(..4));
        assert!(poll_immediate(&mut applying[0]).await.is_none(), "it waits for its commit at least");
        drop(applying.remove(0));
        for outcome in join_all(applying).await {
            assert_eq!(outcome.expect("applied").len(), 2, "news, or known by its receipts");
        }
        let events = all_events(&ledger).await;
        assert!(subjects[5..].iter().all(|subject| {
            events.iter().filter(|event| event.account.subject.as_str() == *subject).count() == 2
        }));
    }
}
