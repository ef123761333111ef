//! The exchange: an access token for a token that a service node takes. The order of the steps is the field's.

use crate::assign::Settled;
use crate::grant::{Grant, Granting};
use crate::guard::Guard;
use crate::http::Seen;
use crate::meters::Meters;
use crate::request::{self, KeyId};
use crate::rules::{self, Decision, Pattern, Presented, Step};
use crate::service::Service;
use crate::shedding::Valve;
use crate::store::{Asked, FindShedding, Lookup, Served};
use crate::{Claims, Hasher, InvalidSettings, Refusal, Salt, Settings, Token};
use account::Millis;
use http::HeaderMap;
use idp::Idps;
use ledger::Tombstones;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use store::{Store, StoreError};
use verify::Verifier;
use work::{Lifecycle, Tick};

/// The longest `subject@domain` a row can hold, in bytes.
const LONGEST_EMAIL: usize = 255;
/// How often a request looks again after others of its user were settled.
const LOOKS: u32 = 16;

/// The Tokenserver at work: what its routes share.
pub struct Tokenserver {
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) meters: Meters,
    pub(crate) services: Vec<Service>,
    pub(crate) valve: Valve,
    granting: Granting,
    guard: Guard,
    in_trouble: AtomicBool,
}

/// A request to exchange.
pub(crate) struct Exchange<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) query: Option<&'a str>,
    pub(crate) service: Named<'a>,
    /// Where the client is, as far as that is known.
    pub(crate) address: Option<IpAddr>,
}

/// The service that a path names.
#[derive(Clone, Copy)]
pub(crate) enum Named<'a> {
    /// One that is served, by its place in the list.
    Served(usize),
    /// Another application and version; `None` when the path does not decode.
    Other(Option<(&'a str, &'a str)>),
}

/// Where a request comes to, from, and when.
struct Visit<'a> {
    service: &'a Service,
    address: Option<IpAddr>,
    now: Millis,
}

/// What a good request gets.
pub(crate) struct Granted<'a> {
    pub(crate) token: Token,
    pub(crate) served: Served,
    /// Seconds.
    pub(crate) duration: u64,
    pub(crate) grant: Arc<Grant>,
    pub(crate) node_type: &'a str,
    pub(crate) pattern: &'a Pattern,
}

impl Tokenserver {
    /// Puts it together; what the settings say is checked.
    pub fn new(
        settings: Settings,
        store: Store,
        idps: Idps,
        verifier: Verifier,
        tombstones: &Tombstones,
        lifecycle: &Lifecycle,
    ) -> Result<Arc<Self>, InvalidSettings> {
        settings.check()?;
        let served = settings.served()?;
        let scopes = served.iter().map(|it| it.scope.clone()).collect();
        let service = |it| Service::new(it, &store, tombstones, lifecycle);
        let services = served.into_iter().map(service).collect();
        let hasher = Hasher::new(&settings.metrics_hash_secret);
        Ok(Arc::new(Self {
            granting: Granting { verifier, idps, hasher, scopes },
            meters: Meters::new(),
            valve: Valve::new(settings.shedding),
            guard: Guard::new(&settings.new_users),
            settings,
            store,
            services,
            in_trouble: AtomicBool::new(false),
        }))
    }

