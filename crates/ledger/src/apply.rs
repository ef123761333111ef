use crate::consequence::{Consequence, News};
use crate::rules::{self, Account, Verdict};
use crate::tombstones::{Tombstones, json};
use crate::{owe, sequencer};
use account::{AccountEvent, AccountId, Change, IdpId, Mark, Millis, State, StateAt, Subject};
use aws_lc_rs::digest;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;
use store::{Engine, Operation, Store, StoreError, Tx};
use tokio::sync::watch;

/// The most events one transaction takes.
pub(crate) const LARGEST_BATCH: usize = 256;
/// The source under which a change is remembered by what it says, whichever source told of it.
const MEANING: &str = "=meaning";

store::statements! {
    static REGISTER = both("insert into capabilities (name) values ($1) on conflict do nothing");
    // Row by row, by the index. A plain join would be planned for the empty table of a fresh PostgreSQL, as a scan, and
    // that plan stays in a connection's cache while the table grows.
    pub(crate) static SEEN = both(
        "select r.at from {rows $1: at bigint, source text, message_id text} as r
         where (select 1 from receipts x where x.source = r.source and x.message_id = r.message_id limit 1) = 1");
    pub(crate) static LOAD = per_engine {
        sqlite:
            "select a.idp, a.subject, a.version, a.mark, a.credential_at, a.state, a.state_at
             from {rows $1: idp text, subject text} as r
             join accounts a on a.idp = r.idp and a.subject = r.subject",
        postgres:
            "select a.idp, a.subject, a.version, a.mark, a.credential_at, a.state, a.state_at
             from {rows $1: idp text, subject text} as r cross join lateral
               (select * from accounts x where x.idp = r.idp and x.subject = r.subject limit 1) as a",
    };
    static SAVE = both(
        "insert into accounts (idp, subject, version, mark, credential_at, state, state_at, first_seen_at, updated_at)
         select r.idp, r.subject, r.version, r.mark, r.credential_at, r.state, r.state_at, $2, $2
         from {rows $1: idp text, subject text, version bigint, mark bigint, credential_at bigint, state smallint,
               state_at bigint} as r where true
         on conflict (idp, subject) do update set
           version = excluded.version, mark = excluded.mark, credential_at = excluded.credential_at,
           state = excluded.state, state_at = excluded.state_at, updated_at = excluded.updated_at");
    static APPEND = both(
        "insert into events (idp, subject, version, kind, at, received_at, source, change, mark, state)
         select r.idp, r.subject, r.version, r.kind, r.at, $2, r.source, r.change, r.mark, r.state
         from {rows $1: idp text, subject text, version bigint, kind text, at bigint, source text, change text,
               mark bigint, state smallint} as r");
    static RECEIVE = both(
        "insert into receipts (source, message_id, received_at)
         select r.source, r.message_id, $2 from {rows $1: source text, message_id text} as r where true
         on conflict do nothing");
}

/// The name of a source of events, as configured.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SourceId(Arc<str>);

impl SourceId {
    /// A source's name; what is beyond 64 bytes is cut off.
    pub fn new(name: &str) -> Self {
        let cut = (0..=name.len().min(64)).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
        Self(Arc::from(&name[..cut]))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One event as it came in.
#[derive(Clone, Debug)]
pub struct Received {
    /// Where from.
    pub source: SourceId,
    /// What the source calls the message: the same message is applied once, however often it comes.
    pub message_id: String,
    /// What it says.
    pub event: AccountEvent,
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
}

impl Ledger {
    /// The ledger in that store, with the consequences this node can carry out.
    pub fn new(store: Store, tombstones: Tombstones, consequences: Vec<Arc<dyn Consequence>>) -> Self {
        Self { store, tombstones, consequences: consequences.into() }
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

    /// Applies events in their order, in one transaction: all or none. When this returns, they are committed.
    pub async fn apply_batch(&self, batch: Vec<Received>) -> Result<Vec<Applied>, LedgerError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        if batch.len() > LARGEST_BATCH {
            return Err(LedgerError::TooMany { count: batch.len() });
        }
        let operation = Apply {
            now: self.store.clock().now(),
            batch,
            tombstones: self.tombstones.clone(),
            consequences: Arc::clone(&self.consequences),
        };
        let done = self.store.run(operation).await?;
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
    batch: Vec<Received>,
    now: Millis,
    tombstones: Tombstones,
    consequences: Arc<[Arc<dyn Consequence>]>,
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
            self.batch.iter().map(|received| received.event.account.clone()).collect();
        tx.lock_accounts(&accounts).await?;
        let receipts: Vec<_> = self.batch.iter().map(receipts_of).collect();
        let seen = self.seen(tx, &receipts).await?;
        let before = self.load(tx, &accounts).await?;
        let folded = self.fold(&receipts, &seen, before.clone());
        self.save(tx, &before, &folded.accounts).await?;
        self.append(tx, &folded).await?;
        self.receive(tx, &receipts).await?;
        let left_over = owe::carry_out_or_owe(tx, &self.consequences, &folded.news, self.now).await?;
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
}

/// Under which names an event is remembered.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
struct Receipt {
    source: Arc<str>,
    message_id: String,
}

impl Apply {
    /// Which of the batch were seen before.
    async fn seen(&self, tx: &mut Tx<'_>, receipts: &[Vec<Receipt>]) -> Result<HashSet<usize>, StoreError> {
        #[derive(Serialize)]
        struct Asked<'a> {
            at: usize,
            #[serde(flatten)]
            receipt: &'a Receipt,
        }
        let asked = receipts
            .iter()
            .enumerate()
            .flat_map(|(at, names)| names.iter().map(move |receipt| Asked { at, receipt }));
        let rows = tx.query(&SEEN, &[(&json(asked)).into()], |row| row.int(0)).await?;
        Ok(rows.into_iter().filter_map(|at| usize::try_from(at).ok()).collect())
    }

    /// The accounts as they are. One that is not there may have been deleted and forgotten: then its tombstone
    /// speaks for it.
    async fn load(
        &self,
        tx: &mut Tx<'_>,
        accounts: &[AccountId],
    ) -> Result<BTreeMap<AccountId, Account>, StoreError> {
        let mut loaded: BTreeMap<_, _> = load_accounts(tx, accounts).await?.into_iter().collect();
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
        let (mut applied, mut news, mut sources) = (Vec::new(), Vec::new(), Vec::new());
        for (at, received) in self.batch.iter().enumerate() {
            let first_here = receipts[at].iter().all(|receipt| here.insert(receipt));
            if seen.contains(&at) || !first_here {
                applied.push(Applied::Known);
                continue;
            }
            warn_of_a_wrong_clock(received, self.now);
            let account = accounts.entry(received.event.account.clone()).or_default();
            applied.push(match rules::apply(account, &received.event, self.now) {
                Verdict::Known => Applied::Known,
                Verdict::News { at } => {
                    news.push(News {
                        account: received.event.account.clone(),
                        version: account.version,
                        at,
                        change: received.event.change.clone(),
                        mark: account.mark,
                        state: account.state.state,
                    });
                    sources.push(&received.source);
                    Applied::News { version: account.version }
                }
            });
        }
        Folded { accounts, applied, news, sources }
    }

    async fn save(
        &self,
        tx: &mut Tx<'_>,
        before: &BTreeMap<AccountId, Account>,
        after: &BTreeMap<AccountId, Account>,
    ) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            idp: &'a str,
            subject: &'a str,
            version: i64,
            mark: i64,
            credential_at: i64,
            state: i64,
            state_at: i64,
        }
        let changed: Vec<_> =
            after.iter().filter(|(id, account)| before.get(*id) != Some(*account)).collect();
        if changed.is_empty() {
            return Ok(());
        }
        let rows = changed.iter().map(|(id, account)| Row {
            idp: id.idp.as_str(),
            subject: id.subject.as_str(),
            version: account.version,
            mark: account.mark.get(),
            credential_at: account.credential_at.get(),
            state: account.state.state.code(),
            state_at: account.state.at.get(),
        });
        tx.execute(&SAVE, &[(&json(rows)).into(), self.now.into()]).await?;
        let nobody = Account::default();
        let deleted: Vec<_> = changed
            .iter()
            .filter(|(id, account)| rules::deletes(before.get(*id).unwrap_or(&nobody), account))
            .map(|(id, account)| ((*id).clone(), account.mark))
            .collect();
        self.tombstones.bury(tx, &deleted).await
    }

    async fn append(&self, tx: &mut Tx<'_>, folded: &Folded<'_>) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            idp: &'a str,
            subject: &'a str,
            version: i64,
            kind: &'static str,
            at: i64,
            source: &'a str,
            change: String,
            mark: i64,
            state: i64,
        }
        if folded.news.is_empty() {
            return Ok(());
        }
        let rows = folded.news.iter().zip(&folded.sources).map(|(news, source)| Row {
            idp: news.account.idp.as_str(),
            subject: news.account.subject.as_str(),
            version: news.version,
            kind: news.change.kind().as_str(),
            at: news.at.get(),
            source: source.as_str(),
            change: serde_json::to_string(&news.change).expect("a change always serialises"),
            mark: news.mark.get(),
            state: news.state.code(),
        });
        tx.execute(&APPEND, &[(&json(rows)).into(), self.now.into()]).await.map(drop)
    }

    async fn receive(&self, tx: &mut Tx<'_>, receipts: &[Vec<Receipt>]) -> Result<(), StoreError> {
        tx.execute(&RECEIVE, &[(&json(receipts.iter().flatten())).into(), self.now.into()]).await.map(drop)
    }
}

/// Reads accounts that are there.
pub(crate) async fn load_accounts(
    tx: &mut Tx<'_>,
    accounts: &[AccountId],
) -> Result<Vec<(AccountId, Account)>, StoreError> {
    let asked: HashSet<&AccountId> = accounts.iter().collect();
    tx.query(&LOAD, &[(&json(asked.into_iter())).into()], |row| {
        let invalid = |_| StoreError::Statement { reason: "an account's id in the store is invalid".into() };
        let id = AccountId::new(
            IdpId::new(row.text(0)?).map_err(invalid)?,
            Subject::new(row.text(1)?).map_err(invalid)?,
        );
        let account = Account {
            version: row.int(2)?,
            mark: Mark::at(Millis::new(row.int(3)?)),
            credential_at: Millis::new(row.int(4)?),
            state: StateAt { state: State::from_code(row.int(5)?), at: Millis::new(row.int(6)?) },
        };
        Ok((id, account))
    })
    .await
}

/// The names an event is remembered under: its message, and for a subscription change also what it says, because
/// nothing in the account tells a repeated one from a new one. Without a change time only the message can: active,
/// inactive and active again would be taken for one.
fn receipts_of(received: &Received) -> Vec<Receipt> {
    let message =
        Receipt { source: Arc::clone(&received.source.0), message_id: bounded(&received.message_id) };
    match &received.event.change {
        Change::SubscriptionChange(subscription) if received.event.at.is_some() => {
            let meaning = serde_json::to_string(&(&received.event.account, received.event.at, subscription));
            let meaning = hash(meaning.expect("a subscription always serialises").as_bytes());
            vec![message, Receipt { source: Arc::from(MEANING), message_id: meaning }]
        }
        _ => vec![message],
    }
}

/// A message id that any store can hold; two that differ stay different.
pub(crate) fn bounded(message_id: &str) -> String {
    if message_id.len() <= 200 && !message_id.chars().any(char::is_control) {
        message_id.to_owned()
    } else {
        hash(message_id.as_bytes())
    }
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

fn warn_of_a_wrong_clock(received: &Received, now: Millis) {
    if let (_, true) = rules::change_time(&received.event, now) {
        tracing::warn!(
            source = received.source.as_str(),
            kind = received.event.change.kind().as_str(),
            "an event claims to be from the future; it counts from its receipt"
        );
        metrics::counter!("ledger.future_events").increment(1);
    }
}
