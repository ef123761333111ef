//! Sessions as a whole: logins come in, an identity provider that knows who presents what twice is asked, events go in
//! through the ledger.

mod acts;
mod api;
mod codes;
mod crashing;
mod ending;
mod handing;
mod hot;
mod journal;
mod limiting;
mod openid_provider;
mod outage;
mod pretender;
mod refreshing;
mod retiring;
mod secrets;
mod set_aside;
mod spans;
mod standing_in;
mod sweeping;
mod users;
mod watching;

use crate::capability::Inner;
use crate::login::{Login, Tokens};
use crate::store::find::{Filter, List};
use crate::store::rows::{Object, SessionView};
use crate::upstream::Upstream;
use crate::worker::{beat, reap, run_to_quiescence};
use crate::{GrantState, IdpSettings, MIGRATIONS, SessionId, Sessions, Settings};
use account::{AccountEvent, AccountId, Change, IdpId, Millis, Subject};
use keys::RootKey;
use ledger::{Consequence, Ledger, Received, SourceId, Tombstones};
use pretender::Pretender;
use std::sync::Arc;
use std::time::Duration;
use store::testing::{TestStore, engines, sqlite};
use store::{Clock, Store};
use work::{Lifecycle, Tick};
use zeroize::Zeroizing;

const TABLES: &[&[store::Migration]] = &[ledger::MIGRATIONS, keys::MIGRATIONS, MIGRATIONS];
const HOUR: Duration = Duration::from_hours(1);

/// A ledger and a node's sessions on a store.
struct House {
    store: Store,
    clock: Clock,
    ledger: Ledger,
    sessions: Sessions,
    idp: Arc<Pretender>,
    root: RootKey,
    settings: Settings,
    test: Option<TestStore>,
}

fn main_idp() -> IdpId {
    IdpId::new("main").expect("valid")
}

fn account(name: &str) -> AccountId {
    AccountId::new(main_idp(), Subject::new(name).expect("valid"))
}

/// An identity provider of which this is known.
fn profile(rotation: crate::rules::Rotation, reuse_grace_seconds: u32) -> Settings {
    let own = IdpSettings { rotation, reuse_grace_seconds, ..IdpSettings::new(main_idp()) };
    Settings { idps: vec![own], ..Settings::default() }
}

impl House {
    async fn on_each_engine() -> [Self; 2] {
        let [sqlite, postgres] = engines(TABLES).await;
        [Self::over(sqlite, Settings::default()).await, Self::over(postgres, Settings::default()).await]
    }

    async fn on_each_engine_with(settings: Settings) -> [Self; 2] {
        let [sqlite, postgres] = engines(TABLES).await;
        [Self::over(sqlite, settings.clone()).await, Self::over(postgres, settings).await]
    }

    async fn new() -> Self {
        Self::over(sqlite(TABLES).await, Settings::default()).await
    }

    async fn over(test: TestStore, settings: Settings) -> Self {
        let (store, clock) = (test.store.clone(), test.clock.clone());
        let idp = Pretender::new();
        let mut house = Self::with(settings, store, clock, RootKey::generate(), idp);
        house.ledger.register_capabilities().await.expect("the store answers");
        house.sessions.0.make_ready().await.expect("the store answers");
        house.lives().await;
        house.test = Some(test);
        house
    }

    fn with(settings: Settings, store: Store, clock: Clock, root: RootKey, idp: Arc<Pretender>) -> Self {
        let upstream = Arc::clone(&idp);
        Self::asking(upstream, settings, store, clock, root, idp)
    }

