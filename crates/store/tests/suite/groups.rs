//! What becomes of an operation's neighbours: on SQLite many operations share one transaction.

use crate::tables::{All, COUNT_NUMBERS, INSERT, INSERT_BODY, InsertPair, MIGRATIONS, NUMBERS, steps};
use futures::future::{BoxFuture, FutureExt, join_all};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use store::testing::{TestStore, engines, sqlite_with};
use store::{Engine, Operation, PointRead, Rows, Sql, Store, StoreError, Tx, Value};

/// Larger than what [`tiny`] has room for.
const LARGE: usize = 1 << 20;

/// Holds the SQLite writer, so that what is asked meanwhile queues up behind it.
struct Held {
    go: mpsc::Sender<()>,
    holder: BoxFuture<'static, ()>,
}

impl Held {
    fn hold(store: &Store) -> Self {
        let (go, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let hold = steps(move |_| {
            // Blocks the writer's thread until the sender is dropped.
            let _ = wait.lock().expect("nobody panicked").recv();
            async { Ok(()) }.boxed()
        });
        let store = store.clone();
        let mut holder = async move { store.run(hold).await.expect("it only waits") }.boxed();
        assert!((&mut holder).now_or_never().is_none(), "it holds the writer");
        Self { go, holder }
    }

    async fn go(self) {
        drop(self.go);
        self.holder.await;
    }
}

/// Runs operations at once. On SQLite all of them wait in the queue before the first is run, so that the writer takes
/// them as a group (or as two, on a machine so slow that the first one's time is up).
async fn together<O: Operation>(store: &Store, operations: Vec<O>) -> Vec<Result<O::Output, StoreError>> {
    let held = (store.engine() == Engine::Sqlite).then(|| Held::hold(store));
    let mut running: Vec<_> = operations.into_iter().map(|operation| store.run(operation).boxed()).collect();
    let Some(held) = held else { return join_all(running).await };
    for run in &mut running {
        assert!(run.now_or_never().is_none(), "it stands in the queue, and those after it stand behind it");
    }
    held.go().await;
    join_all(running).await
}

/// One operation of a group.
#[derive(Clone)]
enum Member {
    /// Inserts a number, and tells how many are there that only this transaction sees.
    Insert(i64, Store),
    /// Inserts a number and then the same again.
    InsertTwice(i64),
    /// Inserts a number and panics.
    Panic(i64),
    /// Needs more room than there is.
    Large,
    /// The same, but goes on as if nothing had happened.
    LargeThenInsert(i64),
}

/// A member that counts how often it is run.
struct Counted(Member, Arc<AtomicUsize>);

impl Operation for Counted {
    const NAME: &'static str = "test.member";
    type Output = usize;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<usize, StoreError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        match &self.0 {
            Member::Insert(number, store) => {
                tx.execute(&INSERT, &[(*number).into()]).await?;
                let here = All(&NUMBERS).run(tx).await?.len();
                Ok(here - store.read(&CountNumbers).await?)
            }
            Member::InsertTwice(number) => {
                tx.execute(&INSERT, &[(*number).into()]).await?;
                tx.execute(&INSERT, &[(*number).into()]).await.map(|_| 0)
            }
            Member::Panic(number) => {
                tx.execute(&INSERT, &[(*number).into()]).await?;
                panic!("no reason");
            }
            Member::Large => tx.execute(&INSERT_BODY, &[large().as_slice().into()]).await.map(|_| 0),
            Member::LargeThenInsert(number) => {
                drop(tx.execute(&INSERT_BODY, &[large().as_slice().into()]).await);
                drop(tx.execute(&INSERT, &[(*number).into()]).await);
                Ok(0)
            }
        }
    }
}

fn large() -> Vec<u8> {
    vec![7; LARGE]
}

struct CountNumbers;

impl PointRead for CountNumbers {
    const NAME: &'static str = "test.count_numbers";
    type Output = usize;

    fn sql(&self) -> &'static Sql {
        &COUNT_NUMBERS
    }

    fn params(&self) -> impl AsRef<[Value<'_>]> + Send {
        []
    }

    fn read(&self, rows: Rows<'_>) -> Result<usize, StoreError> {
        rows.first(|row| row.int(0))
            .map(|count| usize::try_from(count.expect("a count")).expect("not negative"))
    }
}

/// A SQLite store with room for about half of [`LARGE`].
async fn tiny() -> TestStore {
    sqlite_with(&[MIGRATIONS], |settings| settings.max_pages = 128).await
}

/// What became of one round: the numbers it used begin at `base`.
struct Round {
    base: i64,
    outcomes: Vec<Result<usize, StoreError>>,
    runs: Vec<usize>,
}

