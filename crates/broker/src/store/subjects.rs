//! Which accounts a relying party has asked to hear no more of (SSF 1.0 section 8.1.3).

use super::logins::account_rows;
use super::registry::client_id;
use super::rows::About;
use crate::{ClientId, Selection};
use account::{AccountId, Millis};
use std::collections::{BTreeMap, BTreeSet};
use store::{Operation, StoreError, Tx};

store::statements! {
    pub(super) static UNSUBSCRIBED = per_engine {
        sqlite:
            "select u.idp, u.subject, u.client_id from {rows $1: idp text, subject text} as r
             join unsubscribed_subjects u on u.idp = r.idp and u.subject = r.subject where u.effective_at <= $2",
        postgres:
            "select u.idp, u.subject, u.client_id from {rows $1: idp text, subject text} as r cross join lateral
               (select * from unsubscribed_subjects x where x.idp = r.idp and x.subject = r.subject
                  and x.effective_at <= $2 limit 100000) as u",
    };
    pub(super) static REMOVE = both(
        "insert into unsubscribed_subjects (client_id, idp, subject, effective_at) values ($1, $2, $3, $4)
         on conflict (idp, subject, client_id) do nothing");
    pub(super) static ADD = both("delete from unsubscribed_subjects where client_id = $1 and idp = $2 and subject = $3");
    pub(super) static FORGET = both("delete from unsubscribed_subjects where client_id = $1");
}

pub(crate) async fn unsubscribed(
    tx: &mut Tx<'_>,
    accounts: &BTreeSet<&AccountId>,
    now: Millis,
) -> Result<BTreeMap<AccountId, Selection>, StoreError> {
    let rows = account_rows(accounts.iter().copied());
    let found = tx
        .query(&UNSUBSCRIBED, &[(&rows).into(), now.into()], |row| {
            Ok((About::from_columns(row.text(0)?, row.text(1)?)?, client_id(row.text(2)?)?))
        })
        .await?;
    let mut unsubscribed: BTreeMap<AccountId, Selection> = BTreeMap::new();
    for (about, client_id) in found {
        if let About::Account(account) = about {
            unsubscribed.entry(account).or_default().insert(client_id);
        }
    }
    Ok(unsubscribed)
}

/// Adds or removes a subject of a relying party's stream. A removal takes effect only at its time: whoever got hold of
/// a receiver's token cannot blind it in a moment.
pub(crate) struct ChangeSubject {
    pub(crate) client_id: ClientId,
    pub(crate) account: AccountId,
    /// When the removal takes effect; `None` adds the subject.
    pub(crate) removed_from: Option<Millis>,
}

impl Operation for ChangeSubject {
    const NAME: &'static str = "broker.change_subject";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let Self { client_id, account, .. } = self;
        let mut row =
            vec![client_id.as_str().into(), account.idp.as_str().into(), account.subject.as_str().into()];
        let sql = match self.removed_from {
            Some(effective_at) => {
                row.push(effective_at.into());
                &REMOVE
            }
            None => &ADD,
        };
        tx.execute(sql, &row).await.map(drop)
    }
}

/// Forgets all that a relying party removed: with its stream.
pub(crate) async fn forget_all(tx: &mut Tx<'_>, client_id: &ClientId) -> Result<(), StoreError> {
    tx.execute(&FORGET, &[client_id.as_str().into()]).await.map(drop)
}