    /// One that asks somebody else.
    fn asking(
        upstream: Arc<dyn Upstream>,
        settings: Settings,
        store: Store,
        clock: Clock,
        root: RootKey,
        idp: Arc<Pretender>,
    ) -> Self {
        let tombstones = Tombstones::new(&root, Duration::ZERO);
        let sessions = Sessions::new(
            settings.clone(),
            store.clone(),
            &root,
            tombstones.clone(),
            upstream,
            &Lifecycle::new(),
        );
        let sessions = sessions.expect("settings that work");
        let consequence: Arc<dyn Consequence> = Arc::new(sessions.consequence());
        let ledger = Ledger::new(store.clone(), tombstones, vec![consequence]);
        Self { store, clock, ledger, sessions, idp, root, settings, test: None }
    }

    /// Another node on the same store, at the same identity provider.
    async fn beside(&self) -> Self {
        let other = Self::with(
            self.settings.clone(),
            self.store.clone(),
            self.clock.clone(),
            self.root.clone(),
            Arc::clone(&self.idp),
        );
        other.sessions.0.keys.ensure().await.expect("the store answers");
        other.sessions.0.catch_up().await.expect("the store answers");
        other.lives().await;
        other
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.sessions.0
    }

    /// This node is heard of.
    async fn lives(&self) {
        assert_eq!(beat(Arc::clone(self.inner())).await, Tick::Idle);
    }

    async fn passes(&self, time: Duration) {
        self.clock.advance(time);
        self.lives().await;
    }

    /// Somebody logs in, and gets tokens that live for an hour.
    async fn logs_in(&self, name: &str) -> SessionId {
        self.logs_in_with(name, |_| ()).await
    }

    async fn logs_in_with(&self, name: &str, change: impl FnOnce(&mut Login)) -> SessionId {
        let (access, refresh) = self.idp.log_in(name);
        let mut login = Login {
            account: account(name),
            sid: None,
            authenticated_at: None,
            tokens: Some(Tokens {
                access_token: Zeroizing::new(access),
                refresh_token: Some(Zeroizing::new(refresh)),
                dpop_key: None,
                token_type: crate::upstream::TokenType::Bearer,
                expires_in: Some(HOUR),
                scope: None,
                claims: None,
                original: None,
            }),
            grant: None,
            claims: Object::new(),
            data: Object::new(),
            lifetime: None,
        };
        change(&mut login);
        self.inner().log_in(login).await.expect("the store answers").expect("it is kept")
    }

    /// Refreshes and settles all that is due; how many that were.
    async fn refresh(&self) -> usize {
        run_to_quiescence(self.inner()).await
    }

    async fn reap(&self) {
        assert_eq!(reap(Arc::clone(self.inner())).await, Tick::Idle);
    }

    async fn happens(&self, name: &str, at: Millis, change: Change) {
        let event = AccountEvent { account: account(name), at: Some(at), change };
        let message_id = format!("{event:?}");
        let received = Received { source: SourceId::new("test"), message_id, event };
        self.ledger.apply(received).await.expect("the ledger answers");
    }

    async fn show(&self, id: &SessionId) -> SessionView {
        self.inner().show(id).await.expect("the store answers").expect("it is there")
    }

    /// A session in a few words: `live grant-state generation failures`, and why it or its grant has ended.
    async fn shown(&self, id: &SessionId) -> String {
        let view = self.show(id).await;
        let reason = |it: Option<crate::Reason>| it.map_or_else(String::new, |it| format!("({it})"));
        let grant = view.grant.map_or_else(String::new, |grant| {
            format!(
                " {}{} g{} f{}",
                grant.state.as_str(),
                reason(grant.reason),
                grant.generation,
                grant.failures
            )
        });
        format!("{}{}{grant}", view.state.as_str(), reason(view.reason))
    }

    async fn all(&self) -> Vec<SessionView> {
        let list = List { filter: Filter::All, with_ended: true, after: None, limit: 100_000 };
        self.store.scan(list).await.expect("the store answers")
    }

    async fn count_of(&self, state: GrantState) -> usize {
        let is_so = |view: &SessionView| view.grant.as_ref().is_some_and(|grant| grant.state == state);
        self.all().await.iter().filter(|view| is_so(view)).count()
    }
}
