//! Named leases: one holder at a time, and a fence that tells a late holder from its successor.

use crate::tables::{Increment, MIGRATIONS, steps};
use futures::FutureExt;
use std::time::Duration;
use store::testing::{TestStore, engines};
use store::{Lease, LeaseHolder, Operation, StoreError};
use tokio::task::JoinSet;

const LIFE: Duration = Duration::from_secs(30);

fn holder(test: &TestStore, owner: &str) -> LeaseHolder {
    LeaseHolder::new(test.store.clone(), owner)
}

async fn acquire(holder: &LeaseHolder) -> Option<Lease> {
    holder.acquire("singleton", LIFE).await.expect("the store answers")
}

#[tokio::test]
async fn a_lease_has_one_holder_until_it_expires() {
    for test in engines(&[MIGRATIONS]).await {
        let (here, there) = (holder(&test, "here"), holder(&test, "there"));
        let lease = acquire(&here).await.expect("nobody had it");
        assert_eq!(lease.until, test.clock.now().plus(LIFE));
        assert_eq!(acquire(&there).await, None);

        test.clock.advance(Duration::from_millis(29_999));
        assert_eq!(acquire(&there).await, None, "it is held to its last moment");
        test.clock.advance(Duration::from_millis(1));
        let next = acquire(&there).await.expect("it expired");
        assert!(next.fence > lease.fence, "it changed hands");
        assert_eq!(acquire(&here).await, None);
    }
}

#[tokio::test]
async fn ones_own_lease_is_prolonged_under_the_same_fence() {
    for test in engines(&[MIGRATIONS]).await {
        let (here, there) = (holder(&test, "here"), holder(&test, "there"));
        let mut lease = acquire(&here).await.expect("nobody had it");
        test.clock.advance(LIFE / 2);
        let again = acquire(&here).await.expect("it is ours");
        assert_eq!(again.fence, lease.fence);
        test.clock.advance(LIFE / 2);
        assert!(here.renew(&mut lease, LIFE).await.expect("the store answers"));
        assert_eq!(lease.until, test.clock.now().plus(LIFE));
        test.clock.advance(LIFE / 2);
        assert_eq!(acquire(&there).await, None);
    }
}

#[tokio::test]
async fn a_lease_let_go_is_free_at_once_and_a_lost_one_is_not_renewed() {
    for test in engines(&[MIGRATIONS]).await {
        let (here, there) = (holder(&test, "here"), holder(&test, "there"));
        let mut lost = acquire(&here).await.expect("nobody had it");
        here.release(lost.clone()).await.expect("the store answers");
        let held = acquire(&there).await.expect("it is free");
        assert!(held.fence > lost.fence);
        assert!(!here.renew(&mut lost, LIFE).await.expect("the store answers"));
        // Letting a lost lease go takes it from nobody.
        here.release(lost).await.expect("the store answers");
        assert_eq!(acquire(&here).await, None);
    }
}

/// The same holder after its lease has expired: whatever it began under the old fence is late, too.
#[tokio::test]
async fn an_expired_lease_comes_back_under_another_fence_even_to_its_holder() {
    for test in engines(&[MIGRATIONS]).await {
        let here = holder(&test, "here");
        let lost = acquire(&here).await.expect("nobody had it");
        test.clock.advance(LIFE);
        let held = acquire(&here).await.expect("it is free");
        assert!(held.fence > lost.fence);
        assert!(!guarded(&test, &lost).await, "the old fence holds no more");
        assert!(guarded(&test, &held).await);
    }
}

/// Work that relies on the lease: increments, if it is still held.
async fn guarded(test: &TestStore, lease: &Lease) -> bool {
    let (lease, now) = (lease.clone(), test.clock.now());
    let work = steps(move |tx| {
        let lease = lease.clone();
        async move {
            if !lease.still_held(tx, now).await? {
                return Err(StoreError::Undone("the lease is lost"));
            }
            Increment("one").run(tx).await
        }
        .boxed()
    });
    match test.store.run(work).await {
        Ok(_) => true,
        Err(StoreError::Undone(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn work_under_a_lease_is_done_only_while_it_is_held() {
    for test in engines(&[MIGRATIONS]).await {
        let (here, there) = (holder(&test, "here"), holder(&test, "there"));
        let lease = acquire(&here).await.expect("nobody had it");
        assert!(guarded(&test, &lease).await);
        test.clock.advance(LIFE);
        assert!(!guarded(&test, &lease).await, "expired");
        let next = acquire(&there).await.expect("it is free");
        assert!(!guarded(&test, &lease).await, "in other hands");
        assert!(guarded(&test, &next).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_want_it_at_once_one_gets_it() {
    for test in engines(&[MIGRATIONS]).await {
        for round in 0..5 {
            let mut wanting = JoinSet::new();
            for number in 0..8 {
                let holder = holder(&test, &format!("holder {number}"));
                wanting.spawn(async move { acquire(&holder).await });
            }
            let got: Vec<Lease> = wanting.join_all().await.into_iter().flatten().collect();
            assert_eq!(got.len(), 1, "round {round}: {got:?}");
            test.clock.advance(LIFE);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fences_only_rise() {
    for test in engines(&[MIGRATIONS]).await {
        let next = || steps(|tx| async move { tx.next_fence().await }.boxed());
        let first = test.store.run(next()).await.expect("a fence");
        let mut drawing = JoinSet::new();
        for _ in 0..16 {
            let store = test.store.clone();
            drawing.spawn(async move { store.run(next()).await.expect("a fence") });
        }
        let mut drawn = drawing.join_all().await;
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 16, "each is drawn once");
        assert!(drawn[0] > first);
    }
}
