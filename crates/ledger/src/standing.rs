use crate::apply::Ledger;
use account::{AccountId, Mark, Millis, State};
use serde::{Deserialize, Serialize};
use store::{PointRead, Rows, Sql, StoreError, Value};
use utoipa::ToSchema;

store::statements! {
    static STANDING = both(
        "select a.version, a.mark, a.credential_at, a.state, a.state_at, a.first_seen_at, a.updated_at, t.deleted_at,
           case when a.held_state = 1 then a.held_at end
         from (select 1 as one) as one
         left join accounts a on a.idp = $1 and a.subject = $2
         left join tombstones t on t.account = $3");
}

/// How an account stands, for whoever must decide about one of its grants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Standing {
    /// The number of its latest event.
    pub version: i64,
    /// Whatever was granted at or below it is refused; 0: nothing is.
    #[schema(value_type = i64)]
    pub mark: Mark,
    /// The latest change of its password; 0: none known.
    #[schema(value_type = i64)]
    pub credential_at: Millis,
    /// Whether it may act.
    #[schema(value_type = String)]
    pub state: State,
    /// The event time of the change that set the state.
    #[schema(value_type = i64)]
    pub state_at: Millis,
    /// Since when an operator holds it disabled; absent: none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub held_at: Option<Millis>,
    /// When it was first seen.
    #[schema(value_type = i64)]
    pub first_seen_at: Millis,
    /// When it last changed.
    #[schema(value_type = i64)]
    pub updated_at: Millis,
}

impl Ledger {
    /// How an account stands; `None` when nothing is known of it. One that was deleted and forgotten stands as its
    /// tombstone says.
    pub async fn standing(&self, account: &AccountId) -> Result<Option<Standing>, StoreError> {
        self.store.read(&ReadStanding { account, tombstone: self.tombstones.hash(account) }).await
    }
}

/// Reads an account's standing.
pub struct ReadStanding<'a> {
    /// Whose.
    pub account: &'a AccountId,
    /// Its hash, by [`Tombstones::hash`](crate::Tombstones::hash).
    pub tombstone: String,
}

impl PointRead for ReadStanding<'_> {
    const NAME: &'static str = "ledger.standing";
    type Output = Option<Standing>;

    fn sql(&self) -> &'static Sql {
        &STANDING
    }

    fn params(&self) -> impl AsRef<[Value<'_>]> + Send {
        [self.account.idp.as_str().into(), self.account.subject.as_str().into(), (&self.tombstone).into()]
    }

    fn read(&self, rows: Rows<'_>) -> Result<Self::Output, StoreError> {
        let standing = rows.first(|row| {
            let at = |column| Ok::<_, StoreError>(Millis::new(row.opt_int(column)?.unwrap_or_default()));
            Ok(match (row.opt_int(0)?, row.opt_int(7)?) {
                (Some(version), _) => Some(Standing {
                    version,
                    mark: Mark::at(at(1)?),
                    credential_at: at(2)?,
                    state: State::from_code(row.int(3)?),
                    state_at: at(4)?,
                    held_at: row.opt_int(8)?.map(Millis::new),
                    first_seen_at: at(5)?,
                    updated_at: at(6)?,
                }),
                (None, Some(deleted_at)) => Some(Standing {
                    mark: Mark::at(Millis::new(deleted_at)),
                    state: State::Deleted,
                    state_at: Millis::new(deleted_at),
                    ..Standing::default()
                }),
                (None, None) => None,
            })
        })?;
        Ok(standing.flatten())
    }
}
