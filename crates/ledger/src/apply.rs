use crate::accounts::{self, Changed};
use crate::consequence::{Consequence, News};
use crate::owe::InTrouble;
use crate::receipts::Receipt;
use crate::rules::{self, Account, Verdict};
use crate::tombstones::Tombstones;
use crate::turns::{Entered, Told, Turn, Turns};
use crate::{Received, SourceId, append, owe, receipts, sequencer};
use account::{AccountId, EventKind, Millis};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use store::{Engine, Operation, Store, StoreError, Tx};
use tokio::sync::watch;

/// The most events one transaction takes.
pub(crate) const LARGEST_BATCH: usize = 256;

store::statements! {
    static REGISTER = both("insert into capabilities (name) values ($1) on conflict do nothing");
}

/// What an event came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It said something new: it is in the ledger, as this version of its account.
    News {
        /// The account's version after it.
        version: i64,
    },
    /// It was seen before, or says what was known already.
    Known,
}

/// Why events could not be applied. Nothing of the batch was.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too many at once.
    #[error("{count} events in one batch; at most {LARGEST_BATCH} are taken")]
    TooMany {
        /// How many there were.
        count: usize,
    },
}

impl LedgerError {
    /// Whether waiting may mend it: nothing must be acknowledged, and the same batch is tried again.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_outage())
    }
}

/// The ledger. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    pub(crate) store: Store,
    pub(crate) tombstones: Tombstones,
    pub(crate) consequences: Arc<[Arc<dyn Consequence>]>,
    turns: Turns,
}

impl Ledger {
    /// The ledger in that store, with the consequences this node can carry out.
    pub fn new(store: Store, tombstones: Tombstones, consequences: Vec<Arc<dyn Consequence>>) -> Self {
        Self { store, tombstones, consequences: consequences.into(), turns: Turns::default() }
    }

    /// The store it is in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The tombstones of deleted accounts.
    pub fn tombstones(&self) -> &Tombstones {
        &self.tombstones
    }

    /// Makes this node's capabilities known to all nodes: from then on every event has an effect for each, whichever
    /// node takes it in.
    pub async fn register_capabilities(&self) -> Result<(), StoreError> {
        for consequence in self.consequences.iter() {
            self.store.run(Register(consequence.capability())).await?;
        }
        Ok(())
    }

    /// Applies one event. When this returns, it is committed.
    pub async fn apply(&self, received: Received) -> Result<Applied, LedgerError> {
        let applied = self.apply_batch(vec![received]).await?;
        Ok(applied.first().copied().unwrap_or(Applied::Known))
    }

