//! Consequences: carried out with the event when they can be, owed when they cannot, and never in the event's way.

use crate::told::{Execute, account, at, ledger, login, news, told};
use account::{AccountId, Change};
use ledger::{CarryOut, Consequence, Ledger, News, Outcome};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use store::testing::{TestStore, engines};
use store::{Migration, Operation, Sql, StoreError, Tx};
use tokio::task::JoinSet;
use work::Tick;

static MIGRATIONS: &[Migration] = &[Migration::both(
    "test 0001 carried",
    "create table carried (id {identity}, capability varchar(20) not null, subject varchar(255) not null,
         version bigint not null, at_once smallint not null)",
)];

store::statements! {
    static CARRY = both("insert into carried (capability, subject, version, at_once) values ($1, $2, $3, $4)");
    static CARRIED = both("select subject, version, at_once from carried where capability = $1 order by id");
    static NO_SUCH_TABLE = both("insert into nowhere values (1)");

}

/// What a [`Recorder`] does instead of succeeding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Leaves it to the workers.
    Defers,
    /// A statement of it fails.
    Fails,
    /// Panics.
    Panics,
}

pub(crate) const ALL_TROUBLE: [Trouble; 3] = [Trouble::Defers, Trouble::Fails, Trouble::Panics];

type AnyTrouble = dyn Fn(&News, bool) -> Option<Trouble> + Send + Sync;

/// A capability that writes down what it carries out.
struct Recorder {
    name: &'static str,
    /// Whose events are trouble, and of what kind.
    trouble: Box<AnyTrouble>,
}

pub(crate) fn troubled(
    name: &'static str,
    trouble: impl Fn(&News, bool) -> Option<Trouble> + Send + Sync + 'static,
) -> Arc<dyn Consequence> {
    Arc::new(Recorder { name, trouble: Box::new(trouble) })
}

pub(crate) fn steady(name: &'static str) -> Arc<dyn Consequence> {
    troubled(name, |_, _| None)
}

impl CarryOut for Recorder {
    fn capability(&self) -> &'static str {
        self.name
    }

    async fn carry_out(&self, tx: &mut Tx<'_>, news: &[News], inline: bool) -> Result<Outcome, StoreError> {
        for news in news {
            let subject = news.account.subject.as_str();
            tx.execute(&CARRY, &[self.name.into(), subject.into(), news.version.into(), inline.into()])
                .await?;
            match (self.trouble)(news, inline) {
                None => {}
                Some(Trouble::Defers) => return Ok(Outcome::Deferred),
                Some(Trouble::Fails) => drop(tx.execute(&NO_SUCH_TABLE, &[]).await?),
                Some(Trouble::Panics) => panic!("a consequence panics"),
            }
        }
        Ok(Outcome::Done)
    }
}

pub(crate) async fn fresh() -> [TestStore; 2] {
    engines(&[ledger::MIGRATIONS, MIGRATIONS]).await
}

pub(crate) async fn registered(test: &TestStore, consequences: Vec<Arc<dyn Consequence>>) -> Ledger {
    let ledger = ledger(test, consequences);
    ledger.register_capabilities().await.expect("registered");
    ledger
}

struct Carried(&'static str);

impl Operation for Carried {
    const NAME: &'static str = "test.carried";
    type Output = Vec<(String, i64, bool)>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let row = |row: &store::Row<'_>| Ok((row.text(0)?.to_owned(), row.int(1)?, row.bool(2)?));
        tx.query(&CARRIED, &[self.0.into()], row).await
    }
}

/// What was carried out, in its order: whose, which version, and whether inside the ledger's transaction.
pub(crate) async fn carried(ledger: &Ledger, capability: &'static str) -> Vec<(String, i64, bool)> {
    ledger.store().scan(Carried(capability)).await.expect("read")
}

async fn versions(ledger: &Ledger, capability: &'static str) -> Vec<i64> {
    carried(ledger, capability).await.into_iter().map(|(_, version, _)| version).collect()
}

pub(crate) async fn pending(ledger: &Ledger) -> i64 {
    ledger.pending_effects().await.expect("read").iter().map(|pending| pending.count).sum()
}

pub(crate) async fn work(ledger: &Ledger) {
    loop {
        match ledger.clone().carry_out_due().await {
            Tick::Idle => return,
            Tick::More => {}
            Tick::Failed => panic!("the store is there"),
        }
    }
}

#[tokio::test]
async fn what_is_small_is_done_with_the_event() {
    for test in fresh().await {
        let ledger = registered(&test, vec![steady("one"), steady("two")]).await;
        let batch = (1..=3).map(|n| told(n, &account("user"), at(n), login())).collect();
        ledger.apply_batch(batch).await.expect("applied");
        for capability in ["one", "two"] {
            let expected: Vec<_> = (1..=3).map(|version| ("user".to_owned(), version, true)).collect();
            assert_eq!(carried(&ledger, capability).await, expected);
        }
        assert_eq!(pending(&ledger).await, 0);
        work(&ledger).await;
        assert_eq!(carried(&ledger, "one").await.len(), 3, "nothing is done again");
    }
}