/// Runs the same members, with other numbers each time, until a round says that they shared a transaction.
async fn until_grouped(
    store: &Store,
    members: impl Fn(i64) -> Vec<Member>,
    mut grouped: impl AsyncFnMut(Round) -> bool,
) {
    for base in (0..500).step_by(10) {
        let runs: Vec<_> = members(base).iter().map(|_| Arc::<AtomicUsize>::default()).collect();
        let counted =
            members(base).into_iter().zip(&runs).map(|(member, runs)| Counted(member, Arc::clone(runs)));
        let outcomes = together(store, counted.collect()).await;
        let runs = runs.iter().map(|runs| runs.load(Ordering::SeqCst)).collect();
        if grouped(Round { base, outcomes, runs }).await {
            return;
        }
    }
    panic!("the operations never shared a transaction");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_fails_in_a_group_fails_alone() {
    for test in engines(&[MIGRATIONS]).await {
        let store = &test.store;
        let members = |base| {
            let insert = |number| Member::Insert(number, store.clone());
            vec![insert(base), Member::InsertTwice(base + 1), insert(base + 2)]
        };
        until_grouped(store, members, async |Round { base, outcomes, runs }| {
            assert!(matches!(outcomes[1], Err(StoreError::Duplicate { .. })), "{outcomes:?}");
            assert_eq!(runs, [1, 1, 1]);
            let numbers = store.scan(All(&NUMBERS)).await.expect("read");
            assert!(
                numbers.contains(&base) && !numbers.contains(&(base + 1)) && numbers.contains(&(base + 2))
            );
            let unseen_by_others = outcomes[2].as_ref().expect("the last is committed");
            outcomes[0].is_ok() && (*unseen_by_others == 2 || store.engine() == Engine::Postgres)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_panics_is_told_so_and_undone_and_the_store_goes_on() {
    for test in engines(&[MIGRATIONS]).await {
        let store = &test.store;
        let members = |base| {
            let insert = |number| Member::Insert(number, store.clone());
            vec![insert(base), Member::Panic(base + 1), insert(base + 2)]
        };
        until_grouped(store, members, async |Round { base, outcomes, .. }| {
            let Err(StoreError::Panicked { operation, reason }) = &outcomes[1] else {
                panic!("{outcomes:?}")
            };
            assert_eq!((*operation, reason.as_str()), ("test.member", "no reason"));
            let numbers = store.scan(All(&NUMBERS)).await.expect("read");
            assert!(
                numbers.contains(&base) && !numbers.contains(&(base + 1)) && numbers.contains(&(base + 2))
            );
            let unseen_by_others = outcomes[2].as_ref().expect("the last is committed");
            outcomes[0].is_ok() && (*unseen_by_others == 2 || store.engine() == Engine::Postgres)
        })
        .await;
        store.run(InsertPair(1000)).await.expect("it goes on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_a_full_disk_drops_is_run_again_one_by_one() {
    let test = tiny().await;
    let store = &test.store;
    let members = |base| {
        vec![Member::Insert(base, store.clone()), Member::Insert(base + 1, store.clone()), Member::Large]
    };
    until_grouped(store, members, async |Round { base, outcomes, runs }| {
        assert!(outcomes[0].is_ok() && outcomes[1].is_ok(), "the small ones succeed: {outcomes:?}");
        assert!(matches!(outcomes[2], Err(StoreError::NotCommitted { .. })), "{outcomes:?}");
        let numbers = store.scan(All(&NUMBERS)).await.expect("read");
        assert!(numbers.contains(&base) && numbers.contains(&(base + 1)));
        // All three were run, dropped together, and run again.
        runs == [2, 2, 2]
    })
    .await;
}

/// SQLite drops the whole transaction at the first statement that finds no room. An operation that does not heed it and
/// goes on must not write on without a transaction.
#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_swallows_a_full_disk_commits_nothing_and_harms_nobody() {
    let test = tiny().await;
    let store = &test.store;
    let members = |base| {
        let insert = |number| Member::Insert(number, store.clone());
        vec![insert(base), Member::LargeThenInsert(base + 1), insert(base + 2)]
    };
    until_grouped(store, members, async |Round { base, outcomes, runs }| {
        assert!(outcomes[0].is_ok() && outcomes[2].is_ok(), "{outcomes:?}");
        assert!(matches!(outcomes[1], Err(StoreError::NotCommitted { .. })), "{outcomes:?}");
        let numbers = store.scan(All(&NUMBERS)).await.expect("read");
        assert!(numbers.contains(&base) && !numbers.contains(&(base + 1)) && numbers.contains(&(base + 2)));
        runs[0] == 2
    })
    .await;
}
