//! The sessions of one process put together, and what they hand the binary.

use crate::consequence::{CAPABILITY, EndLogins};
use crate::journal::Journal;
use crate::lanes::{Lane, Lanes};
use crate::rules::Chance;
use crate::store::claim::ForgetOthers;
use crate::store::{MIGRATIONS, changes};
use crate::touches::Touches;
use crate::upstream::Upstream;
use crate::worker::{self, BEAT};
use crate::{InvalidSettings, Settings, feed, http, touches};
use account::Millis;
use arc_swap::ArcSwap;
use aws_lc_rs::hmac;
use keys::{DataKeys, Purpose, RootKey, data_keys};
use ledger::{Capability, Role, Tombstones, Worker};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use store::{Engine, LeaseHolder, Store};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use work::{Lifecycle, Pace, Tick, work_through};

/// The sessions of one process. Cheap to clone.
#[derive(Clone)]
pub struct Sessions(pub(crate) Arc<Inner>);

/// Everything that their parts share.
pub(crate) struct Inner {
    settings: Arc<ArcSwap<Settings>>,
    pub(crate) store: Store,
    pub(crate) tombstones: Tombstones,
    /// What tokens are sealed with.
    pub(crate) keys: DataKeys,
    /// What codes are hashed with.
    pub(crate) codes: hmac::Key,
    pub(crate) upstream: Arc<dyn Upstream>,
    pub(crate) lanes: Lanes,
    pub(crate) touches: Touches,
    /// Where outcomes are kept while the store cannot take them.
    pub(crate) journal: Option<Journal>,
    /// From which grant on those that wait are due anew, while timing was changed and not carried over.
    pub(crate) respread_from: Mutex<Option<String>>,
    pub(crate) leases: LeaseHolder,
    pub(crate) life: Lifecycle,
    /// This process, as claims name it.
    pub(crate) owner: Arc<str>,
    /// The grants that this process has claimed.
    pub(crate) under_way: Mutex<HashSet<String>>,
    /// Notified when there is room for more.
    pub(crate) room: Notify,
    /// Until when others believe that this process is alive.
    alive_until: AtomicI64,
    ready: AtomicBool,
}

impl Inner {
    /// As they are now: they may change while the process runs.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    pub(crate) fn now(&self) -> Millis {
        self.store.clock().now()
    }

    /// Whether it may claim anything, for whomever: others believe that it is alive, it has its keys, and nothing lies in its
    /// journal that the store does not have.
    pub(crate) fn may_claim(&self) -> bool {
        self.ready.load(Ordering::Acquire)
            && self.is_alive()
            && self.journal.as_ref().is_none_or(Journal::is_drained)
    }

    /// Whether others believe that this process is alive: only then may it present anything.
    pub(crate) fn is_alive(&self) -> bool {
        self.now().get() < self.alive_until.load(Ordering::Acquire)
    }

    pub(crate) fn believed_until(&self, until: Millis) {
        self.alive_until.store(until.get(), Ordering::Release);
    }

    /// Waits until there is a key, and until, on a file, those who had it before are forgotten.
    pub(crate) async fn until_ready(&self) {
        while !self.ready.load(Ordering::Acquire) {
            match self.make_ready().await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(%error, "sessions cannot be refreshed yet");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
        }
    }

    /// Reads or makes the key. On SQLite, whose file has one owner, whatever was under way before is nobody's.
    pub(crate) async fn make_ready(&self) -> Result<(), store::StoreError> {
        self.keys.ensure().await?;
        if self.store.engine() == Engine::Sqlite {
            self.store.run(ForgetOthers(self.owner.to_string())).await?;
        }
        self.catch_up().await
    }

    /// Settles what is in the journal; from then on it may claim.
    pub(crate) async fn catch_up(&self) -> Result<(), store::StoreError> {
        self.drain_journal().await?;
        self.ready.store(true, Ordering::Release);
        Ok(())
    }

    /// Seals, however long it takes until there is a key.
    pub(crate) async fn seal_surely(&self, record: &str, plain: &[u8]) -> String {
        loop {
            match self.keys.seal(record, plain) {
                Ok(sealed) => return sealed,
                Err(error) => tracing::error!(%error, "refreshed tokens cannot be sealed yet"),
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            drop(self.keys.ensure().await);
        }
    }
}

/// A number that was drawn.
pub(crate) fn chance() -> Chance {
    let mut random = [0; 2];
    getrandom::fill(&mut random).expect("the system gives random bytes");
    Chance::of(u16::from_ne_bytes(random))
}

impl Sessions {
    /// The sessions in that store. What is begun for somebody who waits lives with `life`.
    pub fn new(
        settings: Settings,
        store: Store,
        root: &RootKey,
        tombstones: Tombstones,
        upstream: Arc<dyn Upstream>,
        life: &Lifecycle,
    ) -> Result<Self, InvalidSettings> {
        settings.check()?;
        let owner: Arc<str> = Uuid::new_v4().to_string().into();
        Ok(Self(Arc::new(Inner {
            lanes: Lanes::new(&upstream),
            journal: settings.state_folder.clone().map(Journal::in_folder),
            respread_from: Mutex::default(),
            keys: DataKeys::new(store.clone(), root, "tokens"),
            codes: root.hmac_key(Purpose::SessionCodes),
            leases: LeaseHolder::new(store.clone(), &*owner),
            touches: Touches::default(),
            life: life.clone(),
            under_way: Mutex::default(),
            room: Notify::new(),
            alive_until: AtomicI64::new(0),
            ready: AtomicBool::new(false),
            owner,
            settings: Arc::new(ArcSwap::from_pointee(settings)),
            store,
            tombstones,
            upstream,
        })))
    }

