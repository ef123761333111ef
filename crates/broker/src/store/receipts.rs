//! Deletion receipts: who was told that an account is gone, and who confirmed it. Kept by the account's keyed hash, so
//! that they outlive what is known of the account.

use super::registry::client_id;
use super::settle::Attempted;
use crate::ClientId;
use crate::delivery::{Next, Terminal};
use account::Millis;
use serde::{Deserialize, Serialize};
use store::{Operation, RowSet, StoreError, Tx};
use utoipa::ToSchema;

store::statements! {
    pub(super) static EXPECT = both(
        "insert into deletion_receipts (account, client_id, jti, requested_at, state, settled_at, reason)
         select r.account, r.client_id, r.jti, $2, r.state, r.settled_at, r.reason
         from {rows $1: account text, client_id text, jti text, state smallint, settled_at bigint, reason text} as r
         where true on conflict do nothing");
    // One at a time: a set would be planned as a scan of a table that PostgreSQL knows nothing of yet.
    pub(super) static SETTLE = both(
        "update deletion_receipts set state = $2, settled_at = $3, reason = $4 where jti = $1");
    pub(super) static SHOW = both(
        "select client_id, jti, requested_at, state, settled_at, reason from deletion_receipts where account = $1
         order by requested_at, client_id");
}

/// What a relying party owes or gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Expected<'a> {
    pub(crate) account: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) jti: &'a str,
    pub(crate) state: i64,
    pub(crate) settled_at: Option<Millis>,
    pub(crate) reason: Option<&'a str>,
}

/// Opens receipts for the deletions that are about to be told.
pub(crate) async fn expect(tx: &mut Tx<'_>, rows: &[Expected<'_>], now: Millis) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    tx.execute(&EXPECT, &[(&RowSet::of(rows)).into(), now.into()]).await.map(drop)
}

/// Closes the receipts of those deletions among the ended deliveries.
pub(crate) async fn settle(tx: &mut Tx<'_>, ended: &[&Attempted], now: Millis) -> Result<(), StoreError> {
    let row = |it: &&Attempted| match it.next {
        Next::Ended(how) if it.kind == "delete" => {
            Some((it.jti.clone(), how, it.attempt.detail.clone().filter(|_| how != Terminal::Delivered)))
        }
        _ => None,
    };
    close(tx, ended.iter().filter_map(row), now).await
}

/// Closes receipts by `jti`: how they ended, and why where that is not plain.
pub(crate) async fn close(
    tx: &mut Tx<'_>,
    ended: impl Iterator<Item = (String, Terminal, Option<String>)>,
    now: Millis,
) -> Result<(), StoreError> {
    for (jti, how, reason) in ended {
        let row = [(&jti).into(), how.code().into(), now.into(), reason.as_ref().into()];
        tx.execute(&SETTLE, &row).await?;
    }
    Ok(())
}

/// What one relying party was told of a deletion, and what it answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeletionReceipt {
    /// The relying party.
    #[schema(value_type = String)]
    pub client_id: ClientId,
    /// The token that told it.
    pub jti: String,
    /// When it was to be told, milliseconds since the epoch.
    #[schema(value_type = i64)]
    pub requested_at: Millis,
    /// `pending`, `delivered` (it confirmed), `exhausted`, `rejected` or `discarded`.
    pub state: String,
    /// When that was so.
    #[schema(value_type = Option<i64>)]
    pub settled_at: Option<Millis>,
    /// Why it is not delivered.
    pub reason: Option<String>,
}

/// The receipts of one account, by its keyed hash.
pub(crate) struct ShowReceipts(pub(crate) String);

impl Operation for ShowReceipts {
    const NAME: &'static str = "broker.show_receipts";
    type Output = Vec<DeletionReceipt>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        tx.query(&SHOW, &[(&self.0).into()], |row| {
            Ok(DeletionReceipt {
                client_id: client_id(row.text(0)?)?,
                jti: row.text(1)?.to_owned(),
                requested_at: Millis::new(row.int(2)?),
                state: Terminal::from_code(row.int(3)?).map_or("pending", Terminal::as_str).to_owned(),
                settled_at: row.opt_int(4)?.map(Millis::new),
                reason: row.opt_text(5)?.map(str::to_owned),
            })
        })
        .await
    }
}
