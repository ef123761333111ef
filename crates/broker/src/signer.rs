//! The keys that sign, held ready; what signs and what is published.

use crate::SigningAlgorithm;
use crate::settings::InvalidSettings;
use crate::store::signing_keys::{
    DropOldKeys, FreshKey, KeepKeys, Kept, KeyState, ReadKeys, Rotate, StoredKey, TOPIC,
};
use account::Millis;
use arc_swap::ArcSwap;
use bytes::Bytes;
use jose::{Algorithm, JwkSet, SigningKey, SigningKeyError};
use keys::{Cipher, Purpose, RootKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::{Store, StoreError};
use utoipa::ToSchema;

/// A published key is known to every receiver after this: they may hold the set for five minutes, and a node may learn
/// of a key half a minute late.
const KNOWN_AFTER: Duration = Duration::from_secs(330);

/// Whether a rotation waits until receivers know the key that is to sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Haste {
    /// It does.
    #[default]
    WhenKnown,
    /// It does not: the current key is in wrong hands.
    AtOnce,
}

/// What a token's header says of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// Nothing, as fxa-event-broker's.
    Unnamed,
    /// `secevent+jwt` (RFC 8417 section 2.3).
    SecurityEvent,
    /// `token-introspection+jwt` (RFC 9701 section 5).
    Introspection,
}

/// Why nothing could be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotSign {
    /// There is no key of that algorithm (yet).
    #[error("there is no current {0:?} key")]
    NoKey(SigningAlgorithm),
    /// The key or the library.
    #[error(transparent)]
    Key(#[from] SigningKeyError),
}

/// Whoever signs tokens: the key ring, or a key that was made for a trial.
pub(crate) trait Sign {
    /// Signs claims as a compact JWS with the current key of that algorithm.
    fn sign(
        &self,
        algorithm: SigningAlgorithm,
        token_type: TokenType,
        claims: &[u8],
    ) -> Result<String, CannotSign>;
}

/// A signing key, as anybody may know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyView {
    /// Its id in tokens and in the published set.
    pub kid: String,
    /// Its algorithm.
    pub algorithm: String,
    /// `next` (published), `current` (signs) or `retired` (published still).
    pub state: String,
    /// Where it is kept: `store` or `file`.
    pub kept: String,
    /// When it was made; absent for a file's.
    #[schema(value_type = Option<i64>)]
    pub created_at: Option<Millis>,
}

/// The key ring. Cheap to clone.
#[derive(Clone)]
pub struct Signer(Arc<Inner>);

struct Inner {
    store: Store,
    cipher: Cipher,
    from_files: Vec<Arc<SigningKey>>,
    ring: ArcSwap<Ring>,
}

/// All keys at one moment.
#[derive(Default)]
struct Ring {
    current: BTreeMap<SigningAlgorithm, Arc<Held>>,
    published: Bytes,
    views: Vec<KeyView>,
}

/// A key that signs, with its headers written out.
pub(crate) struct Held {
    key: Arc<SigningKey>,
    unnamed: Vec<u8>,
    security_event: Vec<u8>,
    introspection: Vec<u8>,
}

impl Held {
    pub(crate) fn new(key: Arc<SigningKey>) -> Self {
        #[derive(Serialize)]
        struct Header<'a> {
            alg: &'a str,
            kid: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            typ: Option<&'a str>,
        }
        let header = |typ| {
            let header = Header { alg: key.algorithm().name(), kid: key.kid(), typ };
            serde_json::to_vec(&header).expect("texts always serialise")
        };
        let introspection = header(Some("token-introspection+jwt"));
        Self { unnamed: header(None), security_event: header(Some("secevent+jwt")), introspection, key }
    }

    pub(crate) fn sign(&self, token_type: TokenType, claims: &[u8]) -> Result<String, CannotSign> {
        let header = match token_type {
            TokenType::Unnamed => &self.unnamed,
            TokenType::SecurityEvent => &self.security_event,
            TokenType::Introspection => &self.introspection,
        };
        Ok(self.key.sign_compact(header, claims)?)
    }
}

