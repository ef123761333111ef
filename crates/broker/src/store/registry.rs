//! The relying parties, and the snapshot of them that routing reads.

use crate::{ClientId, Config, RelyingParty, Secrets, Status};
use account::Millis;
use keys::Cipher;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::{Operation, Row, RowSet, StoreError, Tx};
use utoipa::ToSchema;
use uuid::Uuid;

/// Signalled after a change of what routing reads.
pub(crate) const TOPIC: &str = "broker.registry";

store::statements! {
    pub(crate) static REVISION = both("select revision from broker_registry");
    static TOUCH = both("update broker_registry set revision = $1");
    static LOCK = both("select revision from broker_registry {for_update}");
    static ALL = both(
        "select client_id, config, secrets, status, status_reason, status_at, created_at, updated_at, origin
         from relying_parties order by client_id");
    static ONE = both(
        "select client_id, config, secrets, status, status_reason, status_at, created_at, updated_at, origin
         from relying_parties where client_id = $1 {for_update}");
    static ADD = both(
        "insert into relying_parties (client_id, config, secrets, status, status_reason, status_at, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $7)");
    static CHANGE = both(
        "update relying_parties set config = $2, secrets = $3, status = $4, status_reason = $5, status_at = $6,
           updated_at = $7 where client_id = $1");
    static SET_ORIGIN = both("update relying_parties set origin = $2 where client_id = $1");
    static REMOVE = both("delete from relying_parties where client_id = $1");
    static REMOVE_HEALTH = both("delete from rp_health where client_id = $1");
    static REMOVE_TOKENS = both("delete from rp_tokens where client_id = $1");
    static FETCHED = both("select client_id, capabilities from fetched_capabilities");
    static FORGET_FETCHED = both("delete from fetched_capabilities");
    static KEEP_FETCHED = both(
        "insert into fetched_capabilities (client_id, capabilities)
         select r.client_id, r.capabilities from {rows $1: client_id text, capabilities text} as r");
}

/// What fetched lists of capabilities say, by client.
pub(crate) type Capabilities = BTreeMap<ClientId, Vec<String>>;

/// Who says how a relying party is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Origin {
    /// Operators, by commands and the admin API.
    Operator,
    /// A file that the configuration names.
    File,
}

/// A relying party with the times of its row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KeptRp {
    pub(crate) rp: RelyingParty,
    pub(crate) origin: Origin,
    pub(crate) created_at: Millis,
    pub(crate) updated_at: Millis,
}

/// Everything that routing reads, at one revision.
pub(crate) async fn load(
    tx: &mut Tx<'_>,
    cipher: &Cipher,
) -> Result<(Vec<KeptRp>, Capabilities), StoreError> {
    let rps = tx.query(&ALL, &[], |row| kept(row, cipher)).await?;
    let fetched = tx
        .query(&FETCHED, &[], |row| {
            let capabilities = serde_json::from_str(row.text(1)?).map_err(|error| broken(&error))?;
            Ok((client_id(row.text(0)?)?, capabilities))
        })
        .await?;
    Ok((rps, fetched.into_iter().collect()))
}

/// Which revision the registry is at.
pub(crate) async fn revision(tx: &mut Tx<'_>) -> Result<String, StoreError> {
    tx.query_one(&REVISION, &[], |row| Ok(row.text(0)?.to_owned())).await
}

/// Makes every snapshot of before stale. A word that was never used before, so that one that is rolled back cannot be
/// mistaken for a later one.
async fn touch(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    tx.execute(&TOUCH, &[(&Uuid::new_v4().to_string()).into()]).await.map(drop)
}

/// Keeps every other change of the registry waiting until this one is committed.
pub(crate) async fn lock(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    tx.query(&LOCK, &[], |_| Ok(())).await.map(drop)
}

/// Says who says how a relying party is.
pub(crate) async fn set_origin(
    tx: &mut Tx<'_>,
    client_id: &ClientId,
    origin: Origin,
) -> Result<(), StoreError> {
    let code = i64::from(origin == Origin::File);
    tx.execute(&SET_ORIGIN, &[client_id.as_str().into(), code.into()]).await?;
    touch(tx).await
}

pub(crate) fn client_id(text: &str) -> Result<ClientId, StoreError> {
    ClientId::new(text).map_err(|error| broken(&error))
}

pub(crate) fn broken(error: &dyn std::error::Error) -> StoreError {
    StoreError::Statement { reason: format!("a row in the store is broken: {error}") }
}

fn kept(row: &Row<'_>, cipher: &Cipher) -> Result<KeptRp, StoreError> {
    let client_id = client_id(row.text(0)?)?;
    let config: Config = serde_json::from_str(row.text(1)?).map_err(|error| broken(&error))?;
    let opened = cipher.open(client_id.as_str(), row.bytes(2)?).map_err(|error| broken(&error))?;
    let secrets: Secrets = serde_json::from_slice(&opened).map_err(|error| broken(&error))?;
    let status = Status::from_code(row.int(3)?, row.opt_text(4)?);
    let status_at = Millis::new(row.int(5)?);
    Ok(KeptRp {
        rp: RelyingParty { client_id, config, secrets, status, status_at },
        origin: if row.int(8)? == 1 { Origin::File } else { Origin::Operator },
        created_at: Millis::new(row.int(6)?),
        updated_at: Millis::new(row.int(7)?),
    })
}

/// A relying party as its row has it.
struct Written {
    config: String,
    secrets: Vec<u8>,
}

fn written(rp: &RelyingParty, cipher: &Cipher) -> Written {
    let config = serde_json::to_string(&rp.config).expect("a config always serialises");
    let secrets = serde_json::to_vec(&rp.secrets).expect("secrets always serialise");
    Written { config, secrets: cipher.seal(rp.client_id.as_str(), &zeroize::Zeroizing::new(secrets)) }
}

/// Reads all relying parties.
pub(crate) struct ListRps(pub(crate) Cipher);

impl Operation for ListRps {
    const NAME: &'static str = "broker.list_rps";
    type Output = Vec<KeptRp>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        Ok(load(tx, &self.0).await?.0)
    }
}

/// Reads one relying party.
pub(crate) async fn find(
    tx: &mut Tx<'_>,
    client_id: &ClientId,
    cipher: &Cipher,
) -> Result<Option<KeptRp>, StoreError> {
    tx.query_opt(&ONE, &[client_id.as_str().into()], |row| kept(row, cipher)).await
}

/// Adds a relying party; [`StoreError::Duplicate`] when it is there.
pub(crate) struct AddRp {
    pub(crate) rp: RelyingParty,
    pub(crate) cipher: Cipher,
    pub(crate) now: Millis,
}

impl Operation for AddRp {
    const NAME: &'static str = "broker.add_rp";
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let Written { config, secrets } = written(&self.rp, &self.cipher);
        let RelyingParty { client_id, status, status_at, .. } = &self.rp;
        let row = [
            client_id.as_str().into(),
            (&config).into(),
            secrets.as_slice().into(),
            status.code().into(),
            status.reason().into(),
            (*status_at).into(),
            self.now.into(),
        ];
        tx.execute(&ADD, &row).await?;
        touch(tx).await
    }
}

