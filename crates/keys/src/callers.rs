use crate::{CertificateName, Purpose, RootKey};
use account::Millis;
use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{Clock, Migration, Operation, PointRead, Row, Rows, Sql, Store, StoreError, Tx, Value};
use utoipa::ToSchema;

/// A verified token is remembered this long, so that a revoked one dies within it on every node.
const REMEMBERED: Duration = Duration::from_secs(2);
/// How many verified tokens are remembered; there are few callers.
const REMEMBERED_AT_MOST: usize = 10_000;
/// A token that names itself: whoever finds one in the wrong place knows what it is.
const PREFIX: &str = "hw_";

/// The tables of callers' tokens (and of the certificates that stand for one) and of data keys.
pub static MIGRATIONS: &[Migration] = &[CALLERS, CERTIFICATES, crate::data_keys::TABLE];

const CALLERS: Migration = Migration::both(
    "keys 0001 caller tokens",
    "create table caller_tokens (
        id {identity},
        name varchar(100) not null,
        listener varchar(16) not null,
        scopes text not null,
        hash varchar(64) not null,
        created_at bigint not null,
        expires_at bigint,
        revoked_at bigint
    );
    create unique index caller_tokens_hash on caller_tokens (hash);",
);
const CERTIFICATES: Migration = Migration::both(
    "keys 0002 caller certificates",
    "alter table caller_tokens add column certificate varchar(300);",
);

store::statements! {
    static INSERT = both(
        "insert into caller_tokens (name, listener, scopes, hash, created_at, expires_at, certificate)
         values ($1, $2, $3, $4, $5, $6, $7)
         returning id, name, listener, scopes, created_at, expires_at, revoked_at, certificate");
    // A certificate may be taken in anew when it does not count any more; what there was of it stays in the list.
    static MAKE_ROOM = both(
        "update caller_tokens set hash = 'ended ' || id
         where hash = $1 and (revoked_at is not null or expires_at <= $2)");
    static LIST = both(
        "select id, name, listener, scopes, created_at, expires_at, revoked_at, certificate from caller_tokens
         order by id");
    static REVOKE = both("update caller_tokens set revoked_at = $2 where id = $1 and revoked_at is null");
    static FIND = both(
        "select id, name, listener, scopes, created_at, expires_at, revoked_at, certificate from caller_tokens
         where hash = $1");
}

/// The listener that a token is valid on: on that one only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Listener {
    /// Verify, introspect, sessions.
    Service,
    /// The admin API.
    Admin,
}

impl Listener {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Admin => "admin",
        }
    }
}

/// Somebody who may call, as far as anybody may know: the token itself is nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Caller {
    /// Its number.
    pub id: i64,
    /// What people call it.
    pub name: String,
    /// Where its token is valid.
    pub listener: Listener,
    /// What it may do there; empty is everything.
    pub scopes: Vec<String>,
    /// Milliseconds since the epoch.
    #[schema(value_type = i64)]
    pub created_at: Millis,
    /// Milliseconds since the epoch; absent: never.
    #[schema(value_type = Option<i64>)]
    pub expires_at: Option<Millis>,
    /// Milliseconds since the epoch, once revoked.
    #[schema(value_type = Option<i64>)]
    pub revoked_at: Option<Millis>,
    /// What its certificate goes by, where that stands for a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateName>,
}

impl Caller {
    /// Whether it may do what needs `scope`.
    pub fn may(&self, scope: &str) -> bool {
        self.scopes.is_empty() || self.scopes.iter().any(|held| held == scope)
    }
}

/// A caller to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCaller {
    /// What people will call it.
    pub name: String,
    /// Where its token will be valid.
    pub listener: Listener,
    /// What it may do there; empty is everything.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Seconds it lives; absent: for ever.
    #[serde(default)]
    pub life_seconds: Option<u64>,
    /// What its certificate goes by: that proves who it is, and no token is made. On the service listener, where TLS is
    /// configured.
    #[serde(default)]
    pub certificate: Option<CertificateName>,
}

