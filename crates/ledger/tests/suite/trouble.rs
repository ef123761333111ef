//! Consequences in trouble: the event commits without them, and what the others did is done once.

use crate::consequences::{
    ALL_TROUBLE, Trouble, carried, fresh, pending, registered, steady, troubled, work,
};
use crate::told::{account, at, delete, login, news, told};
use account::State;
use ledger::{CarryOut, News, Outcome};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use store::{StoreError, Tx};

/// The mark is the enforcement: it commits even when a consequence fails.
#[tokio::test]
async fn a_consequence_in_trouble_is_owed_and_stands_in_nobodys_way() {
    for test in fresh().await {
        for trouble in ALL_TROUBLE {
            let name = ["one", "two", "three"]
                [ALL_TROUBLE.iter().position(|it| *it == trouble).expect("one of them")];
            let in_trouble = troubled(name, move |_, inline| inline.then_some(trouble));
            let ledger = registered(&test, vec![in_trouble, steady("steady")]).await;
            let user = account(name);
            assert_eq!(news(&ledger, told(name, &user, at(5), delete())).await, 1);

            let standing = ledger.standing(&user).await.expect("read").expect("known");
            assert_eq!((standing.mark.get(), standing.state), (at(5).get(), State::Deleted), "{trouble:?}");
            assert!(carried(&ledger, "steady").await.contains(&(name.to_owned(), 1, true)), "{trouble:?}");
            assert!(carried(&ledger, name).await.is_empty(), "{trouble:?}: it was undone");
            let owed = ledger.pending_effects().await.expect("read");
            let owed = owed.iter().find(|pending| pending.capability == name).expect("it is owed");
            assert_eq!((owed.count, owed.first_due_at, owed.most_attempts), (1, test.clock.now(), 0));

            // It is due at once; outside the transaction it goes well.
            work(&ledger).await;
            assert_eq!(carried(&ledger, name).await, [(name.to_owned(), 1, false)], "{trouble:?}");
        }
    }
}

#[tokio::test]
async fn several_in_trouble_at_once_are_each_owed_and_the_others_part_is_done_once() {
    for test in fresh().await {
        let in_trouble = |name, trouble| troubled(name, move |_, inline| inline.then_some(trouble));
        let others = vec![in_trouble("a", Trouble::Fails), steady("b"), in_trouble("c", Trouble::Panics)];
        let ledger = registered(&test, [others, vec![in_trouble("d", Trouble::Defers)]].concat()).await;
        let batch = |from: i64| (from..from + 2).map(|n| told(n, &account(format!("u{n}")), at(n), delete()));
        let (one, two) =
            tokio::join!(ledger.apply_batch(batch(1).collect()), ledger.apply_batch(batch(3).collect()));
        assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
        let mut done = carried(&ledger, "b").await;
        done.sort();
        assert_eq!(done, [1, 2, 3, 4].map(|n| (format!("u{n}"), 1, true)));
        let owed = ledger.pending_effects().await.expect("read");
        assert_eq!(
            owed.iter().map(|it| (&*it.capability, it.count)).collect::<Vec<_>>(),
            [("a", 4), ("c", 4), ("d", 4)]
        );
        work(&ledger).await;
        assert_eq!(pending(&ledger).await, 0);
        for name in ["a", "b", "c", "d"] {
            assert_eq!(carried(&ledger, name).await.len(), 4, "{name}");
        }
    }
}

/// Counts its transactions when they have committed.
struct Counts(Arc<AtomicUsize>);

impl CarryOut for Counts {
    fn capability(&self) -> &'static str {
        "a counter"
    }

    async fn carry_out(&self, tx: &mut Tx<'_>, _: &[News], _: bool) -> Result<Outcome, StoreError> {
        let count = Arc::clone(&self.0);
        tx.after_commit(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        Ok(Outcome::Done)
    }
}

#[tokio::test]
async fn what_counts_after_a_commit_counts_once_beside_one_in_trouble() {
    for test in fresh().await {
        let count = Arc::new(AtomicUsize::new(0));
        let fails = troubled("b", |_, inline| inline.then_some(Trouble::Fails));
        let ledger = registered(&test, vec![Arc::new(Counts(Arc::clone(&count))), fails]).await;
        news(&ledger, told(1, &account("user"), at(1), login())).await;
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }
}

/// The store is out for the first of its transactions.
struct Outage(AtomicUsize);

impl CarryOut for Outage {
    fn capability(&self) -> &'static str {
        "outage"
    }

    async fn carry_out(&self, _: &mut Tx<'_>, _: &[News], _: bool) -> Result<Outcome, StoreError> {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0 => Err(StoreError::Unavailable { reason: "no room".into() }),
            _ => Ok(Outcome::Done),
        }
    }
}

#[tokio::test]
async fn an_outage_in_a_consequence_is_the_events_own_and_nothing_is_owed() {
    for test in fresh().await {
        let ledger = registered(&test, vec![Arc::new(Outage(AtomicUsize::new(0)))]).await;
        let event = || told(1, &account("user"), at(1), login());
        assert!(ledger.apply(event()).await.expect_err("out").is_outage());
        assert_eq!(
            (ledger.standing(&account("user")).await.expect("read"), pending(&ledger).await),
            (None, 0)
        );
        assert_eq!(news(&ledger, event()).await, 1);
        assert_eq!(pending(&ledger).await, 0);
    }
}
