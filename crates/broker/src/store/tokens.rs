//! The tokens by which relying parties authorise themselves to us, kept as keyed hashes.

use super::registry::client_id;
use crate::ClientId;
use account::Millis;
use store::{Operation, PointRead, Rows, Sql, StoreError, Tx, Value};

store::statements! {
    pub(super) static FIND = both("select client_id, scopes, expires_at from rp_tokens where hash = $1");
    pub(super) static ADD = both(
        "insert into rp_tokens (hash, client_id, scopes, created_at, expires_at) values ($1, $2, $3, $4, $5)");
    pub(super) static REVOKE = both("delete from rp_tokens where client_id = $1");
}

/// A token, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptToken {
    pub(crate) client_id: ClientId,
    pub(crate) scopes: String,
    pub(crate) expires_at: Option<Millis>,
}

/// Looks a token up.
pub(crate) struct FindToken<'a>(pub(crate) &'a str);

impl PointRead for FindToken<'_> {
    const NAME: &'static str = "broker.find_token";
    type Output = Option<KeptToken>;

    fn sql(&self) -> &'static Sql {
        &FIND
    }

    fn params(&self) -> impl AsRef<[Value<'_>]> + Send {
        [self.0.into()]
    }

    fn read(&self, rows: Rows<'_>) -> Result<Self::Output, StoreError> {
        rows.first(|row| {
            Ok(KeptToken {
                client_id: client_id(row.text(0)?)?,
                scopes: row.text(1)?.to_owned(),
                expires_at: row.opt_int(2)?.map(Millis::new),
            })
        })
    }
}

/// Keeps a token's hash.
pub(crate) struct AddToken {
    pub(crate) hash: String,
    pub(crate) token: KeptToken,
    pub(crate) now: Millis,
}

impl Operation for AddToken {
    const NAME: &'static str = "broker.add_token";
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let KeptToken { client_id, scopes, expires_at } = &self.token;
        let row = [
            (&self.hash).into(),
            client_id.as_str().into(),
            scopes.into(),
            self.now.into(),
            (*expires_at).into(),
        ];
        tx.execute(&ADD, &row).await.map(drop)
    }
}

/// Revokes every token of a relying party; how many there were.
pub(crate) struct RevokeTokens(pub(crate) ClientId);

impl Operation for RevokeTokens {
    const NAME: &'static str = "broker.revoke_tokens";
    type Output = u64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        tx.execute(&REVOKE, &[self.0.as_str().into()]).await
    }
}