/// A token that is not, or no longer, good here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the caller's token is unknown, expired, revoked, or for another listener")]
pub struct UnknownCaller;

/// Nobody is known by what a certificate goes by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the certificate stands for no caller")]
pub struct NoSuchCertificate;

/// The callers' tokens.
#[derive(Clone)]
pub struct Callers {
    store: Store,
    key: hmac::Key,
    remembered: Arc<Mutex<HashMap<String, Remembered>>>,
}

/// Since when, and who it is, if it is anybody.
type Remembered = (Instant, Option<Caller>);

impl Callers {
    /// The callers kept in that store, hashed under the root key.
    pub fn new(store: Store, root: &RootKey) -> Self {
        Self { store, key: root.hmac_key(Purpose::CallerTokens), remembered: Arc::default() }
    }

    /// Makes a token, unless a certificate stands for it. It is shown this once; only its keyed hash is kept.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the certificate stands for a caller already.
    ///
    /// # Panics
    /// When the system has no randomness to give.
    pub async fn create(&self, new: NewCaller) -> Result<(Option<String>, Caller), StoreError> {
        let now = self.store.clock().now();
        let (token, hash) = if let Some(certificate) = &new.certificate {
            (None, self.hash_of(certificate))
        } else {
            let token = fresh_token();
            let hash = self.hash(&token);
            (Some(token), hash)
        };
        let caller = self.store.run(Create { new, hash, now }).await?;
        self.remembered.lock().clear();
        Ok((token, caller))
    }

    /// Every caller, the revoked ones too.
    pub async fn list(&self) -> Result<Vec<Caller>, StoreError> {
        self.store.scan(List).await
    }

    /// Revokes a token; false when there is none of that number, or it was revoked before.
    pub async fn revoke(&self, id: i64) -> Result<bool, StoreError> {
        let revoked = self.store.run(Revoke { id, now: self.store.clock().now() }).await?;
        self.remembered.lock().clear();
        Ok(revoked)
    }

    /// Who presents this token on that listener. The look-up is by a keyed hash, so that timing tells nothing.
    ///
    /// # Errors
    /// The outer error is an outage (503); the inner one a verdict (401).
    pub async fn verify(
        &self,
        token: &str,
        listener: Listener,
    ) -> Result<Result<Caller, UnknownCaller>, StoreError> {
        if !token.starts_with(PREFIX) || token.len() > 100 {
            return Ok(Err(UnknownCaller));
        }
        // What is no token is not remembered: there is no end of it.
        let found = self.find(&self.hash(token)).await?;
        Ok(found.and_then(|caller| self.good(caller, listener)).ok_or(UnknownCaller))
    }

    /// Who shows a certificate, which an authority vouches for, on that listener. The first of what it goes by that was
    /// ever taken in decides: revoking a fingerprint refuses that certificate whatever its names are.
    ///
    /// # Errors
    /// The outer error is an outage (503); the inner one says that it is nobody's; the innermost is a verdict (401).
    pub async fn verify_certificate(
        &self,
        goes_by: &[CertificateName],
        listener: Listener,
    ) -> Result<Result<Result<Caller, UnknownCaller>, NoSuchCertificate>, StoreError> {
        for name in goes_by {
            let hash = self.hash_of(name);
            match self.find(&hash).await? {
                Some(caller) => return Ok(Ok(self.good(caller, listener).ok_or(UnknownCaller))),
                None => self.remember(hash, None),
            }
        }
        Ok(Err(NoSuchCertificate))
    }

    /// The clock by which they live.
    pub fn clock(&self) -> &Clock {
        self.store.clock()
    }

