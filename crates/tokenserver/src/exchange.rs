//! The exchange: an access token for a token that a service node takes. The order of the steps is the field's.

use crate::assign::{Assigner, Settled};
use crate::grant::{Grant, Granting};
use crate::http::Seen;
use crate::meters::Meters;
use crate::request::{self, KeyId};
use crate::rules::{self, Decision, NewUsers, Presented, Step};
use crate::store::{Asked, Lookup, Placement, Served};
use crate::{Claims, Hasher, InvalidSettings, Minter, Refusal, Salt, Settings, Token};
use account::Millis;
use http::HeaderMap;
use idp::Idps;
use ledger::Tombstones;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use store::{Store, StoreError};
use verify::Verifier;
use work::Lifecycle;

/// The application that is served, and its version.
pub(crate) const APPLICATION: &str = "sync";
pub(crate) const VERSION: &str = "1.5";
/// The longest `subject@domain` a row can hold, in bytes.
const LONGEST_EMAIL: usize = 255;
/// How often a request looks again after others of its user were settled.
const LOOKS: u32 = 16;

/// The Tokenserver at work: what its routes share.
pub struct Tokenserver {
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) meters: Meters,
    granting: Granting,
    assigner: Arc<Assigner>,
    minter: Minter,
    in_trouble: AtomicBool,
}

/// A request to exchange.
pub(crate) struct Exchange<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) query: Option<&'a str>,
    /// Application and version; `None` when the path does not decode.
    pub(crate) service: Option<(&'a str, &'a str)>,
}

/// What a good request gets.
pub(crate) struct Granted<'a> {
    pub(crate) token: Token,
    pub(crate) served: Served,
    /// Seconds.
    pub(crate) duration: u64,
    pub(crate) grant: Arc<Grant>,
    pub(crate) node_type: &'a str,
}

impl Tokenserver {
    /// Puts it together; what the settings say is checked.
    pub fn new(
        settings: Settings,
        store: Store,
        idps: Idps,
        verifier: Verifier,
        tombstones: Tombstones,
        lifecycle: Lifecycle,
    ) -> Result<Arc<Self>, InvalidSettings> {
        settings.check()?;
        let assigner = Assigner::new(store.clone(), placement(&settings), tombstones, lifecycle);
        let hasher = Hasher::new(&settings.metrics_hash_secret);
        Ok(Arc::new(Self {
            minter: Minter::new(settings.master_secret.clone()),
            granting: Granting { verifier, idps, hasher },
            meters: Meters::new(),
            settings,
            store,
            assigner,
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
        let bearer = request::bearer(asked.headers)?;
        let mut grant = self.authenticate(bearer, now).await?;
        seen.grant = Some(Arc::clone(&grant));
        let key = request::key_id(asked.headers)?;
        check_service(asked.service)?;
        let duration = request::duration(asked.query, self.settings.token_duration_seconds);
        let mut served = self.serve(&grant, &key, duration.as_ref().err()).await;
        if served == Err(Refusal::PerhapsEnded) {
            grant = self.ask_again(bearer, &grant, now).await?;
            served = self.serve(&grant, &key, duration.as_ref().err()).await;
        }
        let (served, duration) = (served?, duration?);
        seen.first_seen_at = Some(served.first_seen_at);
        let token = self.mint(&grant, &key, &served, now.plus(Duration::from_secs(duration)))?;
        Ok(Granted { token, served, duration, grant, node_type: &self.settings.node_type })
    }

    async fn authenticate(&self, token: &str, now: Millis) -> Result<Arc<Grant>, Refusal> {
        let began = Instant::now();
        let grant = self.granting.verified(token, now).await;
        self.meters.verification.record(began.elapsed());
        grant
    }

    /// Whether the token outlived a change that it is too coarsely dated to be held against.
    async fn ask_again(&self, token: &str, before: &Grant, now: Millis) -> Result<Arc<Grant>, Refusal> {
        let grant = self.granting.asked(token, now).await?;
        if grant.account == before.account { Ok(grant) } else { Err(Refusal::InvalidCredentials) }
    }

    /// The row the request is served from: looked up, decided, and changed only where it has to be.
    async fn serve(
        &self,
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
        for _ in 0..LOOKS {
            let decision = in_order(self.look(grant, email, &presented).await?, query)?;
            let decision = match Served::as_is(decision) {
                Ok(served) => return Ok(served),
                Err(decision) => decision,
            };
            let asked = Asked { account: grant.account.clone(), email: email.to_owned(), presented };
            match self.change(asked, &decision.step).await? {
                Settled::Served(served) => return Ok(served),
                Settled::Refused(refusal) => return Err(refusal),
                Settled::LookAgain => {}
            }
        }
        Err(Refusal::StoreUnavailable)
    }

    async fn look(
        &self,
        grant: &Grant,
        email: &str,
        presented: &Presented,
    ) -> Result<Result<Decision, Refusal>, Refusal> {
        let began = Instant::now();
        let known = self.store.read(&Lookup { account: &grant.account, email }).await;
        self.meters.get_users.record(began.elapsed());
        let known = self.noted(known)?;
        Ok(rules::decide(known.rows, &known.ledgered, presented, self.assigner.placement().new_users))
    }

    async fn change(&self, asked: Asked, step: &Step) -> Result<Settled, Refusal> {
        let began = Instant::now();
        let settling = self.assigner.settle(asked);
        let settled = match self.settings.change_timeout() {
            Some(patience) => tokio::time::timeout(patience, settling).await.map_err(|_| Refusal::Elapsed)?,
            None => settling.await,
        };
        self.meters.changed(step, began);
        self.noted(settled)
    }

    fn mint(
        &self,
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
        let token = self.minter.mint(&claims, Salt::random().ok_or(Refusal::TokenNotMade)?);
        self.meters.creation.record(began.elapsed());
        Ok(token)
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

/// How users are placed by these settings.
pub(crate) fn placement(settings: &Settings) -> Placement {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be from 0 to 1")]
    let release_millionths = (settings.node_capacity_release_rate * 1e6).ceil() as i64;
    let new_users = if settings.allow_new_users { NewUsers::Welcome } else { NewUsers::Refused };
    Placement { new_users, release_millionths, only_node: settings.spanner_node_id }
}

/// Only after the credentials were found good: strangers are not told what is served.
fn check_service(asked: Option<(&str, &str)>) -> Result<(), Refusal> {
    match asked {
        Some((APPLICATION, VERSION)) => Ok(()),
        Some((APPLICATION, version)) => Err(Refusal::UnsupportedVersion(version.to_owned())),
        _ => Err(Refusal::UnsupportedApplication),
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
