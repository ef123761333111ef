//! What is sealed with a key that retires is sealed anew, in the background: by who has the lease, a chunk at a time.

use super::rows::grant_id;
use crate::GrantId;
use serde::Serialize;
use store::{Operation, RowSet, StoreError, Tx};

const CHUNK: i64 = 200;

store::statements! {
    // By the number that every sealed text begins with; those that are on their way are left for later.
    static GRANTS = both(
        "select id, generation, access_token, refresh_token, dpop_key, id_token from grants
         where state < 3 and owner is null and access_token is not null and id > $2
           and (access_token not like $1 or refresh_token not like $1 or dpop_key not like $1 or id_token not like $1)
         order by id limit $3");
    static ANY = both(
        "select 1 from grants
         where (access_token like $1 or refresh_token like $1 or dpop_key like $1 or id_token like $1) limit 1");
    // They are not sealed anew: they are gone within the hour.
    static ANY_CODE = both("select 1 from session_codes where state = 1 and access_token like $1 limit 1");
    static ANY_REVOCATION = both(
        "select 1 from session_revocations where state = 0 and (token like $1 or access_token like $1) limit 1");
    static WRITE = both(concat!(
        "update grants set access_token = r.access_token, refresh_token = r.refresh_token, dpop_key = r.dpop_key,
           id_token = case when grants.id_token is null then null else r.id_token end
         from ",
        few!("{rows $1: id text, generation bigint, old text, access_token text, refresh_token text, dpop_key text,
           id_token text}"),
        " as r
         where grants.id = r.id and grants.generation = r.generation and grants.owner is null and grants.state < 3
           and grants.access_token = r.old"));
    static REVOCATIONS = both(
        "select id, grant_id, generation, token, access_token from session_revocations
         where state = 0 and (token not like $1 or access_token not like $1) order by id limit $2");
    static WRITE_REVOCATION = both(concat!(
        "update session_revocations set token = r.token, access_token = r.access_token from ",
        few!("{rows $1: id bigint, token text, access_token text}"),
        " as r where session_revocations.id = r.id and session_revocations.state = 0"));
}

/// What a key's sealed texts look like.
fn like(key: i64) -> String {
    format!("{key}.%")
}

/// A grant's sealed tokens.
pub(crate) struct Old {
    pub(crate) id: GrantId,
    pub(crate) generation: i64,
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
    pub(crate) dpop_key: Option<String>,
    pub(crate) id_token: Option<String>,
}

/// Finds grants with tokens that another key than this sealed.
pub(crate) struct FindOld {
    pub(crate) active: i64,
    pub(crate) after: String,
}

impl Operation for FindOld {
    const NAME: &'static str = "sessions.find_old_seals";
    type Output = Vec<Old>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Old>, StoreError> {
        let like = like(self.active);
        let params = [(&like).into(), (&self.after).into(), CHUNK.into()];
        tx.query(&GRANTS, &params, |row| {
            Ok(Old {
                id: grant_id(row.text(0)?)?,
                generation: row.int(1)?,
                access_token: row.text(2)?.to_owned(),
                refresh_token: row.opt_text(3)?.map(str::to_owned),
                dpop_key: row.opt_text(4)?.map(str::to_owned),
                id_token: row.opt_text(5)?.map(str::to_owned),
            })
        })
        .await
    }
}

/// A grant's tokens, sealed anew.
#[derive(Clone, Serialize)]
pub(crate) struct Anew {
    pub(crate) id: GrantId,
    pub(crate) generation: i64,
    /// The access token as it was sealed: only if it still is.
    pub(crate) old: String,
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
    pub(crate) dpop_key: Option<String>,
    pub(crate) id_token: Option<String>,
}

/// Writes them.
pub(crate) struct WriteAnew(pub(crate) Vec<Anew>);

impl Operation for WriteAnew {
    const NAME: &'static str = "sessions.reseal";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = u64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        tx.execute(&WRITE, &[(&RowSet::of(&self.0)).into()]).await
    }
}

/// Tokens that are to be revoked, sealed; of a pending row they never change but by being sealed anew.
pub(crate) struct OldRevocation {
    pub(crate) id: i64,
    pub(crate) grant: GrantId,
    pub(crate) generation: i64,
    pub(crate) refresh_token: Option<String>,
    pub(crate) access_token: Option<String>,
}

/// Finds tokens to revoke that another key than this sealed.
pub(crate) struct FindOldRevocations(pub(crate) i64);

impl Operation for FindOldRevocations {
    const NAME: &'static str = "sessions.find_old_revocations";
    type Output = Vec<OldRevocation>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let like = like(self.0);
        tx.query(&REVOCATIONS, &[(&like).into(), CHUNK.into()], |row| {
            Ok(OldRevocation {
                id: row.int(0)?,
                grant: grant_id(row.text(1)?)?,
                generation: row.int(2)?,
                refresh_token: row.opt_text(3)?.map(str::to_owned),
                access_token: row.opt_text(4)?.map(str::to_owned),
            })
        })
        .await
    }
}

/// Tokens to revoke, sealed anew.
#[derive(Clone, Serialize)]
pub(crate) struct RevocationAnew {
    pub(crate) id: i64,
    pub(crate) token: Option<String>,
    pub(crate) access_token: Option<String>,
}

/// Writes them.
pub(crate) struct WriteRevocationsAnew(pub(crate) Vec<RevocationAnew>);

impl Operation for WriteRevocationsAnew {
    const NAME: &'static str = "sessions.reseal_revocations";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = u64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        tx.execute(&WRITE_REVOCATION, &[(&RowSet::of(&self.0)).into()]).await
    }
}

/// Whether anything is sealed with a key.
pub(crate) struct IsUsed(pub(crate) i64);

impl Operation for IsUsed {
    const NAME: &'static str = "sessions.is_key_used";
    type Output = bool;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        let like = like(self.0);
        let params = [(&like).into()];
        for sql in [&ANY, &ANY_REVOCATION, &ANY_CODE] {
            if tx.query_opt(sql, &params, |_| Ok(())).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
