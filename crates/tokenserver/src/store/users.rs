//! A user's rows, and how many users there are.

use super::nodes;
use crate::rules::ServiceName;
use account::Millis;
use serde::{Deserialize, Serialize};
use store::{Operation, StoreError, Tx};
use utoipa::ToSchema;

/// How many rows of a user are shown.
const MOST_SHOWN: i64 = 200;

store::statements! {
    static OF_EMAIL = both(
        "select u.uid, u.nodeid, n.node, u.generation, u.client_state, u.keys_changed_at, u.created_at, u.replaced_at
        from users u left join nodes n on n.id = u.nodeid
        where u.email = $1 and u.service + 0 = $2
        order by u.created_at desc, u.uid desc limit $3"
    );
    static EMAIL_OF = both("select email from users where uid = $1 and service + 0 = $2");
    /// Over all services, as the field counts.
    static COUNT = both("select count(*) from users where replaced_at is null and created_at <= $1");
}

/// One row of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct UserRow {
    /// Its id: the user's data is under it on the node.
    pub uid: i64,
    /// Its node's id.
    pub node_id: i64,
    /// Its node; absent when there is no such node any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The highest generation seen; 0 when none was.
    pub generation: i64,
    /// The fingerprint of the key, in hex.
    pub client_state: String,
    /// When the keys changed; absent when nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_changed_at: Option<i64>,
    /// When it was made, in milliseconds since the epoch.
    #[schema(value_type = i64)]
    pub created_at: Millis,
    /// When it was replaced; absent while it is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub replaced_at: Option<Millis>,
}

/// Who: by the name in the rows, or by the id of one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UserName {
    /// `subject@domain`.
    Email(String),
    /// The id of a row.
    Uid(i64),
}

/// A user's rows in a service, the newest first; with the name in them. `None` when there are none.
pub(crate) struct FindUser(pub ServiceName, pub UserName);

impl Operation for FindUser {
    const NAME: &'static str = "tokenserver.find_user";
    type Output = Option<(String, Vec<UserRow>)>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let service = nodes::service_id(tx, &self.0).await?;
        let email = match &self.1 {
            UserName::Email(email) => Some(email.clone()),
            UserName::Uid(uid) => {
                tx.query_opt(&EMAIL_OF, &[(*uid).into(), service.into()], |row| Ok(row.text(0)?.to_owned()))
                    .await?
            }
        };
        let Some(email) = email else { return Ok(None) };
        let rows = tx
            .query(&OF_EMAIL, &[(&email).into(), service.into(), MOST_SHOWN.into()], |row| {
                Ok(UserRow {
                    uid: row.int(0)?,
                    node_id: row.int(1)?,
                    node: row.opt_text(2)?.map(str::to_owned),
                    generation: row.int(3)?,
                    client_state: row.text(4)?.to_owned(),
                    keys_changed_at: row.opt_int(5)?,
                    created_at: Millis::new(row.int(6)?),
                    replaced_at: row.opt_int(7)?.map(Millis::new),
                })
            })
            .await?;
        Ok(Some((email, rows)).filter(|(_, rows)| !rows.is_empty()))
    }
}

/// How many live rows were made until then.
pub(crate) struct CountUsers(pub Millis);

impl Operation for CountUsers {
    const NAME: &'static str = "tokenserver.count_users";
    type Output = i64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<i64, StoreError> {
        tx.query_one(&COUNT, &[self.0.into()], |row| row.int(0)).await
    }
}