impl Signer {
    /// The ring in that store, sealed under the root key; keys of files sign instead of stored ones. It holds no stored
    /// key until the first [`Signer::refresh`].
    pub fn new(store: Store, root: &RootKey, files: &[PathBuf]) -> Result<Self, InvalidSettings> {
        let from_files = files.iter().map(read_keys).collect::<Result<Vec<_>, _>>()?;
        let from_files: Vec<_> = from_files.into_iter().flatten().map(Arc::new).collect();
        let ring = Ring::of(&from_files, &[]);
        let cipher = root.cipher(Purpose::SigningKeys);
        let ring = ArcSwap::from_pointee(ring);
        Ok(Self(Arc::new(Inner { store, cipher, from_files, ring })))
    }

    /// Signs claims as a compact JWS with the current key of that algorithm.
    pub fn sign(
        &self,
        algorithm: SigningAlgorithm,
        token_type: TokenType,
        claims: &[u8],
    ) -> Result<String, CannotSign> {
        let ring = self.0.ring.load();
        ring.current.get(&algorithm).ok_or(CannotSign::NoKey(algorithm))?.sign(token_type, claims)
    }

    /// The published keys: a JWK set's JSON (RFC 7517 section 5).
    pub fn published(&self) -> Bytes {
        self.0.ring.load().published.clone()
    }

    /// Every key, as anybody may know it.
    pub fn keys(&self) -> Vec<KeyView> {
        self.0.ring.load().views.clone()
    }

    /// Reads the stored keys anew.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let stored = self.0.store.scan(ReadKeys(self.0.cipher.clone())).await?;
        self.0.ring.store(Arc::new(Ring::of(&self.0.from_files, &stored)));
        Ok(())
    }

    /// Makes what is missing: for every algorithm that no file has a key for, one that signs and one that is next.
    pub async fn ensure(&self) -> Result<(), StoreError> {
        self.refresh().await?;
        let missing: Vec<_> =
            SigningAlgorithm::ALL.into_iter().filter(|algorithm| !self.is_complete(*algorithm)).collect();
        for algorithm in &missing {
            self.keep(*algorithm, Rotate::No).await?;
        }
        if !missing.is_empty() {
            self.refresh().await?;
            self.0.store.signals().send(TOPIC);
        }
        Ok(())
    }

    /// Whether there is a key to sign with for every algorithm. On a fresh store they are being made.
    pub fn is_ready(&self) -> bool {
        let ring = self.0.ring.load();
        SigningAlgorithm::ALL.iter().all(|algorithm| ring.current.contains_key(algorithm))
    }

    /// Rotates the stored keys of an algorithm: the next key, which receivers have known since it was made, signs; the
    /// one that signed is published until what it signed has been seen; a fresh one is next.
    ///
    /// A next key that receivers may not have seen yet does not sign: then nothing is done, and the answer is how long it
    /// takes yet; unless it must be at once.
    pub async fn rotate(
        &self,
        algorithm: SigningAlgorithm,
        haste: Haste,
    ) -> Result<Option<Duration>, StoreError> {
        let rotate = match haste {
            Haste::WhenKnown => Rotate::After(KNOWN_AFTER),
            Haste::AtOnce => Rotate::AtOnce,
        };
        if let Kept::TooSoon(wait) = self.keep(algorithm, rotate).await? {
            return Ok(Some(wait));
        }
        self.refresh().await?;
        self.0.store.signals().send(TOPIC);
        Ok(None)
    }

    /// Drops stored keys that retired before `overlap` ago.
    pub async fn drop_retired(&self, overlap: Duration) -> Result<(), StoreError> {
        let before = self.0.store.clock().now().minus(overlap);
        self.0.store.run(DropOldKeys(before)).await.map(drop)
    }

    /// Whether keys of that algorithm come from a file: then the store has none of it.
    pub fn is_from_file(&self, algorithm: SigningAlgorithm) -> bool {
        self.0.from_files.iter().any(|key| key.algorithm() == algorithm.into())
    }

    fn is_complete(&self, algorithm: SigningAlgorithm) -> bool {
        let ring = self.0.ring.load();
        let has_next = || {
            let name = Algorithm::from(algorithm).name();
            ring.views.iter().any(|it| it.algorithm == name && it.state == KeyState::Next.as_str())
        };
        self.is_from_file(algorithm) || (ring.current.contains_key(&algorithm) && has_next())
    }

    async fn keep(&self, algorithm: SigningAlgorithm, rotate: Rotate) -> Result<Kept, StoreError> {
        let name = Algorithm::from(algorithm).name();
        // An RSA key takes a while to find.
        let fresh = tokio::task::spawn_blocking(move || [fresh_key(algorithm), fresh_key(algorithm)])
            .await
            .map_err(|error| StoreError::Unavailable { reason: error.to_string() })?;
        let [Ok(first), Ok(second)] = fresh else {
            return Err(StoreError::Undone("the cryptographic library made no key"));
        };
        let now = self.0.store.clock().now();
        let cipher = self.0.cipher.clone();
        self.0.store.run(KeepKeys { cipher, algorithm: name, fresh: [first, second], rotate, now }).await
    }
}

