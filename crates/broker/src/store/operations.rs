//! What operators are told of relying parties: by a relying party of their own that lists it.

use super::record::{NewRow, insert};
use super::registry::load;
use crate::consequence::{SINCE, time_ordered};
use crate::plan::untold;
use crate::{EventType, RelyingParty, Status};
use account::Millis;
use keys::Cipher;
use serde::Serialize;
use std::sync::Arc;
use store::{StoreError, Tx};

/// What is said of a relying party.
#[derive(Serialize)]
struct Said<'a> {
    client_id: &'a str,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    event_timestamp: i64,
}

/// Tells whoever listed it that a relying party has another status now. Of itself nobody is told so.
pub(crate) async fn tell_of_rp(
    tx: &mut Tx<'_>,
    rp: &RelyingParty,
    cipher: &Cipher,
    now: Millis,
) -> Result<(), StoreError> {
    let rps = load(tx, cipher).await?.0.into_iter().map(|kept| Arc::new(kept.rp));
    let listens = |other: &Arc<RelyingParty>| {
        other.client_id != rp.client_id
            && other.wants(EventType::RelyingPartyStatus)
            && untold(Some(other)).is_none()
    };
    for listener in rps.filter(listens) {
        write(tx, &listener, rp, now).await?;
    }
    Ok(())
}

async fn write(
    tx: &mut Tx<'_>,
    listener: &RelyingParty,
    rp: &RelyingParty,
    now: Millis,
) -> Result<(), StoreError> {
    let RelyingParty { client_id, status, .. } = rp;
    let (client_id, reason) = (client_id.as_str(), status.reason().filter(|it| !it.is_empty()));
    let said = Said { client_id, status: Status::as_str(status), reason, event_timestamp: now.seconds() };
    let payload = serde_json::to_string(&said).expect("texts and numbers always serialise");
    let (jti, txn) = (time_ordered(now), time_ordered(now));
    let row = NewRow {
        client_id: listener.client_id.as_str(),
        idp: "",
        subject: client_id,
        // What is unique about it is its fence: there is no account whose versions it could take.
        version: tx.next_fence().await?,
        part: 0,
        kind: "operations",
        event_type: EventType::RelyingPartyStatus.uri(),
        payload: &payload,
        jti: &jti,
        txn: &txn,
        iat: now.seconds(),
        event_at: now,
        created_at: now,
        state: 0,
        // Each for itself, like what is said of streams.
        head: 1,
        due_at: now.minus(SINCE),
        owner: None,
        fence: 0,
        reason: None,
        settled_at: None,
    };
    insert(tx, &[row]).await.map(drop)
}
