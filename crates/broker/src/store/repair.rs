//! Mending: retry one, replay many, and what is told of the stream itself.

use super::claim::AT_ONCE;
use super::record::{Line, NewRow, insert, promote};
use super::registry::client_id;
use super::rows::About;
use crate::delivery::Terminal;
use crate::{ClientId, EventType, RelyingParty, Status};
use account::{AccountId, Millis};
use serde_json::json;
use std::collections::BTreeSet;
use store::{Operation, Row, StoreError, Tx, Value};
use uuid::Uuid;

/// How many deliveries are replayed in one transaction.
pub(crate) const CHUNK: i64 = 500;

store::statements! {
    pub(super) static WHOSE = both("select id, client_id, idp, subject, jti from deliveries where id = $1");
    pub(super) static WHOSE_ALL = both(
        "select id, client_id, idp, subject, jti from deliveries
         where id > $1 and client_id = $2 and created_at >= $3 and state > 1 and state = coalesce($4, state)
           and payload <> '' order by id limit $5");
    // The attempt that is part of a row gets one of its own before the row is used for another.
    pub(super) static SET_ASIDE = both(
        "insert into delivery_attempts (delivery, at, duration_ms, status, outcome)
         select id, attempt_at, attempt_ms, attempt_status, 'delivered' from deliveries
         where id = $1 and state <> 0 and attempt_at is not null");
    // It keeps its `jti`, `iat` and payload: the relying party can tell that it had it.
    pub(super) static AGAIN = both(
        "update deliveries set state = 0, head = 0, due_at = $2, owner = null, fence = 0, failures = 0, reason = null,
           settled_at = null, attempt_at = null where id = $1 and state <> 0");
    pub(super) static HURRY = both("update deliveries set due_at = $2 where id = $1 and state = 0 and owner is null");
    pub(super) static REOPEN = both(
        "update deletion_receipts set state = 0, settled_at = null, reason = null where jti = $1");
}

struct Target {
    id: i64,
    line: Line,
    jti: String,
}

fn target(row: &Row<'_>) -> Result<Target, StoreError> {
    let about = About::from_columns(row.text(2)?, row.text(3)?)?;
    Ok(Target {
        id: row.int(0)?,
        line: Line { client_id: client_id(row.text(1)?)?, about },
        jti: row.text(4)?.to_owned(),
    })
}

/// Makes ended deliveries pending again, at the end of their lines' order by number; pending ones are due at once.
async fn send_again(tx: &mut Tx<'_>, targets: &[Target], now: Millis) -> Result<(), StoreError> {
    for target in targets {
        let row = [target.id.into(), now.into()];
        // Pending ones are due at once; a second time is not needed for those that are pending now.
        tx.execute(&HURRY, &row).await?;
        tx.execute(&SET_ASIDE, &row[..1]).await?;
        if tx.execute(&AGAIN, &row).await? == 1 {
            tx.execute(&REOPEN, &[(&target.jti).into()]).await?;
        }
    }
    let lines: BTreeSet<&Line> = targets.iter().map(|it| &it.line).collect();
    promote(tx, &lines).await.map(drop)
}

/// The accounts to lock, for rows that were looked at before.
fn accounts(targets: &[Target]) -> Vec<AccountId> {
    targets.iter().filter_map(|it| it.line.about.account().cloned()).collect()
}

/// Finds what [`Replay`] then sends again: apart, because locks come first in a transaction.
pub(crate) struct FindReplayable {
    pub(crate) client_id: ClientId,
    pub(crate) since: Millis,
    /// Only those that ended so.
    pub(crate) state: Option<Terminal>,
    pub(crate) after: i64,
}

/// Deliveries found to be sent again.
pub(crate) struct Replayable(Vec<Target>);

impl Replayable {
    /// The number of the last one; `None` when there are none.
    pub(crate) fn last(&self) -> Option<i64> {
        self.0.last().map(|it| it.id)
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Operation for FindReplayable {
    const NAME: &'static str = "broker.find_replayable";
    type Output = Replayable;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Replayable, StoreError> {
        let params = [
            self.after.into(),
            self.client_id.as_str().into(),
            self.since.into(),
            Value::from(self.state.map(Terminal::code)),
            CHUNK.into(),
        ];
        Ok(Replayable(tx.query(&WHOSE_ALL, &params, target).await?))
    }
}

/// Finds one delivery, whatever its state.
pub(crate) struct FindOne(pub(crate) i64);

impl Operation for FindOne {
    const NAME: &'static str = "broker.find_one";
    type Output = Replayable;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Replayable, StoreError> {
        Ok(Replayable(tx.query(&WHOSE, &[self.0.into()], target).await?))
    }
}

/// Sends deliveries again.
pub(crate) struct Replay {
    pub(crate) targets: Replayable,
    pub(crate) now: Millis,
}

impl Operation for Replay {
    const NAME: &'static str = "broker.replay";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        tx.lock_accounts(&accounts(&self.targets.0)).await?;
        send_again(tx, &self.targets.0, self.now).await
    }
}

/// Puts an event about the stream itself on its way. Such events have no order among themselves: each is a head.
pub(crate) async fn tell_of_stream(
    tx: &mut Tx<'_>,
    rp: &RelyingParty,
    event_type: EventType,
    payload: &str,
    now: Millis,
) -> Result<(), StoreError> {
    let Some(stream) = &rp.config.stream else { return Ok(()) };
    let (jti, txn) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    // What is unique about it is its fence: there is no account whose versions it could take.
    let version = tx.next_fence().await?;
    let row = NewRow {
        client_id: rp.client_id.as_str(),
        idp: "",
        subject: &stream.id,
        version,
        part: 0,
        kind: "stream",
        event_type: event_type.uri(),
        payload,
        jti: &jti,
        txn: &txn,
        iat: now.seconds(),
        event_at: now,
        created_at: now,
        state: 0,
        head: 1,
        due_at: AT_ONCE,
        owner: None,
        fence: 0,
        reason: None,
        settled_at: None,
    };
    insert(tx, &[row]).await.map(drop)
}

/// Tells a relying party that its stream's status has changed (SSF 1.0 section 8.1.5).
pub(crate) async fn tell_of_status(
    tx: &mut Tx<'_>,
    rp: &RelyingParty,
    now: Millis,
) -> Result<(), StoreError> {
    let payload = match &rp.status {
        Status::Disabled { reason } if !reason.is_empty() => {
            json!({ "status": "disabled", "reason": reason })
        }
        status => json!({ "status": status.as_str() }),
    };
    tell_of_stream(tx, rp, EventType::StreamUpdated, &payload.to_string(), now).await
}