/// Changes a relying party that is there.
pub(crate) async fn change(
    tx: &mut Tx<'_>,
    rp: &RelyingParty,
    cipher: &Cipher,
    now: Millis,
) -> Result<(), StoreError> {
    let Written { config, secrets } = written(rp, cipher);
    let row = [
        rp.client_id.as_str().into(),
        (&config).into(),
        secrets.as_slice().into(),
        rp.status.code().into(),
        rp.status.reason().into(),
        rp.status_at.into(),
        now.into(),
    ];
    tx.execute(&CHANGE, &row).await?;
    touch(tx).await
}

/// Removes a relying party; false when there is none. Its deliveries stay to be looked at; what is pending of them is
/// discarded by the next sweep.
pub(crate) struct RemoveRp(pub(crate) ClientId);

impl Operation for RemoveRp {
    const NAME: &'static str = "broker.remove_rp";
    const RESOLVES_UNKNOWN: bool = false;
    type Output = bool;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        let there = tx.execute(&REMOVE, &[self.0.as_str().into()]).await? == 1;
        tx.execute(&REMOVE_HEALTH, &[self.0.as_str().into()]).await?;
        tx.execute(&REMOVE_TOKENS, &[self.0.as_str().into()]).await?;
        touch(tx).await?;
        Ok(there)
    }
}

/// Replaces the fetched capabilities as a whole: a client that is no longer listed has none.
pub(crate) struct ReplaceCapabilities(pub(crate) Capabilities);

impl Operation for ReplaceCapabilities {
    const NAME: &'static str = "broker.replace_capabilities";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = bool;

    /// Whether anything changed.
    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            client_id: &'a str,
            capabilities: String,
        }
        let row = |(client_id, capabilities)| Row {
            client_id: ClientId::as_str(client_id),
            capabilities: serde_json::to_string(capabilities).expect("texts always serialise"),
        };
        let wanted: Vec<Row<'_>> = self.0.iter().map(row).collect();
        let there: BTreeMap<String, String> = tx
            .query(&FETCHED, &[], |row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned())))
            .await?
            .into_iter()
            .collect();
        if there
            .iter()
            .map(|(id, text)| (id.as_str(), text))
            .eq(wanted.iter().map(|it| (it.client_id, &it.capabilities)))
        {
            return Ok(false);
        }
        tx.execute(&FORGET_FETCHED, &[]).await?;
        tx.execute(&KEEP_FETCHED, &[(&RowSet::of(wanted)).into()]).await?;
        touch(tx).await?;
        Ok(true)
    }
}