    /// Goes by other settings from now on. Changed timing is carried over to grants that wait, in the background.
    ///
    /// # Errors
    /// When they cannot work: then nothing changes.
    pub fn change(&self, settings: Settings) -> Result<(), InvalidSettings> {
        settings.check()?;
        let had = self.0.settings.swap(Arc::new(settings));
        if had.times_otherwise(&self.0.settings()) {
            *self.0.respread_from.lock() = Some(String::new());
            self.0.store.signals().send(worker::TIMING);
        }
        self.0.room.notify_one();
        Ok(())
    }

    /// What account events mean here.
    pub fn consequence(&self) -> EndLogins {
        EndLogins { settings: Arc::clone(&self.0.settings), store: self.0.store.clone() }
    }

    /// What they hand the binary.
    pub fn capability(&self) -> Capability {
        Capability {
            name: CAPABILITY,
            public: http::public_routes(&self.0),
            service: http::service_routes(&self.0),
            admin: http::admin_routes(&self.0),
            migrations: MIGRATIONS,
            consequence: Some(Arc::new(self.consequence())),
            workers: self.workers(),
        }
    }

    fn workers(&self) -> Vec<Worker> {
        let inner = Arc::clone(&self.0);
        let refresh =
            Worker::new("sessions.refresh", Some(Role::Refresh), move |stop| worker::run(inner, stop));
        let sequencer = Arc::clone(&self.0);
        let changes = Worker::new("sessions.changes", None, async move |stop: CancellationToken| {
            let wake = sequencer.store.signals().listen(changes::APPENDED);
            let pace = Pace::every(Duration::from_millis(500));
            work_through(stop, wake, pace, move || feed::place(Arc::clone(&sequencer))).await;
        });
        let revocations = Arc::clone(&self.0);
        let revoke =
            Worker::new("sessions.revoke", Some(Role::Refresh), async move |stop: CancellationToken| {
                stop.run_until_cancelled(revocations.until_ready()).await;
                let wake = revocations.store.signals().listen(worker::REVOCATIONS);
                let pace = Pace::every(Duration::from_secs(5));
                work_through(stop, wake, pace, move || worker::revoke(Arc::clone(&revocations))).await;
            });
        let waiting = Arc::clone(&self.0);
        let respread =
            Worker::new("sessions.timing", Some(Role::Refresh), async move |stop: CancellationToken| {
                let wake = waiting.store.signals().listen(worker::TIMING);
                let pace = Pace::every(Duration::from_secs(5));
                work_through(stop, wake, pace, move || worker::respread(Arc::clone(&waiting))).await;
            });
        let mut all = vec![
            refresh,
            respread,
            changes,
            revoke,
            self.by_the_clock("sessions.beat", BEAT, worker::beat),
            self.by_the_clock("sessions.reap", Duration::from_secs(1), worker::reap),
            self.by_the_clock("sessions.sweep", Duration::from_secs(5), worker::sweep),
            self.by_the_clock("sessions.id_tokens", Duration::from_secs(5), worker::verify),
            self.by_the_clock("sessions.measure", Duration::from_secs(5), worker::measure),
            self.by_the_clock("sessions.touches", Duration::from_secs(5), touches::flush),
            self.keys_worker(),
        ];
        all.extend(self.0.lanes.iter().map(|lane| self.users_worker(lane)));
        all
    }

    /// Looks at the users of one identity provider: one that is slow delays no other.
    fn users_worker(&self, lane: &Arc<Lane>) -> Worker {
        let (inner, lane) = (Arc::clone(&self.0), Arc::clone(lane));
        Worker::new("sessions.users", Some(Role::Refresh), async move |stop: CancellationToken| {
            stop.run_until_cancelled(inner.until_ready()).await;
            let wake = inner.store.signals().listen(worker::USERS);
            work_through(stop, wake, Pace::every(Duration::from_secs(1)), move || {
                worker::look(Arc::clone(&inner), Arc::clone(&lane))
            })
            .await;
        })
    }

    fn by_the_clock<F: Future<Output = Tick> + Send + 'static>(
        &self,
        name: &'static str,
        pace: Duration,
        turn: fn(Arc<Inner>) -> F,
    ) -> Worker {
        let inner = Arc::clone(&self.0);
        Worker::new(name, Some(Role::Refresh), move |stop| {
            let never = watch::channel(0).1;
            work_through(stop, never, Pace::every(pace), move || turn(Arc::clone(&inner)))
        })
    }

    /// Learns of rotations.
    fn keys_worker(&self) -> Worker {
        let inner = Arc::clone(&self.0);
        Worker::new("sessions.keys", Some(Role::Refresh), async move |stop: CancellationToken| {
            let wake = inner.store.signals().listen(data_keys::TOPIC);
            work_through(stop, wake, Pace::every(Duration::from_secs(30)), move || {
                let inner = Arc::clone(&inner);
                async move { inner.keys.ensure().await.map_or(Tick::Failed, |()| Tick::Idle) }
            })
            .await;
        })
    }
}
