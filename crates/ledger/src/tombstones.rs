use account::{AccountId, Mark, Millis};
use aws_lc_rs::hmac;
use keys::{Purpose, RootKey};
use serde::Serialize;
use std::time::Duration;
use store::{RowSet, StoreError, Tx};

store::statements! {
    static BURY = both(
        "insert into tombstones (account, deleted_at, expires_at)
         select r.account, r.deleted_at, r.expires_at
         from {each $1: account text, deleted_at bigint, expires_at bigint} as r where true
         on conflict (account) do update set
           deleted_at = {greatest}(tombstones.deleted_at, excluded.deleted_at),
           expires_at = {greatest}(tombstones.expires_at, excluded.expires_at)");
    pub(crate) static AMONG = both(
        "select f.at, f.deleted_at from
           (select r.at as at, (select t.deleted_at from tombstones t where t.account = r.account limit 1) as deleted_at
            from {each $1: at bigint, account text} as r) as f
         where f.deleted_at is not null");
}

/// What remains of a deleted account when its row is forgotten: a keyed hash and its mark, that is the time of the
/// deletion, so that a token born before it is refused for as long as one can live.
#[derive(Clone)]
pub struct Tombstones {
    key: hmac::Key,
    life: Duration,
}

#[derive(Serialize)]
struct BuriedRow {
    account: String,
    deleted_at: i64,
    expires_at: i64,
}

#[derive(Serialize)]
struct AskedRow {
    at: usize,
    account: String,
}

impl Tombstones {
    /// How long they are kept unless tokens live longer.
    pub const LEAST_LIFE: Duration = Duration::from_hours(400 * 24);

    /// Tombstones hashed under the root key, kept for `max(token_life, 400 days)`.
    pub fn new(root: &RootKey, token_life: Duration) -> Self {
        Self { key: root.hmac_key(Purpose::Tombstones), life: token_life.max(Self::LEAST_LIFE) }
    }

    /// The account's keyed hash: 64 hex digits.
    pub fn hash(&self, account: &AccountId) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(account.idp.as_str().as_bytes());
        context.update(&[0]);
        context.update(account.subject.as_str().as_bytes());
        hex::encode(context.sign())
    }

    /// Which of the accounts have one: their place in the list, and when they were deleted.
    pub async fn among(
        &self,
        tx: &mut Tx<'_>,
        accounts: &[&AccountId],
    ) -> Result<Vec<(usize, Millis)>, StoreError> {
        if accounts.is_empty() {
            return Ok(Vec::new());
        }
        let asked =
            accounts.iter().enumerate().map(|(at, account)| AskedRow { at, account: self.hash(account) });
        tx.query(&AMONG, &[(&RowSet::of(asked)).into()], |row| {
            Ok((usize::try_from(row.int(0)?).unwrap_or(usize::MAX), Millis::new(row.int(1)?)))
        })
        .await
    }

    pub(crate) async fn bury(
        &self,
        tx: &mut Tx<'_>,
        deleted: &[(AccountId, Mark)],
    ) -> Result<(), StoreError> {
        if deleted.is_empty() {
            return Ok(());
        }
        let rows = deleted.iter().map(|(account, mark)| BuriedRow {
            account: self.hash(account),
            deleted_at: mark.get(),
            expires_at: Millis::new(mark.get()).plus(self.life).get(),
        });
        tx.execute(&BURY, &[(&RowSet::of(rows)).into()]).await.map(drop)
    }
}
