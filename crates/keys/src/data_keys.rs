//! Keys that seal much, and are rotated: random ones, kept sealed under the root key, each with a number.
//!
//! What is sealed says by which key: `NUMBER.TEXT`. So a rotation changes nothing that is there: the new key seals from
//! now on, what older ones sealed still opens, and is sealed anew in the background. A node that meets a number it does
//! not know reads the keys once more before it says that it cannot open: no node ever waits for another.

use crate::{Cipher, NotSealedHere, Purpose, RootKey};
use account::Millis;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Migration, Operation, Row, Store, StoreError, Tx};
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// Signalled when keys have changed.
pub const TOPIC: &str = "keys.data";

/// The table of keys.
pub(crate) const TABLE: Migration = Migration::both(
    "keys 0003 data keys",
    "create table data_keys (
        id {identity},
        kind varchar(32) not null,
        state smallint not null,         -- 0 active, 1 retiring
        secret {bytes} not null,         -- sealed under the root key
        created_at bigint not null,
        changed_at bigint not null
    );
    create unique index data_keys_active on data_keys (kind) where state = 0;",
);

store::statements! {
    static LIST = both("select id, state, created_at, changed_at, secret from data_keys where kind = $1 order by id");
    static RETIRE = both("update data_keys set state = 1, changed_at = $2 where kind = $1 and state = 0");
    static ADD = both(
        "insert into data_keys (kind, state, secret, created_at, changed_at) values ($1, 0, $2, $3, $3)
         on conflict do nothing");
    static DROP = both("delete from data_keys where kind = $1 and id = $2 and state = 1");
    // Two who rotate at once take turns.
    static ONE_AT_A_TIME = per_engine {
        sqlite: "select 1",
        postgres: "select pg_advisory_xact_lock(7308324, 3)",
    };
}

/// A key, as far as anybody may know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DataKeyView {
    /// Its number: what it sealed begins with it.
    pub id: i64,
    /// `active`: it seals; `retiring`: it only opens.
    pub state: String,
    /// Milliseconds since the epoch.
    #[schema(value_type = i64)]
    pub created_at: Millis,
    /// Milliseconds since the epoch.
    #[schema(value_type = i64)]
    pub changed_at: Millis,
}

/// The keys of one kind. Cheap to clone.
#[derive(Clone)]
pub struct DataKeys(Arc<Inner>);

struct Inner {
    store: Store,
    kind: &'static str,
    own: Cipher,
    known: RwLock<Arc<Ring>>,
}

#[derive(Default)]
struct Ring {
    active: Option<i64>,
    keys: BTreeMap<i64, Cipher>,
    views: Vec<DataKeyView>,
}

/// There is no key yet to seal with: the store has not been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no key to seal with is known yet: the store has not answered")]
pub struct NoDataKey;