#[tokio::test]
async fn only_news_has_consequences() {
    for test in fresh().await {
        let ledger = registered(&test, vec![steady("one")]).await;
        let user = account("user");
        for id in 1..=3 {
            ledger.apply(told(id, &user, at(1), Change::PasswordChange)).await.expect("applied");
        }
        assert_eq!(versions(&ledger, "one").await, [1]);
    }
}

#[tokio::test]
async fn a_failing_effect_is_tried_again_later_each_time_and_then_settled() {
    for test in fresh().await {
        let failures = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&failures);
        let in_trouble = troubled("one", move |_, _| {
            let attempt = counted.fetch_add(1, Ordering::SeqCst);
            (attempt < 6).then_some([Trouble::Fails, Trouble::Panics][attempt % 2])
        });
        let ledger = registered(&test, vec![in_trouble]).await;
        news(&ledger, told(1, &account("user"), at(1), login())).await;
        // The first failure was inline and costs no wait; then 1, 2, 4, 8, 16 s.
        for (attempts, wait) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16)] {
            work(&ledger).await;
            let owed = ledger.pending_effects().await.expect("read");
            let next = test.clock.now().plus(Duration::from_secs(wait));
            assert_eq!((owed[0].most_attempts, owed[0].first_due_at), (attempts, next));
            assert!(carried(&ledger, "one").await.is_empty(), "each failure is undone");

            let before = failures.load(Ordering::SeqCst);
            test.clock.advance(Duration::from_millis(1000 * wait - 1));
            work(&ledger).await;
            assert_eq!(failures.load(Ordering::SeqCst), before, "not before its time");
            test.clock.advance(Duration::from_millis(1));
        }
        work(&ledger).await;
        assert_eq!((pending(&ledger).await, versions(&ledger, "one").await), (0, vec![1]));
    }
}

#[tokio::test]
async fn waits_grow_to_minutes_and_no_further() {
    for test in fresh().await {
        let ledger = registered(&test, vec![troubled("one", |_, _| Some(Trouble::Fails))]).await;
        news(&ledger, told(1, &account("user"), at(1), login())).await;
        let mut waits = Vec::new();
        for _ in 0..12 {
            work(&ledger).await;
            let next = ledger.pending_effects().await.expect("read")[0].first_due_at;
            waits.push(next.since(test.clock.now()).as_secs());
            test.clock.set(next);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 256, 256, 256]);
    }
}

/// A relying party that hears "disabled" after "enabled" is left with the wrong one.
#[tokio::test]
async fn an_accounts_effects_are_carried_out_in_its_order_even_when_only_the_first_is_in_trouble() {
    for test in fresh().await {
        let attempts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&attempts);
        let in_trouble = troubled("one", move |news, _| {
            let is_it = news.account == account("user") && news.version == 1;
            (is_it && counted.fetch_add(1, Ordering::SeqCst) < 3).then_some(Trouble::Fails)
        });
        let ledger = registered(&test, vec![in_trouble, steady("two")]).await;
        let (user, other) = (account("user"), account("other"));
        news(&ledger, told(1, &user, at(1), Change::Disable)).await;
        news(&ledger, told(2, &user, at(2), Change::Enable)).await;
        let batch = vec![told(3, &user, at(3), login()), told(4, &other, at(3), login())];
        ledger.apply_batch(batch).await.expect("applied");

        assert_eq!(
            carried(&ledger, "one").await,
            [("other".to_owned(), 1, true)],
            "another account waits for nobody"
        );
        assert_eq!(carried(&ledger, "two").await.len(), 4, "nor does another capability");
        for _ in 0..4 {
            work(&ledger).await;
            test.clock.advance(Duration::from_mins(1));
        }
        let order: Vec<_> = carried(&ledger, "one")
            .await
            .into_iter()
            .map(|(subject, version, _)| (subject, version))
            .collect();
        let user = |version| ("user".to_owned(), version);
        assert_eq!(order, [("other".to_owned(), 1), user(1), user(2), user(3)]);
        assert_eq!(pending(&ledger).await, 0);
        news(&ledger, told(5, &account("user"), at(5), login())).await;
        assert!(carried(&ledger, "one").await.contains(&("user".to_owned(), 4, true)), "inline again");
    }
}

#[tokio::test]
async fn what_is_done_in_parts_is_called_again_until_it_is_done() {
    for test in fresh().await {
        let parts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&parts);
        let large = troubled("one", move |news, inline| {
            let unfinished = inline || (news.version == 1 && counted.fetch_add(1, Ordering::SeqCst) < 2);
            unfinished.then_some(Trouble::Defers)
        });
        let ledger = registered(&test, vec![large]).await;
        news(&ledger, told(1, &account("user"), at(1), login())).await;
        news(&ledger, told(2, &account("user"), at(2), login())).await;
        work(&ledger).await;
        assert_eq!(versions(&ledger, "one").await, [1, 1, 1, 2], "each part is kept, and the order holds");
        assert_eq!(pending(&ledger).await, 0);
    }
}