    /// Applies events in their order, in one transaction: all or none. When this returns, they are committed. Batches that
    /// are brought at once may share a transaction; one that cannot be applied does not keep the others from it.
    pub async fn apply_batch(&self, batch: Vec<Received>) -> Result<Vec<Applied>, LedgerError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        if batch.len() > LARGEST_BATCH {
            return Err(LedgerError::TooMany { count: batch.len() });
        }
        let batch = Arc::new(batch);
        loop {
            let turn = match self.turns.enter(&batch) {
                Entered::AtOnce(turn) => turn,
                Entered::Waits(told) => match told.await {
                    Ok(Told::Turn(turn)) => turn,
                    Ok(Told::Outcome(outcome)) => return Ok(outcome?),
                    // Whoever took it along is gone. If it was committed, its receipts tell the next one so.
                    Err(_) => continue,
                },
            };
            return Ok(self.apply_in_turn(turn, batch).await?);
        }
    }

    /// Applies a batch, and those that wait with it; tells those who brought them.
    async fn apply_in_turn(&self, turn: Turn, own: Arc<Vec<Received>>) -> Result<Vec<Applied>, StoreError> {
        let others = turn.take_along(LARGEST_BATCH - own.len());
        let batches: Vec<_> =
            std::iter::once(&own).chain(others.iter().map(|it| &it.batch)).map(Arc::clone).collect();
        match self.transaction(batches).await {
            Ok(mut applied) => {
                let mut rest = applied.split_off(own.len());
                for other in others {
                    let next = rest.split_off(other.batch.len());
                    other.tell(Ok(std::mem::replace(&mut rest, next)));
                }
                Ok(applied)
            }
            // Whose fault it is, is not known: each by itself.
            Err(error) if !error.is_outage() && !others.is_empty() => {
                for other in others {
                    let outcome = self.transaction(vec![Arc::clone(&other.batch)]).await;
                    other.tell(outcome);
                }
                self.transaction(vec![own]).await
            }
            Err(error) => {
                for other in others {
                    other.tell(Err(error.clone()));
                }
                Err(error)
            }
        }
    }

    /// One transaction for all of that; then whoever waits for events is signalled.
    async fn transaction(&self, batches: Vec<Arc<Vec<Received>>>) -> Result<Vec<Applied>, StoreError> {
        let in_trouble = InTrouble::default();
        let done = loop {
            let were_in_trouble = in_trouble.count();
            let operation = Apply {
                now: self.store.clock().now(),
                batches: batches.clone(),
                tombstones: self.tombstones.clone(),
                consequences: Arc::clone(&self.consequences),
                in_trouble: in_trouble.clone(),
            };
            // Boxed: with all that consequences do in it, it is more than callers' futures should hold.
            match Box::pin(self.store.run(operation)).await {
                // A consequence took it along: anew, with that one owed.
                Err(error) if !error.is_outage() && in_trouble.count() > were_in_trouble => {}
                done => break done?,
            }
        };
        if done.applied.iter().any(|applied| matches!(applied, Applied::News { .. })) {
            self.store.signals().send(appended_topic(self.store.engine()));
        }
        if done.left_over {
            self.store.signals().send(crate::effects::TOPIC);
        }
        Ok(done.applied)
    }
}

/// Changes as soon as events are committed, by this process or (on PostgreSQL) by another: before they have positions in
/// the feed. For workers that carry on what a consequence began.
pub fn committed(store: &Store) -> watch::Receiver<u64> {
    store.signals().listen(appended_topic(store.engine()))
}

fn appended_topic(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => crate::feed::TOPIC,
        Engine::Postgres => sequencer::TOPIC,
    }
}

struct Register(&'static str);

impl Operation for Register {
    const NAME: &'static str = "ledger.register";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        tx.execute(&REGISTER, &[self.0.into()]).await.map(drop)
    }
}

/// The transaction.
struct Apply {
    batches: Vec<Arc<Vec<Received>>>,
    now: Millis,
    tombstones: Tombstones,
    consequences: Arc<[Arc<dyn Consequence>]>,
    in_trouble: InTrouble,
}

struct Done {
    applied: Vec<Applied>,
    /// Whether an effect was left for the workers.
    left_over: bool,
}

impl Operation for Apply {
    const NAME: &'static str = "ledger.apply";
    /// Receipts tell a second run what the first one did.
    const RESOLVES_UNKNOWN: bool = true;
    type Output = Done;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Done, StoreError> {
        let accounts: Vec<AccountId> =
            self.received().map(|received| received.event.account.clone()).collect();
        tx.lock_accounts(&accounts).await?;
        let receipts: Vec<_> = self.received().map(Receipt::all_of).collect();
        let seen = receipts::seen(tx, &receipts).await?;
        let before = self.load(tx, &accounts).await?;
        let folded = self.fold(&receipts, &seen, before.clone());
        if !folded.ahead.is_empty() {
            let ahead = folded.ahead.clone();
            tx.after_commit(move || warn_of_wrong_clocks(&ahead));
        }
        let numbers = append::append(tx, &folded.news, &folded.sources, self.now).await?;
        self.save(tx, &before, &folded, &numbers).await?;
        receipts::receive(tx, &receipts, self.now).await?;
        let left_over =
            owe::carry_out_or_owe(tx, &self.consequences, &folded.news, &numbers, &self.in_trouble, self.now)
                .await?;
        Ok(Done { applied: folded.applied, left_over })
    }
}