    /// Exchanges; what becomes known of the user on the way is `seen`, for the log.
    pub(crate) async fn exchange(
        &self,
        asked: Exchange<'_>,
        now: Millis,
        seen: &mut Seen,
    ) -> Result<Granted<'_>, Refusal> {
        self.valve.pass()?;
        let bearer = request::bearer(asked.headers)?;
        let place = self.place(asked.service);
        let mut grant = self.authenticate(bearer, place.as_ref().ok().copied(), now).await?;
        seen.grant = Some(Arc::clone(&grant));
        let key = request::key_id(asked.headers)?;
        // Only after the credentials were found good: strangers are not told what is served.
        let place = place?;
        let service = &self.services[place];
        let duration = request::duration(asked.query, service.token_duration);
        let visit = Visit { service, address: asked.address, now };
        let mut served = self.serve(&visit, &grant, &key, duration.as_ref().err()).await;
        if served == Err(Refusal::PerhapsEnded) {
            grant = self.ask_again(bearer, place, &grant, now).await?;
            served = self.serve(&visit, &grant, &key, duration.as_ref().err()).await;
        }
        let (served, duration) = (served?, duration?);
        seen.first_seen_at = Some(served.first_seen_at);
        let token = self.mint(service, &grant, &key, &served, now.plus(Duration::from_secs(duration)))?;
        let Service { node_type, pattern, .. } = service;
        Ok(Granted { token, served, duration, grant, node_type, pattern })
    }

    /// The place of the service that is meant in the list.
    fn place(&self, named: Named<'_>) -> Result<usize, Refusal> {
        let (application, version) = match named {
            Named::Served(place) => return Ok(place),
            Named::Other(other) => other.ok_or(Refusal::UnsupportedApplication)?,
        };
        let mut is_known = false;
        for (place, service) in self.services.iter().enumerate() {
            if service.application == application {
                if service.version == version {
                    return Ok(place);
                }
                is_known = true;
            }
        }
        Err(if is_known {
            Refusal::UnsupportedVersion(version.to_owned())
        } else {
            Refusal::UnsupportedApplication
        })
    }

    async fn authenticate(
        &self,
        token: &str,
        service: Option<usize>,
        now: Millis,
    ) -> Result<Arc<Grant>, Refusal> {
        let began = Instant::now();
        let grant = self.granting.verified(token, service, now).await;
        self.meters.verification.record(began.elapsed());
        grant
    }

    /// Whether the token outlived a change that it is too coarsely dated to be held against.
    async fn ask_again(
        &self,
        token: &str,
        service: usize,
        before: &Grant,
        now: Millis,
    ) -> Result<Arc<Grant>, Refusal> {
        let grant = self.granting.asked(token, service, now).await?;
        if grant.account == before.account { Ok(grant) } else { Err(Refusal::InvalidCredentials) }
    }

    /// The row the request is served from: looked up, decided, and changed only where it has to be.
    async fn serve(
        &self,
        visit: &Visit<'_>,
        grant: &Grant,
        key: &KeyId<'_>,
        query: Option<&Refusal>,
    ) -> Result<Served, Refusal> {
        let email = grant.email.as_deref().ok_or(Refusal::InvalidCredentials)?;
        if email.len() > LONGEST_EMAIL {
            return Err(Refusal::AccountTooLong);
        }
        let presented = Presented {
            generation: grant.generation,
            keys_changed_at: key.keys_changed_at,
            client_state: key.client_state,
            birth: grant.birth,
            vouched_at: grant.vouched_at,
        };
        let service = visit.service;
        let mut is_admitted = service.assigner.placement().is_allowed(email);
        for _ in 0..LOOKS {
            let decision = in_order(self.look(service, grant, email, &presented).await?, query)?;
            let decision = match Served::as_is(decision) {
                Ok(served) => return Ok(served),
                Err(decision) => decision,
            };
            if decision.is_of_a_new_user() && !is_admitted {
                self.guard.admit(visit.address, &grant.account.idp, visit.now)?;
                is_admitted = true;
            }
            let asked = Asked { account: grant.account.clone(), email: email.to_owned(), presented };
            match self.change(service, asked, &decision.step).await? {
                Settled::Served(served) => return Ok(served),
                Settled::Refused(refusal) => return Err(refusal),
                Settled::LookAgain => {}
            }
        }
        Err(Refusal::StoreUnavailable)
    }

    async fn look(
        &self,
        service: &Service,
        grant: &Grant,
        email: &str,
        presented: &Presented,
    ) -> Result<Result<Decision, Refusal>, Refusal> {
        let began = Instant::now();
        let look = Lookup { service: &service.name, account: &grant.account, email };
        let known = self.store.read(&look).await;
        self.meters.get_users.record(began.elapsed());
        let mut known = self.noted(known)?;
        service.unsettle(email, &mut known.rows);
        Ok(rules::decide(
            known.rows,
            &known.ledgered,
            presented,
            service.assigner.placement().new_user(email),
        ))
    }

    async fn change(&self, service: &Service, asked: Asked, step: &Step) -> Result<Settled, Refusal> {
        let began = Instant::now();
        let settling = service.assigner.settle(asked);
        let settled = match self.settings.change_timeout() {
            Some(patience) => tokio::time::timeout(patience, settling).await.map_err(|_| Refusal::Elapsed)?,
            None => settling.await,
        };
        self.meters.changed(step, began);
        self.noted(settled)
    }

    fn mint(
        &self,
        service: &Service,
        grant: &Grant,
        key: &KeyId<'_>,
        served: &Served,
        expires: Millis,
    ) -> Result<Token, Refusal> {
        let began = Instant::now();
        let claims = Claims {
            node: &served.node,
            key_time: served.key_time,
            client_state: key.base64,
            fxa_uid: grant.account.subject.as_str(),
            hashed: &grant.hashed,
            expires: expires.seconds(),
            uid: served.uid,
        };
        let token = service.secrets.minter().mint(&claims, Salt::random().ok_or(Refusal::TokenNotMade)?);
        self.meters.creation.record(began.elapsed());
        Ok(token)
    }

    /// Takes up what operators have said of the services since.
    pub(crate) async fn follow(&self) -> Tick {
        match self.take_orders().await {
            Ok(()) => Tick::Idle,
            Err(error) => {
                tracing::warn!(%error, "what operators say is not heard just now");
                Tick::Failed
            }
        }
    }

    async fn take_orders(&self) -> Result<(), StoreError> {
        let ordered = self.store.scan(FindShedding(self.store.clock().now())).await?;
        self.valve.set(ordered.map_or(self.settings.shedding, |order| order.shedding));
        for service in &self.services {
            service.follow(&self.store).await?;
        }
        Ok(())
    }

    /// What the store's failures come to; told when they begin and when they end.
    pub(crate) fn noted<T>(&self, outcome: Result<T, StoreError>) -> Result<T, Refusal> {
        let was_in_trouble = self.in_trouble.swap(outcome.is_err(), Ordering::Relaxed);
        match &outcome {
            Err(error) if !was_in_trouble => {
                tracing::error!(%error, "no tokens: the store does not do its part");
            }
            Ok(_) if was_in_trouble => tracing::info!("tokens again: the store does its part"),
            _ => {}
        }
        outcome.map_err(|_| Refusal::StoreUnavailable)
    }
}

/// An ill-formed query is told after what bars the user altogether, and before the checks.
fn in_order(decided: Result<Decision, Refusal>, query: Option<&Refusal>) -> Result<Decision, Refusal> {
    use Refusal::{InvalidCredentials, NewUsersDisabled, RetiredWithoutNode};
    match decided {
        Err(bar @ (InvalidCredentials | NewUsersDisabled | RetiredWithoutNode)) => Err(bar),
        other => query.map_or(other, |refusal| Err(refusal.clone())),
    }
}