    fn good(&self, caller: Caller, listener: Listener) -> Option<Caller> {
        let now = self.store.clock().now();
        let is_good = caller.listener == listener
            && caller.revoked_at.is_none()
            && caller.expires_at.is_none_or(|expires_at| now < expires_at);
        is_good.then_some(caller)
    }

    async fn find(&self, hash: &str) -> Result<Option<Caller>, StoreError> {
        if let Some((at, known)) = self.remembered.lock().get(hash)
            && at.elapsed() < REMEMBERED
        {
            return Ok(known.clone());
        }
        let found = self.store.read(&Find { hash }).await?;
        if found.is_some() {
            self.remember(hash.to_owned(), found.clone());
        }
        Ok(found)
    }

    fn remember(&self, hash: String, known: Option<Caller>) {
        let mut remembered = self.remembered.lock();
        if remembered.len() >= REMEMBERED_AT_MOST {
            remembered.clear();
        }
        remembered.insert(hash, (Instant::now(), known));
    }

    fn hash(&self, token: &str) -> String {
        hex::encode(hmac::sign(&self.key, token.as_bytes()))
    }

    /// No token looks like this.
    fn hash_of(&self, certificate: &CertificateName) -> String {
        self.hash(&format!("certificate {certificate}"))
    }
}

fn fresh_token() -> String {
    let mut secret = [0; 32];
    rand::fill(&mut secret).expect("the system's random source works");
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret))
}

fn caller(row: &Row<'_>) -> Result<Caller, StoreError> {
    Ok(Caller {
        id: row.int(0)?,
        name: row.text(1)?.to_owned(),
        listener: if row.text(2)? == "admin" { Listener::Admin } else { Listener::Service },
        scopes: row.text(3)?.split_whitespace().map(str::to_owned).collect(),
        created_at: Millis::new(row.int(4)?),
        expires_at: row.opt_int(5)?.map(Millis::new),
        revoked_at: row.opt_int(6)?.map(Millis::new),
        certificate: row.opt_text(7)?.and_then(|name| name.parse().ok()),
    })
}

struct Create {
    new: NewCaller,
    hash: String,
    now: Millis,
}

impl Operation for Create {
    const NAME: &'static str = "callers.create";
    type Output = Caller;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Caller, StoreError> {
        let scopes = self.new.scopes.join(" ");
        let expires_at = self.new.life_seconds.map(|life| self.now.plus(Duration::from_secs(life)));
        let (name, listener) = (self.new.name.as_str(), self.new.listener.as_str());
        let certificate = self.new.certificate.as_ref().map(CertificateName::as_str);
        if certificate.is_some() {
            tx.execute(&MAKE_ROOM, &[(&self.hash).into(), self.now.into()]).await?;
        }
        let params = [
            name.into(),
            listener.into(),
            (&scopes).into(),
            (&self.hash).into(),
            self.now.into(),
            expires_at.into(),
            certificate.into(),
        ];
        tx.query_one(&INSERT, &params, caller).await
    }
}

struct List;

impl Operation for List {
    const NAME: &'static str = "callers.list";
    type Output = Vec<Caller>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Caller>, StoreError> {
        tx.query(&LIST, &[], caller).await
    }
}

struct Revoke {
    id: i64,
    now: Millis,
}

impl Operation for Revoke {
    const NAME: &'static str = "callers.revoke";
    type Output = bool;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        Ok(tx.execute(&REVOKE, &[self.id.into(), self.now.into()]).await? == 1)
    }
}

struct Find<'a> {
    hash: &'a str,
}

impl PointRead for Find<'_> {
    const NAME: &'static str = "callers.find";
    type Output = Option<Caller>;

    fn sql(&self) -> &'static Sql {
        &FIND
    }

    fn params(&self) -> impl AsRef<[Value<'_>]> + Send {
        [self.hash.into()]
    }

    fn read(&self, rows: Rows<'_>) -> Result<Option<Caller>, StoreError> {
        rows.first(caller)
    }
}

#[cfg(test)]
mod tests;
