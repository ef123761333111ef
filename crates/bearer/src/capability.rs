//! The capability put together, and what it hands the binary.

use crate::consequence::KeepAccounts;
use crate::follower::{Finding, Follower};
use crate::meters::Meters;
use crate::opening::Opening;
use crate::profile::Profiles;
use crate::store::MIGRATIONS;
use crate::{InvalidSettings, Ledgered, Settings, Signs, http};
use account::Millis;
use idp::Idps;
use ledger::{Capability, Feed, Role, Worker};
use std::sync::{Arc, OnceLock};
use store::Store;
use verify::{Gate, Verifier};

/// Its name, as effect rows carry it.
pub const CAPABILITY: &str = "bearer";

/// The bearer capability of one process. Cheap to clone.
#[derive(Clone)]
pub struct Bearer(pub(crate) Arc<Inner>);

/// Everything that its parts share.
pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) idps: Idps,
    pub(crate) gate: Gate,
    pub(crate) records: Ledgered,
    pub(crate) opening: Option<Opening>,
    pub(crate) meters: Meters,
    pub(crate) follower: Arc<Follower<Verifier>>,
    pub(crate) signs: OnceLock<Arc<dyn Signs>>,
}

impl Inner {
    pub(crate) fn now(&self) -> Millis {
        self.store.clock().now()
    }

    /// The realm of challenges.
    pub(crate) fn realm(&self) -> &str {
        self.gate.policy().realm()
    }
}

impl Bearer {
    /// Puts it together; what the settings say is checked. The verifier must have been given `records`, so that it tells
    /// what is on record with what it remembers.
    pub fn new(
        settings: Settings,
        store: Store,
        idps: Idps,
        verifier: Verifier,
        records: Ledgered,
    ) -> Result<Self, InvalidSettings> {
        let policy = settings.check(&idps)?;
        let opening = settings.accounts.clone().map(|accounts| {
            Profiles::new(&accounts).map(|profiles| Opening { settings: accounts, profiles })
        });
        let follower = Follower::new(Feed::new(store.clone()), store.clock().clone(), verifier.clone());
        let opening = opening.transpose()?;
        let (gate, meters, signs) = (Gate::new(verifier, policy), Meters::new(), OnceLock::new());
        Ok(Self(Arc::new(Inner { settings, store, idps, gate, records, opening, meters, follower, signs })))
    }

    /// Signs introspections for whoever asks for that (RFC 9701). Once given, it stays.
    pub fn sign_with(&self, signs: Arc<dyn Signs>) {
        // A second one would be the same: the house has one key ring.
        let _ = self.0.signs.set(signs);
    }

    /// What it hands the binary: routes, tables, what account events mean, and the follower of the feed.
    pub fn capability(&self) -> Capability {
        let (follower, verifier) = (Arc::clone(&self.0.follower), self.0.gate.verifier().clone());
        let follow = Worker::new("bearer.feed", Some(Role::Verify), move |stop| follower.follow(stop));
        let errands = Worker::new("bearer.refresh", Some(Role::Verify), async move |stop| {
            stop.run_until_cancelled(verifier.run_errands()).await;
        });
        Capability {
            name: CAPABILITY,
            public: http::public_routes(&self.0),
            service: http::service_routes(&self.0),
            admin: http::admin_routes(&self.0),
            migrations: MIGRATIONS,
            consequence: Some(Arc::new(KeepAccounts { verifier: self.0.gate.verifier().clone() })),
            workers: vec![follow, errands],
        }
    }

    /// How it is, for whoever looks after it.
    pub fn findings(&self) -> Vec<Finding> {
        let verifier = self.0.gate.verifier();
        let feed = self.0.follower.finding(verifier.sight(self.0.now()));
        [feed].into_iter().chain(verifier.shared_trouble().map(shared)).collect()
    }
}

/// Without the tier each node works by itself: that is no outage, and somebody should look.
fn shared(trouble: Option<String>) -> Finding {
    let is_degraded = trouble.is_some();
    Finding { name: "shared", is_degraded, detail: trouble.unwrap_or_else(|| "connected".to_owned()) }
}