#[tokio::test]
async fn a_capability_of_another_node_is_owed_by_a_node_that_lacks_it() {
    for test in fresh().await {
        let full = registered(&test, vec![steady("one"), steady("two")]).await;
        let lean = ledger(&test, vec![steady("one")]);
        news(&lean, told(1, &account("user"), at(1), login())).await;
        assert_eq!((versions(&full, "one").await, versions(&full, "two").await), (vec![1], vec![]));
        work(&lean).await;
        assert_eq!(pending(&lean).await, 1, "it cannot carry out what it lacks");
        work(&full).await;
        assert_eq!((pending(&full).await, versions(&full, "two").await), (0, vec![1]));
    }
}

#[tokio::test]
async fn a_capability_nobody_registered_is_owed_nothing() {
    for test in fresh().await {
        let ledger = ledger(&test, vec![steady("one")]);
        news(&ledger, told(1, &account("user"), at(1), login())).await;
        assert!(carried(&ledger, "one").await.is_empty());
        ledger.register_capabilities().await.expect("registered");
        ledger.register_capabilities().await.expect("registered before");
        news(&ledger, told(2, &account("user"), at(2), login())).await;
        assert_eq!(versions(&ledger, "one").await, [2]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_work_at_once_carry_each_effect_out_once_and_in_order() {
    for test in fresh().await {
        let deferring = || troubled("one", |_, inline| inline.then_some(Trouble::Defers));
        let ledger = registered(&test, vec![deferring()]).await;
        let users: Vec<AccountId> = (0..5).map(account).collect();
        let batch =
            (0..40).map(|n: i64| told(n, &users[usize::try_from(n % 5).expect("small")], at(n), login()));
        ledger.apply_batch(batch.collect()).await.expect("applied");
        let mut nodes = JoinSet::new();
        for _ in 0..4 {
            let node = crate::told::ledger(&test, vec![deferring()]);
            nodes.spawn(async move { work(&node).await });
        }
        nodes.join_all().await;
        work(&ledger).await;
        let all = carried(&ledger, "one").await;
        assert_eq!((all.len(), pending(&ledger).await), (40, 0));
        for user in users {
            let versions: Vec<i64> = all
                .iter()
                .filter(|(subject, ..)| subject == user.subject.as_str())
                .map(|(_, v, _)| *v)
                .collect();
            assert_eq!(versions, (1..=8).collect::<Vec<_>>());
        }
    }
}

/// Nothing in the house loses an event that is owed something. Should it be gone all the same, somebody must see it.
#[tokio::test]
async fn an_effect_without_its_event_is_put_off_and_shows_its_trouble() {
    static LOSE: Sql = Sql::both("delete from events");
    for test in fresh().await {
        let ledger = registered(&test, vec![troubled("one", |_, _| Some(Trouble::Defers))]).await;
        news(&ledger, told(1, &account("user"), at(1), login())).await;
        test.store.run(Execute(&LOSE)).await.expect("lost");
        work(&ledger).await;
        let owed = ledger.pending_effects().await.expect("read");
        assert_eq!((owed[0].count, owed[0].most_attempts), (1, 1));
    }
}

/// What can neither be carried out nor put off would come again at once, over and over.
#[tokio::test]
async fn a_store_that_can_only_be_read_is_waited_for() {
    let test = store::testing::postgres(&[ledger::MIGRATIONS, MIGRATIONS]).await;
    let ledger =
        registered(&test, vec![troubled("one", |_, inline| inline.then_some(Trouble::Defers))]).await;
    news(&ledger, told(1, &account("user"), at(1), login())).await;
    let only_read = async |only: &str| {
        let (client, connection) =
            tokio_postgres::connect(&test.settings.url, tokio_postgres::NoTls).await.expect("connected");
        let set = async {
            client.batch_execute("set default_transaction_read_only = off").await.expect("for itself");
            let name: String =
                client.query_one("select current_database()", &[]).await.expect("asked").get(0);
            client
                .batch_execute(&format!(
                    "alter database \"{name}\" set default_transaction_read_only = {only}"
                ))
                .await
                .expect("set");
            let cut = "select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()";
            client.simple_query(cut).await.expect("cut");
            drop(client);
        };
        let ((), _) = tokio::join!(set, connection);
    };
    only_read("on").await;
    assert_eq!(ledger.clone().carry_out_due().await, Tick::Failed);
    only_read("off").await;
    work(&ledger).await;
    assert_eq!((versions(&ledger, "one").await, pending(&ledger).await), (vec![1], 0));
}
