//! The broker put together, and what it hands the binary.

use crate::access_tokens::AccessTokens;
use crate::capability_list::{Source, refresh};
use crate::clients::Clients;
use crate::consequence::{CAPABILITY, WriteDeliveries};
use crate::handover::Handover;
use crate::lanes::Lanes;
use crate::registrations::{self, Registration};
use crate::settings::{InvalidSettings, Settings, days};
use crate::signer::Signer;
use crate::snapshot::Snapshots;
use crate::store::retention::Reached;
use crate::store::{MIGRATIONS, signing_keys};
use crate::token::Issuers;
use crate::{http, worker};
use account::{IdpId, Millis};
use aws_lc_rs::hmac;
use keys::{Purpose, RootKey};
use ledger::{Capability, Role, Tombstones, Worker};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use store::Store;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use work::{Lifecycle, Pace, Tick, work_through};

/// The broker of one process. Cheap to clone.
#[derive(Clone)]
pub struct Broker(pub(crate) Arc<Inner>);

/// Everything that its parts share.
pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) tombstones: Tombstones,
    pub(crate) snapshots: Snapshots,
    /// The relying parties of files.
    pub(crate) files: Arc<[Registration]>,
    pub(crate) signer: Signer,
    pub(crate) issuers: Issuers,
    pub(crate) token_key: hmac::Key,
    /// Where we are reached from outside, without a slash at its end.
    pub(crate) base_url: String,
    /// Cancelled at the soft stop: whoever waits for something to tell goes empty-handed.
    pub(crate) stopping: CancellationToken,
    pub(crate) clients: Clients,
    pub(crate) access_tokens: AccessTokens,
    pub(crate) capability_list: Option<Arc<Source>>,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) handover: Arc<Handover>,
    /// How far the attempts in the rows of deliveries are forgotten; from the beginning after a restart.
    pub(crate) attempts_forgotten: Mutex<Reached>,
    /// Notified when a lane that may have a backlog has room again.
    pub(crate) room: Notify,
    /// This process, as claims name it.
    pub(crate) owner: Arc<str>,
    makes_deliveries: AtomicBool,
}

impl Inner {
    pub(crate) fn now(&self) -> Millis {
        self.store.clock().now()
    }

    /// Whether this process has made deliveries itself: then it hears of them by the hand-over.
    pub(crate) fn makes_deliveries(&self) -> bool {
        self.makes_deliveries.load(Ordering::Relaxed)
    }
}

impl Broker {
    /// A broker on that store. `issuers` says which issuer speaks for the accounts of each identity provider; what waits
    /// for something to tell ends with `life`.
    pub fn new(
        settings: Settings,
        store: Store,
        root: &RootKey,
        tombstones: Tombstones,
        issuers: BTreeMap<IdpId, String>,
        life: &Lifecycle,
    ) -> Result<Self, InvalidSettings> {
        settings.check()?;
        let signer = Signer::new(store.clone(), root, &settings.signing_keys)?;
        let files = registrations::read(&settings.relying_parties)?;
        Ok(Self(Arc::new(Inner {
            snapshots: Snapshots::new(root.cipher(Purpose::RpSecrets), &files),
            files: files.into(),
            issuers: Issuers { own: settings.issuer.clone(), of_accounts: issuers },
            token_key: root.hmac_key(Purpose::RpTokens),
            base_url: settings.base_url()?,
            stopping: life.stopping(),
            clients: Clients::new().map_err(|error| InvalidSettings::new("clients", error.to_string()))?,
            access_tokens: AccessTokens::default(),
            capability_list: settings.capability_list.as_ref().map(Source::new).transpose()?.map(Arc::new),
            lanes: Arc::default(),
            handover: Arc::default(),
            attempts_forgotten: Mutex::new((Millis::ZERO, 0)),
            room: Notify::new(),
            owner: Uuid::new_v4().to_string().into(),
            makes_deliveries: AtomicBool::new(false),
            settings,
            store,
            tombstones,
            signer,
        })))
    }

    /// The keys it signs with.
    pub fn signer(&self) -> &Signer {
        &self.0.signer
    }

    /// The `iss` of what it signs.
    pub fn issuer(&self) -> &str {
        &self.0.settings.issuer
    }