/// What the batch comes to, before anything is written.
struct Folded<'a> {
    accounts: BTreeMap<AccountId, Account>,
    applied: Vec<Applied>,
    news: Vec<News>,
    /// Where each of the news came from.
    sources: Vec<&'a SourceId>,
    /// Those who claim to be from the future.
    ahead: Vec<(SourceId, EventKind)>,
}

impl Apply {
    /// The events, in their order.
    fn received(&self) -> impl Iterator<Item = &Received> {
        self.batches.iter().flat_map(|batch| batch.iter())
    }

    /// The accounts as they are. One that is not there may have been deleted and forgotten: then its tombstone
    /// speaks for it.
    async fn load(
        &self,
        tx: &mut Tx<'_>,
        accounts: &[AccountId],
    ) -> Result<BTreeMap<AccountId, Account>, StoreError> {
        let mut loaded: BTreeMap<_, _> = accounts::load(tx, accounts).await?.into_iter().collect();
        let missing: Vec<&AccountId> =
            accounts.iter().filter(|account| !loaded.contains_key(*account)).collect();
        for (at, deleted_at) in self.tombstones.among(tx, &missing).await? {
            if let Some(account) = missing.get(at) {
                loaded.insert((*account).clone(), Account::deleted(deleted_at));
            }
        }
        Ok(loaded)
    }

    fn fold<'a>(
        &'a self,
        receipts: &[Vec<Receipt>],
        seen: &HashSet<usize>,
        mut accounts: BTreeMap<AccountId, Account>,
    ) -> Folded<'a> {
        let mut here: HashSet<&Receipt> = HashSet::new();
        let (mut applied, mut news, mut sources, mut ahead) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (at, received) in self.received().enumerate() {
            let first_here = receipts[at].iter().all(|receipt| here.insert(receipt));
            if seen.contains(&at) || !first_here {
                applied.push(Applied::Known);
                continue;
            }
            if let (_, true) = rules::change_time(&received.event, self.now) {
                ahead.push((received.source.clone(), received.event.change.kind()));
            }
            let account = accounts.entry(received.event.account.clone()).or_default();
            applied.push(match rules::apply(account, &received.event, received.source.speaker(), self.now) {
                Verdict::Known => Applied::Known,
                Verdict::News { at } => {
                    news.push(News {
                        account: received.event.account.clone(),
                        version: account.version,
                        at,
                        change: received.event.change.clone(),
                        mark: account.mark,
                        state: account.state().state,
                    });
                    sources.push(&received.source);
                    Applied::News { version: account.version }
                }
            });
        }
        Folded { accounts, applied, news, sources, ahead }
    }

    async fn save(
        &self,
        tx: &mut Tx<'_>,
        before: &BTreeMap<AccountId, Account>,
        after: &Folded<'_>,
        numbers: &[Option<i64>],
    ) -> Result<(), StoreError> {
        // Of several events the last one is the latest.
        let latest: HashMap<_, _> = after.news.iter().map(|it| &it.account).zip(numbers).collect();
        let changed = after.accounts.iter().filter(|(id, account)| before.get(*id) != Some(*account));
        let changed: Vec<_> = changed
            .map(|(id, account)| Changed {
                id,
                account,
                latest_event: latest.get(id).copied().copied().flatten(),
            })
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        accounts::save(tx, &changed, self.now).await?;
        let nobody = Account::default();
        let deleted: Vec<_> = changed
            .iter()
            .filter(|it| rules::deletes(before.get(it.id).unwrap_or(&nobody), it.account))
            .map(|it| (it.id.clone(), it.account.mark))
            .collect();
        self.tombstones.bury(tx, &deleted).await
    }
}

fn warn_of_wrong_clocks(ahead: &[(SourceId, EventKind)]) {
    for (source, kind) in ahead {
        tracing::warn!(
            source = source.as_str(),
            kind = kind.as_str(),
            "an event claims to be from the future; it counts from its receipt"
        );
        metrics::counter!("ledger.future_events").increment(1);
    }
}