/// Why something does not open.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CannotOpen {
    /// Its key is not among ours. Perhaps it is another house's; it is no verdict on what was sealed.
    #[error("it was sealed under the key {0}, which is not known here")]
    UnknownKey(i64),
    /// It was altered, or sealed for another record.
    #[error(transparent)]
    NotSealedHere(#[from] NotSealedHere),
    /// The store does not say which keys there are.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DataKeys {
    /// The keys of that kind in that store; none is known until [`DataKeys::ensure`].
    pub fn new(store: Store, root: &RootKey, kind: &'static str) -> Self {
        let own = root.cipher(Purpose::DataKeys);
        Self(Arc::new(Inner { store, kind, own, known: RwLock::default() }))
    }

    /// Reads the keys; makes the first.
    pub async fn ensure(&self) -> Result<(), StoreError> {
        self.load().await?;
        if self.active().is_none() {
            self.change(Then::OnlyIfNone).await?;
        }
        Ok(())
    }

    /// Seals under a new key from now on; what older ones sealed still opens. Its number.
    pub async fn rotate(&self) -> Result<Option<i64>, StoreError> {
        self.change(Then::InItsPlace).await?;
        Ok(self.active())
    }

    /// Drops a key that nothing is sealed under any more; false when it seals, or is not there.
    pub async fn forget(&self, id: i64) -> Result<bool, StoreError> {
        let forgotten = self.0.store.run(Forget { kind: self.0.kind, id }).await?;
        self.load().await?;
        self.0.store.signals().send(TOPIC);
        Ok(forgotten)
    }

    /// The number of the key that seals.
    pub fn active(&self) -> Option<i64> {
        self.known().active
    }

    /// The keys, oldest first.
    pub fn list(&self) -> Vec<DataKeyView> {
        self.known().views.clone()
    }

    /// Seals `plain` for the record of that name.
    pub fn seal(&self, record: &str, plain: &[u8]) -> Result<String, NoDataKey> {
        let ring = self.known();
        let (id, cipher) = ring.active.and_then(|id| Some((id, ring.keys.get(&id)?))).ok_or(NoDataKey)?;
        Ok(format!("{id}.{}", URL_SAFE_NO_PAD.encode(cipher.seal(record, plain))))
    }

    /// Opens what was sealed for the record of that name; zeroised when dropped.
    pub async fn open(&self, record: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, CannotOpen> {
        let (id, text) = sealed.split_once('.').ok_or(NotSealedHere)?;
        let id: i64 = id.parse().map_err(|_| NotSealedHere)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotSealedHere)?;
        if !self.known().keys.contains_key(&id) {
            self.load().await?;
        }
        let ring = self.known();
        let cipher = ring.keys.get(&id).ok_or(CannotOpen::UnknownKey(id))?;
        Ok(cipher.open(record, &bytes)?)
    }

    /// Reads the keys anew.
    pub async fn load(&self) -> Result<(), StoreError> {
        let kept = self.0.store.scan(List(self.0.kind)).await?;
        self.take_in(&kept);
        Ok(())
    }

    async fn change(&self, then: Then) -> Result<(), StoreError> {
        let secret = self.0.own.seal(self.0.kind, RootKey::generate().reveal().as_bytes());
        let now = self.0.store.clock().now();
        self.take_in(&self.0.store.run(Change { kind: self.0.kind, then, secret, now }).await?);
        self.0.store.signals().send(TOPIC);
        Ok(())
    }

    /// A key that does not open is of another root key: what it sealed is not ours to open.
    fn take_in(&self, kept: &[Kept]) {
        let mut ring = Ring::default();
        for it in kept {
            let Some(cipher) = self.cipher(&it.secret) else { continue };
            if it.view.state == "active" {
                ring.active = Some(it.view.id);
            }
            ring.keys.insert(it.view.id, cipher);
            ring.views.push(it.view.clone());
        }
        *self.0.known.write() = Arc::new(ring);
    }

    fn cipher(&self, secret: &[u8]) -> Option<Cipher> {
        let text = self.0.own.open(self.0.kind, secret).ok()?;
        let key = RootKey::parse(std::str::from_utf8(&text).ok()?).ok()?;
        Some(key.cipher(Purpose::Data))
    }

    fn known(&self) -> Arc<Ring> {
        Arc::clone(&self.0.known.read())
    }
}

struct Kept {
    view: DataKeyView,
    secret: Vec<u8>,
}

fn kept(row: &Row<'_>) -> Result<Kept, StoreError> {
    let state = if row.int(1)? == 0 { "active" } else { "retiring" }.to_owned();
    let (created_at, changed_at) = (Millis::new(row.int(2)?), Millis::new(row.int(3)?));
    let view = DataKeyView { id: row.int(0)?, state, created_at, changed_at };
    Ok(Kept { view, secret: row.bytes(4)?.to_vec() })
}

