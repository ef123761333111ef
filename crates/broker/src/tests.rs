//! The broker as a whole: events go in through the ledger, a real receiver on a real socket gets what comes out.

mod api;
mod authorizing;
mod certificates;
mod claiming;
mod conforming;
mod crash;
mod delivering;
mod describing;
mod failing;
mod invariant;
mod isolation;
mod latency;
mod listening;
mod measuring;
mod mending;
mod odd_input;
mod operating;
mod polling;
mod receiver;
mod receivers;
mod registered;
mod samples;
mod served;
mod simulating;
mod streaming;
mod trying;

use crate::capability::Inner;
use crate::store::registry::AddRp;
use crate::store::search::{Filter, ListDeliveries};
use crate::worker::run_to_quiescence;
use crate::{
    Broker, ClientId, Config, DeliveryView, MIGRATIONS, RelyingParty, RetryPolicy, Secrets, Settings, Status,
};
use account::{AccountEvent, AccountId, Change, IdpId, Login, Millis, Subject};
use keys::RootKey;
use ledger::{Consequence, Ledger, Received, SourceId, Tombstones};
use receiver::Receiver;
use std::sync::Arc;
use std::time::Duration;
use store::testing::{TestStore, engines, sqlite};
use store::{Clock, Store};
use work::Lifecycle;

const TABLES: &[&[store::Migration]] = &[ledger::MIGRATIONS, MIGRATIONS];
const ISSUER: &str = "https://accounts.example";

/// A ledger and a broker on a store.
struct House {
    store: Store,
    clock: Clock,
    ledger: Ledger,
    broker: Broker,
    /// Keeps the store's files, and knows how to open it again.
    test: Option<TestStore>,
}

fn settings() -> Settings {
    Settings { issuer: ISSUER.into(), ..Settings::default() }
}

fn client(name: &str) -> ClientId {
    ClientId::new(name).expect("valid")
}

fn account(name: &str) -> AccountId {
    AccountId::new(IdpId::new("main").expect("valid"), Subject::new(name).expect("valid"))
}

impl House {
    async fn on_each_engine() -> [Self; 2] {
        let [sqlite, postgres] = engines(TABLES).await;
        [Self::over(sqlite).await, Self::over(postgres).await]
    }

    async fn new() -> Self {
        Self::over(sqlite(TABLES).await).await
    }

    async fn over(test: TestStore) -> Self {
        Self::over_with(test, settings()).await
    }

    async fn over_with(test: TestStore, settings: Settings) -> Self {
        let (store, clock) = (test.store.clone(), test.clock.clone());
        let mut house = Self::with(settings, store, clock, &RootKey::generate());
        house.broker.0.signer.ensure().await.expect("the store answers");
        house.ledger.register_capabilities().await.expect("the store answers");
        house.test = Some(test);
        house
    }

    fn on(store: Store, clock: Clock, root: &RootKey) -> Self {
        Self::with(settings(), store, clock, root)
    }

    fn with(settings: Settings, store: Store, clock: Clock, root: &RootKey) -> Self {
        let tombstones = Tombstones::new(root, Duration::ZERO);
        let issuers = [(IdpId::new("main").expect("valid"), "https://idp.example".to_owned())].into();
        let broker =
            Broker::new(settings, store.clone(), root, tombstones.clone(), issuers, &Lifecycle::new());
        let broker = broker.expect("settings that work");
        let consequence: Arc<dyn Consequence> = Arc::new(broker.consequence());
        let ledger = Ledger::new(store.clone(), tombstones, vec![consequence]);
        Self { store, clock, ledger, broker, test: None }
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.broker.0
    }

    /// Registers a relying party at a receiver.
    async fn add(&self, name: &str, receiver: &Receiver, change: impl FnOnce(&mut Config, &mut Secrets)) {
        let (config, secrets) = Self::rp_at(receiver, change);
        config.check(&secrets).expect("it can be");
        self.put(name, config, secrets).await;
    }

    fn rp_at(receiver: &Receiver, change: impl FnOnce(&mut Config, &mut Secrets)) -> (Config, Secrets) {
        let mut config = Config {
            webhook: Some(receiver.url()),
            allow_private: true,
            algorithm: crate::SigningAlgorithm::EdDsa,
            retry: RetryPolicy { delays_seconds: vec![10, 100] },
            ..Config::default()
        };
        let mut secrets = Secrets::default();
        change(&mut config, &mut secrets);
        (config, secrets)
    }

    /// Keeps a relying party, whether it can be or not.
    async fn put(&self, name: &str, config: Config, secrets: Secrets) {
        let now = self.clock.now();
        let rp = RelyingParty {
            client_id: client(name),
            config,
            secrets,
            status: Status::Enabled,
            status_at: now,
        };
        let cipher = self.inner().snapshots.cipher.clone();
        self.store.run(AddRp { rp, cipher, now }).await.expect("the store answers");
    }

    async fn happens(&self, subject: &str, at: i64, change: Change) {
        let event = AccountEvent { account: account(subject), at: Some(Millis::new(at)), change };
        let message_id = format!("{event:?}");
        let received = Received { source: SourceId::new("test"), message_id, event };
        self.ledger.apply(received).await.expect("the ledger answers");
    }

    async fn logs_in(&self, subject: &str, to: &str) {
        let login = Login { client_id: Some(to.into()), ..Login::default() };
        self.happens(subject, self.clock.now().get(), Change::Login(login)).await;
    }

    /// Sends and settles all that is due.
    async fn deliver(&self) {
        run_to_quiescence(self.inner()).await;
    }

    async fn deliveries(&self) -> Vec<DeliveryView> {
        let list = ListDeliveries { filter: Filter::default(), after: 0, limit: 10_000 };
        self.store.scan(list).await.expect("the store answers")
    }

    /// Each delivery in a line: `rp subject event state failures reason`.
    async fn shown(&self) -> Vec<String> {
        let line = |it: DeliveryView| {
            let reason = it.reason.map_or_else(String::new, |reason| format!(" ({reason})"));
            format!(
                "{} {} {} {} {}{reason}",
                it.client_id,
                it.subject,
                it.event_type.name(),
                it.state,
                it.failures
            )
        };
        self.deliveries().await.into_iter().map(line).collect()
    }
}
