//! The stored signing keys, sealed.

use account::Millis;
use keys::Cipher;
use std::time::Duration;
use store::{Operation, StoreError, Tx};
use zeroize::Zeroizing;

/// Signalled after a change of the keys.
pub(crate) const TOPIC: &str = "broker.keys";

store::statements! {
    static ALL = both(
        "select kid, algorithm, state, private_jwk, created_at from signing_keys order by created_at, kid");
    // One who rotates or adds at a time, so that there is one current key of each algorithm.
    static ONE_AT_A_TIME = both("select revision from broker_registry {for_update}");
    static ADD = both(
        "insert into signing_keys (kid, algorithm, state, private_jwk, created_at, changed_at)
         values ($1, $2, $3, $4, $5, $5)");
    static MOVE = both("update signing_keys set state = $2, changed_at = $3 where kid = $1");
    static DROP_OLD = both("delete from signing_keys where state = 2 and changed_at < $1");
}

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum KeyState {
    /// Published, so that receivers know it before it signs.
    Next,
    /// Signs.
    Current,
    /// Published still, for what it signed.
    Retired,
}

impl KeyState {
    pub(crate) const fn code(self) -> i64 {
        match self {
            Self::Next => 0,
            Self::Current => 1,
            Self::Retired => 2,
        }
    }

    const fn from_code(code: i64) -> Self {
        match code {
            0 => Self::Next,
            1 => Self::Current,
            _ => Self::Retired,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Current => "current",
            Self::Retired => "retired",
        }
    }
}

/// A stored key, its private half in the clear.
pub(crate) struct StoredKey {
    pub(crate) kid: String,
    pub(crate) algorithm: String,
    pub(crate) state: KeyState,
    pub(crate) private_jwk: Zeroizing<Vec<u8>>,
    pub(crate) created_at: Millis,
}

async fn all(tx: &mut Tx<'_>, cipher: &Cipher) -> Result<Vec<StoredKey>, StoreError> {
    let rows = tx
        .query(&ALL, &[], |row| {
            let kid = row.text(0)?.to_owned();
            // A key sealed under another root key is not ours to use; it says nothing against the others.
            let Ok(private_jwk) = cipher.open(&kid, row.bytes(3)?) else {
                tracing::error!(kid, "a stored signing key does not open with this root key");
                return Ok(None);
            };
            Ok(Some(StoredKey {
                kid,
                algorithm: row.text(1)?.to_owned(),
                state: KeyState::from_code(row.int(2)?),
                private_jwk,
                created_at: Millis::new(row.int(4)?),
            }))
        })
        .await?;
    Ok(rows.into_iter().flatten().collect())
}

/// Reads the keys.
pub(crate) struct ReadKeys(pub(crate) Cipher);

impl Operation for ReadKeys {
    const NAME: &'static str = "broker.read_keys";
    type Output = Vec<StoredKey>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        all(tx, &self.0).await
    }
}

/// A key made just now, to be kept.
pub(crate) struct FreshKey {
    pub(crate) kid: String,
    pub(crate) private_jwk: Zeroizing<String>,
}

/// What became of keeping keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Everything was there.
    AsItWas,
    /// Something is another now.
    Changed,
    /// Receivers may not know the next key yet; they will after so long.
    TooSoon(Duration),
}

/// How keys are rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rotate {
    /// Not at all: only what is missing is made.
    No,
    /// When the next key has been published for so long.
    After(Duration),
    /// Whether receivers know the next key or not.
    AtOnce,
}

/// Keeps what is missing of an algorithm: a current and a next key. When it rotates, the next one becomes current, the
/// current one retires, and a fresh one is next.
pub(crate) struct KeepKeys {
    pub(crate) cipher: Cipher,
    pub(crate) algorithm: &'static str,
    pub(crate) fresh: [FreshKey; 2],
    pub(crate) rotate: Rotate,
    pub(crate) now: Millis,
}

impl Operation for KeepKeys {
    const NAME: &'static str = "broker.keep_keys";
    type Output = Kept;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Kept, StoreError> {
        tx.query(&ONE_AT_A_TIME, &[], |_| Ok(())).await?;
        let there = all(tx, &self.cipher).await?;
        let find = |state| there.iter().find(|it| it.algorithm == self.algorithm && it.state == state);
        let (current, next) = (find(KeyState::Current), find(KeyState::Next));
        let mut fresh = self.fresh.iter();
        let mut kept = Kept::AsItWas;
        if self.rotate != Rotate::No
            && let (Some(current), Some(next)) = (current, next)
        {
            if let Some(wait) = self.wait(current, next) {
                return Ok(Kept::TooSoon(wait));
            }
            self.set(tx, &current.kid, KeyState::Retired).await?;
            self.set(tx, &next.kid, KeyState::Current).await?;
            if let Some(fresh) = fresh.next() {
                self.add(tx, fresh, KeyState::Next).await?;
            }
            return Ok(Kept::Changed);
        }
        for (missing, state) in [(current, KeyState::Current), (next, KeyState::Next)] {
            if missing.is_none()
                && let Some(fresh) = fresh.next()
            {
                self.add(tx, fresh, state).await?;
                kept = Kept::Changed;
            }
        }
        Ok(kept)
    }
}

impl KeepKeys {
    /// How long the next key must be published yet. One that is as old as the current one has been all along.
    fn wait(&self, current: &StoredKey, next: &StoredKey) -> Option<Duration> {
        let Rotate::After(published) = self.rotate else { return None };
        let known_at = next.created_at.plus(published);
        (next.created_at > current.created_at && known_at > self.now).then(|| known_at.since(self.now))
    }

    async fn add(&self, tx: &mut Tx<'_>, key: &FreshKey, state: KeyState) -> Result<(), StoreError> {
        let sealed = self.cipher.seal(&key.kid, key.private_jwk.as_bytes());
        let row = [
            (&key.kid).into(),
            self.algorithm.into(),
            state.code().into(),
            sealed.as_slice().into(),
            self.now.into(),
        ];
        tx.execute(&ADD, &row).await.map(drop)
    }

    async fn set(&self, tx: &mut Tx<'_>, kid: &str, state: KeyState) -> Result<(), StoreError> {
        tx.execute(&MOVE, &[kid.into(), state.code().into(), self.now.into()]).await.map(drop)
    }
}

/// Drops keys that retired before then.
pub(crate) struct DropOldKeys(pub(crate) Millis);

impl Operation for DropOldKeys {
    const NAME: &'static str = "broker.drop_old_keys";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = u64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        tx.execute(&DROP_OLD, &[self.0.into()]).await
    }
}