impl Sign for Signer {
    fn sign(
        &self,
        algorithm: SigningAlgorithm,
        token_type: TokenType,
        claims: &[u8],
    ) -> Result<String, CannotSign> {
        Self::sign(self, algorithm, token_type, claims)
    }
}

impl Ring {
    fn of(from_files: &[Arc<SigningKey>], stored: &[StoredKey]) -> Self {
        let mut ring = Self::default();
        let mut published = Vec::new();
        for key in from_files {
            let state = if ring.take(key) { KeyState::Current } else { KeyState::Next };
            ring.views.push(KeyView {
                kid: key.kid().to_owned(),
                algorithm: key.algorithm().name().to_owned(),
                state: state.as_str().to_owned(),
                kept: "file".to_owned(),
                created_at: None,
            });
            published.push(key.jwk().clone());
        }
        for stored in stored {
            let key = match SigningKey::from_private_jwk(&stored.private_jwk) {
                Ok(key) => Arc::new(key),
                Err(error) => {
                    tracing::error!(kid = stored.kid, %error, "a stored signing key is of no use");
                    continue;
                }
            };
            if stored.state == KeyState::Current {
                ring.take(&key);
            }
            ring.views.push(KeyView {
                kid: stored.kid.clone(),
                algorithm: stored.algorithm.clone(),
                state: stored.state.as_str().to_owned(),
                kept: "store".to_owned(),
                created_at: Some(stored.created_at),
            });
            published.push(key.jwk().clone());
        }
        let set: JwkSet = published.into_iter().collect();
        ring.published = serde_json::to_vec(&set).expect("public keys always serialise").into();
        ring
    }

    /// Makes a key the one that signs, unless there is one: the first of an algorithm does.
    fn take(&mut self, key: &Arc<SigningKey>) -> bool {
        let algorithm = SigningAlgorithm::ALL.into_iter().find(|it| Algorithm::from(*it) == key.algorithm());
        let Some(algorithm) = algorithm else { return false };
        if self.current.contains_key(&algorithm) {
            return false;
        }
        self.current.insert(algorithm, Arc::new(Held::new(Arc::clone(key))));
        true
    }
}

fn fresh_key(algorithm: SigningAlgorithm) -> Result<FreshKey, SigningKeyError> {
    let key = SigningKey::generate(algorithm.into())?;
    Ok(FreshKey { kid: key.kid().to_owned(), private_jwk: key.to_private_jwk()? })
}

/// The keys of a file: a private JWK, or a set of them.
pub(crate) fn read_keys(path: &PathBuf) -> Result<Vec<SigningKey>, InvalidSettings> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let invalid = |why: String| InvalidSettings::new("signing_keys", format!("{}: {why}", path.display()));
    let text =
        std::fs::read(path).map(zeroize::Zeroizing::new).map_err(|error| invalid(error.to_string()))?;
    let one = |json: &[u8]| SigningKey::from_private_jwk(json).map_err(|error| invalid(error.to_string()));
    match serde_json::from_slice::<Set>(&text) {
        Ok(set) => set.keys.iter().map(|key| one(key.to_string().as_bytes())).collect(),
        Err(_) => Ok(vec![one(&text)?]),
    }
}

#[cfg(test)]
mod tests;