struct List(&'static str);

impl Operation for List {
    const NAME: &'static str = "data_keys.list";
    type Output = Vec<Kept>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Kept>, StoreError> {
        tx.query(&LIST, &[self.0.into()], kept).await
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    OnlyIfNone,
    InItsPlace,
}

struct Change {
    kind: &'static str,
    then: Then,
    secret: Vec<u8>,
    now: Millis,
}

impl Operation for Change {
    const NAME: &'static str = "data_keys.change";
    type Output = Vec<Kept>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Kept>, StoreError> {
        tx.query(&ONE_AT_A_TIME, &[], |_| Ok(())).await?;
        if self.then == Then::InItsPlace {
            tx.execute(&RETIRE, &[self.kind.into(), self.now.into()]).await?;
        }
        tx.execute(&ADD, &[self.kind.into(), self.secret.as_slice().into(), self.now.into()]).await?;
        tx.query(&LIST, &[self.kind.into()], kept).await
    }
}

struct Forget {
    kind: &'static str,
    id: i64,
}

impl Operation for Forget {
    const NAME: &'static str = "data_keys.forget";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = bool;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        Ok(tx.execute(&DROP, &[self.kind.into(), self.id.into()]).await? == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::testing::engines;

    #[tokio::test]
    async fn what_an_older_key_sealed_opens_until_the_key_is_forgotten() {
        for test in engines(&[crate::MIGRATIONS]).await {
            let root = RootKey::generate();
            let keys = DataKeys::new(test.store.clone(), &root, "tokens");
            assert_eq!(keys.seal("a", b"x"), Err(NoDataKey));
            keys.ensure().await.expect("the store answers");
            let first = keys.active().expect("one");
            let sealed = keys.seal("a", b"secret").expect("a key");

            let second = keys.rotate().await.expect("the store answers").expect("one");
            assert_ne!(first, second);
            assert!(keys.seal("a", b"x").expect("a key").starts_with(&format!("{second}.")));
            assert_eq!(keys.open("a", &sealed).await.expect("opens").as_slice(), b"secret");
            assert!(!keys.forget(second).await.expect("the store answers"), "it seals");
            assert!(keys.forget(first).await.expect("the store answers"));
            assert!(matches!(keys.open("a", &sealed).await, Err(CannotOpen::UnknownKey(id)) if id == first));
        }
    }

    #[tokio::test]
    async fn a_node_that_meets_an_unknown_key_reads_the_keys_once_more() {
        for test in engines(&[crate::MIGRATIONS]).await {
            let root = RootKey::generate();
            let (here, there) = (
                DataKeys::new(test.store.clone(), &root, "tokens"),
                DataKeys::new(test.store.clone(), &root, "tokens"),
            );
            here.ensure().await.expect("the store answers");
            there.ensure().await.expect("the store answers");
            assert_eq!(here.active(), there.active());
            here.rotate().await.expect("the store answers");
            let sealed = here.seal("a", b"secret").expect("a key");
            assert_eq!(there.open("a", &sealed).await.expect("opens").as_slice(), b"secret");
        }
    }

    #[tokio::test]
    async fn what_is_sealed_opens_for_its_record_its_kind_and_its_root_alone() {
        let test = store::testing::sqlite(&[crate::MIGRATIONS]).await;
        let root = RootKey::generate();
        let keys = DataKeys::new(test.store.clone(), &root, "tokens");
        keys.ensure().await.expect("the store answers");
        let sealed = keys.seal("grant/1/access", b"secret").expect("a key");
        assert!(matches!(keys.open("grant/2/access", &sealed).await, Err(CannotOpen::NotSealedHere(_))));
        assert!(matches!(keys.open("grant/1/access", "nonsense").await, Err(CannotOpen::NotSealedHere(_))));
        let stranger = DataKeys::new(test.store.clone(), &RootKey::generate(), "tokens");
        assert!(matches!(stranger.open("grant/1/access", &sealed).await, Err(CannotOpen::UnknownKey(_))));
    }
}
