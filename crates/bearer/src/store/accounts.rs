use super::record::locked;
use account::{AccountId, Millis};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Operation, PointRead, Rows, Sql, StoreError, Tx, Value};
use utoipa::ToSchema;
use verify::{AfterChange, Facts, Judgement, judge};

store::statements! {
    static FIND = both(
        "select email, locale, profile_at, created_at from bearer_accounts where idp = $1 and subject = $2");
    static CREATE = both(
        "insert into bearer_accounts (idp, subject, email, locale, profile_at, created_at)
         values ($1, $2, $3, $4, $5, $5) on conflict (idp, subject) do nothing");
    // What is older than what is known changes nothing.
    static UPDATE = both(
        "update bearer_accounts set email = coalesce($3, email), locale = coalesce($4, locale), profile_at = $5
         where idp = $1 and subject = $2 and profile_at <= $5");
    static FORGET = both("delete from bearer_accounts where idp = $1 and subject = $2");
}

/// An account that came here itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct LocalAccount {
    /// Its e-mail address.
    pub email: String,
    /// Its language tag, when the identity provider told one.
    pub locale: Option<String>,
    /// How old the e-mail address and the locale are; milliseconds since the epoch.
    #[schema(value_type = i64)]
    pub profile_at: Millis,
    /// Since when it is here; milliseconds since the epoch.
    #[schema(value_type = i64)]
    pub created_at: Millis,
}

/// Finds an account that came here itself.
pub(crate) struct Find<'a>(pub &'a AccountId);

impl PointRead for Find<'_> {
    const NAME: &'static str = "bearer.find_account";
    type Output = Option<LocalAccount>;

    fn sql(&self) -> &'static Sql {
        &FIND
    }

    fn params(&self) -> impl AsRef<[Value<'_>]> + Send {
        [self.0.idp.as_str().into(), self.0.subject.as_str().into()]
    }

    fn read(&self, rows: Rows<'_>) -> Result<Self::Output, StoreError> {
        rows.first(|row| {
            Ok(LocalAccount {
                email: row.text(0)?.to_owned(),
                locale: row.opt_text(1)?.map(str::to_owned),
                profile_at: Millis::new(row.int(2)?),
                created_at: Millis::new(row.int(3)?),
            })
        })
    }
}

/// Creates the account of a token, unless it is there, or something happened to it since the token was checked.
pub(crate) struct Create {
    pub facts: Arc<Facts>,
    pub after_change: AfterChange,
    /// The account's hash, by [`ledger::Tombstones::hash`].
    pub tombstone: String,
    pub email: String,
    pub locale: Option<String>,
    pub now: Millis,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Created {
    /// It is new, and ours.
    New,
    /// Somebody was faster.
    Known,
    /// By what is on record now, the token is not simply good any more.
    NotGood(Judgement),
}

impl Operation for Create {
    const NAME: &'static str = "bearer.create_account";
    // Run again, it finds the row that it made.
    const RESOLVES_UNKNOWN: bool = true;
    type Output = Created;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Created, StoreError> {
        let account = self.facts.account();
        tx.lock_accounts(std::slice::from_ref(&account)).await?;
        let record = locked(tx, &account, &self.tombstone).await?;
        match judge(&self.facts, &record, self.after_change) {
            Judgement::Counts => {}
            other => return Ok(Created::NotGood(other)),
        }
        let params = [
            account.idp.as_str().into(),
            account.subject.as_str().into(),
            (&self.email).into(),
            self.locale.as_deref().into(),
            self.now.into(),
        ];
        Ok(if tx.execute(&CREATE, &params).await? == 1 { Created::New } else { Created::Known })
    }
}

/// What an event says of an account's profile.
pub(crate) async fn update(
    tx: &mut Tx<'_>,
    account: &AccountId,
    email: Option<&str>,
    locale: Option<&str>,
    at: Millis,
) -> Result<(), StoreError> {
    let (idp, subject) = (account.idp.as_str(), account.subject.as_str());
    let params = [idp.into(), subject.into(), email.into(), locale.into(), at.into()];
    tx.execute(&UPDATE, &params).await.map(drop)
}

/// Forgets an account that is gone.
pub(crate) async fn forget(tx: &mut Tx<'_>, account: &AccountId) -> Result<(), StoreError> {
    tx.execute(&FORGET, &[account.idp.as_str().into(), account.subject.as_str().into()]).await.map(drop)
}