    /// What account events mean here.
    pub fn consequence(&self) -> WriteDeliveries {
        let inner = &self.0;
        inner.makes_deliveries.store(true, Ordering::Relaxed);
        WriteDeliveries {
            snapshots: inner.snapshots.clone(),
            tombstones: inner.tombstones.clone(),
            clock: inner.store.clock().clone(),
            owner: Arc::clone(&inner.owner),
            lanes: Arc::clone(&inner.lanes),
            handover: Arc::clone(&inner.handover),
        }
    }

    /// What it hands the binary.
    pub fn capability(&self) -> Capability {
        Capability {
            name: CAPABILITY,
            public: http::public_routes(&self.0),
            admin: http::admin_routes(&self.0),
            migrations: MIGRATIONS,
            consequence: Some(Arc::new(self.consequence())),
            workers: self.workers(),
            ..Capability::default()
        }
    }

    fn workers(&self) -> Vec<Worker> {
        let workers =
            [self.keys_worker(), self.delivery_worker(), self.sweep_worker(), self.measure_worker()];
        workers.into_iter().chain(self.registrations_worker()).chain(self.capability_list_worker()).collect()
    }

    /// Makes the registry say what files say, once, where files are named. A configuration that names none lets nobody
    /// go: it may be that of a node which knows nothing of relying parties.
    fn registrations_worker(&self) -> Option<Worker> {
        let inner = Arc::clone(&self.0);
        let named = !inner.settings.relying_parties.is_empty();
        named.then(|| Worker::new("broker.registrations", None, move |stop| registrations::run(inner, stop)))
    }

    /// Fetches the list of capabilities, where there is one.
    fn capability_list_worker(&self) -> Option<Worker> {
        let source = Arc::clone(self.0.capability_list.as_ref()?);
        let inner = Arc::clone(&self.0);
        Some(Worker::new("broker.capability_list", Some(Role::Deliver), move |stop| {
            let (never, pace) = (watch::channel(0).1, Pace::every(source.interval));
            work_through(stop, never, pace, move || refresh(Arc::clone(&inner), Arc::clone(&source)))
        }))
    }

    /// Claims, sends and settles.
    fn delivery_worker(&self) -> Worker {
        let inner = Arc::clone(&self.0);
        Worker::new("broker.deliver", Some(Role::Deliver), move |stop| worker::run(inner, stop))
    }

    /// Gives up, discards and drops by the clock.
    fn sweep_worker(&self) -> Worker {
        self.by_the_clock("broker.sweep", Duration::from_mins(1), worker::sweep)
    }

    fn measure_worker(&self) -> Worker {
        self.by_the_clock("broker.measure", Duration::from_secs(15), worker::measure)
    }

    fn by_the_clock<F: Future<Output = Tick> + Send + 'static>(
        &self,
        name: &'static str,
        pace: Duration,
        turn: fn(Arc<Inner>) -> F,
    ) -> Worker {
        let inner = Arc::clone(&self.0);
        Worker::new(name, Some(Role::Deliver), move |stop| {
            let never = watch::channel(0).1;
            work_through(stop, never, Pace::every(pace), move || turn(Arc::clone(&inner)))
        })
    }

    /// Keeps the signing keys: makes what is missing, learns of rotations, drops what retired long ago. Wherever the
    /// keys are published they must be known.
    fn keys_worker(&self) -> Worker {
        let inner = Arc::clone(&self.0);
        let run = async move |stop: CancellationToken| {
            let wake = inner.store.signals().listen(signing_keys::TOPIC);
            work_through(stop, wake, Pace::every(Duration::from_secs(30)), move || {
                keep_keys(Arc::clone(&inner))
            })
            .await;
        };
        Worker::new("broker.keys", None, run)
    }
}

async fn keep_keys(inner: Arc<Inner>) -> Tick {
    let kept = async {
        inner.signer.ensure().await?;
        inner.signer.drop_retired(days(inner.settings.retired_keys_days)).await
    };
    match kept.await {
        Ok(()) => Tick::Idle,
        Err(error) => {
            tracing::warn!(%error, "the signing keys cannot be looked after");
            Tick::Failed
        }
    }
}
