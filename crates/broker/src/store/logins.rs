//! Which relying parties an account has logged in to.

use super::registry::client_id;
use super::rows::About;
use crate::ClientId;
use account::{AccountId, Millis};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use store::{Operation, RowSet, StoreError, Tx};
use utoipa::ToSchema;

store::statements! {
    // By the index, account by account, however little PostgreSQL knows of the table's size: it would plan a scan.
    pub(super) static OF = per_engine {
        sqlite:
            "select l.idp, l.subject, l.client_id from {each $1: idp text, subject text} as r
             join rp_logins l on l.idp = r.idp and l.subject = r.subject
             order by l.first_at, l.client_id",
        postgres:
            "select l.idp, l.subject, l.client_id from {rows $1: idp text, subject text} as r cross join lateral
               (select * from rp_logins x where x.idp = r.idp and x.subject = r.subject limit 100000) as l
             order by l.first_at, l.client_id",
    };
    pub(super) static REMEMBER = both(
        "insert into rp_logins (idp, subject, client_id, first_at, last_at)
         select r.idp, r.subject, r.client_id, r.first_at, r.last_at
         from {each $1: idp text, subject text, client_id text, first_at bigint, last_at bigint} as r where true
         on conflict (idp, subject, client_id) do update set
           first_at = {least}(rp_logins.first_at, excluded.first_at),
           last_at = {greatest}(rp_logins.last_at, excluded.last_at)");
    // One account at a time: a set would be planned as a scan of a table that PostgreSQL knows nothing of yet.
    pub(super) static FORGET = both("delete from rp_logins where idp = $1 and subject = $2");
    pub(super) static SHOW = both(
        "select client_id, first_at, last_at from rp_logins where idp = $1 and subject = $2 order by first_at, client_id");
}

/// The clients of each account, in the order of their first login.
pub(crate) type Logins = BTreeMap<AccountId, Vec<ClientId>>;

#[derive(Serialize)]
struct AccountRow<'a> {
    idp: &'a str,
    subject: &'a str,
}

impl<'a> From<&'a AccountId> for AccountRow<'a> {
    fn from(account: &'a AccountId) -> Self {
        Self { idp: account.idp.as_str(), subject: account.subject.as_str() }
    }
}

/// Accounts, as rows.
pub(crate) fn account_rows<'a>(accounts: impl IntoIterator<Item = &'a AccountId>) -> RowSet {
    RowSet::of(accounts.into_iter().map(AccountRow::from))
}

pub(crate) async fn logins_of(
    tx: &mut Tx<'_>,
    accounts: &BTreeSet<&AccountId>,
) -> Result<Logins, StoreError> {
    let mut logins = Logins::new();
    if accounts.is_empty() {
        return Ok(logins);
    }
    let rows = account_rows(accounts.iter().copied());
    let found = tx
        .query(&OF, &[(&rows).into()], |row| {
            Ok((About::from_columns(row.text(0)?, row.text(1)?)?, client_id(row.text(2)?)?))
        })
        .await?;
    for (about, client_id) in found {
        if let About::Account(account) = about {
            logins.entry(account).or_default().push(client_id);
        }
    }
    Ok(logins)
}

/// A login to remember.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Remembered {
    pub(crate) account: AccountId,
    pub(crate) client_id: ClientId,
    pub(crate) at: Millis,
}

pub(crate) async fn remember(tx: &mut Tx<'_>, logins: &[Remembered]) -> Result<(), StoreError> {
    #[derive(Serialize)]
    struct Row<'a> {
        idp: &'a str,
        subject: &'a str,
        client_id: &'a str,
        first_at: Millis,
        last_at: Millis,
    }
    if logins.is_empty() {
        return Ok(());
    }
    // One statement touches a row once: the same login twice in a batch is one, with the first and the last time.
    let mut spans: BTreeMap<(&AccountId, &ClientId), (Millis, Millis)> = BTreeMap::new();
    for Remembered { account, client_id, at } in logins {
        let (first, last) = spans.entry((account, client_id)).or_insert((*at, *at));
        (*first, *last) = ((*first).min(*at), (*last).max(*at));
    }
    let rows = spans.into_iter().map(|((account, client_id), (first_at, last_at))| Row {
        idp: account.idp.as_str(),
        subject: account.subject.as_str(),
        client_id: client_id.as_str(),
        first_at,
        last_at,
    });
    tx.execute(&REMEMBER, &[(&RowSet::of(rows)).into()]).await.map(drop)
}

/// Forgets every login of deleted accounts.
pub(crate) async fn forget(tx: &mut Tx<'_>, accounts: &BTreeSet<&AccountId>) -> Result<(), StoreError> {
    for account in accounts {
        tx.execute(&FORGET, &[account.idp.as_str().into(), account.subject.as_str().into()]).await?;
    }
    Ok(())
}

/// A login as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RememberedLogin {
    /// The relying party.
    #[schema(value_type = String)]
    pub client_id: ClientId,
    /// The first login, milliseconds since the epoch.
    #[schema(value_type = i64)]
    pub first_at: Millis,
    /// The last one.
    #[schema(value_type = i64)]
    pub last_at: Millis,
}

/// The logins of one account.
pub(crate) struct ShowLogins(pub(crate) AccountId);

impl Operation for ShowLogins {
    const NAME: &'static str = "broker.show_logins";
    type Output = Vec<RememberedLogin>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let account = [self.0.idp.as_str().into(), self.0.subject.as_str().into()];
        tx.query(&SHOW, &account, |row| {
            Ok(RememberedLogin {
                client_id: client_id(row.text(0)?)?,
                first_at: Millis::new(row.int(1)?),
                last_at: Millis::new(row.int(2)?),
            })
        })
        .await
    }
}
