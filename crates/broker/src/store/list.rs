//! Looking at deliveries: none of it is on the hot path.

use super::registry::client_id;
use super::rows::event_type;
use crate::delivery::Terminal;
use crate::{ClientId, EventType};
use account::Millis;
use serde::{Deserialize, Serialize};
use store::{Operation, Row, StoreError, Tx};
use utoipa::ToSchema;

store::statements! {
    pub(super) static SHOW = both(concat!("select ", shown!(), " from deliveries where id = $1"));
    // The one that is part of the delivery's own row is the last.
    pub(super) static ATTEMPTS = both(
        "select a.at, a.duration_ms, a.status, a.outcome, a.detail, a.answer from
           (select id, at, duration_ms, status, outcome, detail, answer from delivery_attempts where delivery = $1
            union all
            select 9223372036854775807, attempt_at, attempt_ms, attempt_status, 'delivered', null, null
            from deliveries where id = $1 and attempt_at is not null) as a
         order by a.id");
    // Numbers grow with time, and are in the index that has what is pending: a million of them are not looked up.
    pub(super) static BACKLOG = both(
        "select g.client_id, g.pending, d.created_at
         from (select client_id, count(*) as pending, min(id) as oldest from deliveries where state = 0
               group by client_id) as g
         join deliveries d on d.id = g.oldest order by g.client_id");
    pub(super) static HEALTH = both("select client_id, failing_since from rp_health where failing_since is not null");
}

macro_rules! shown {
    () => {
        "id, client_id, idp, subject, kind, event_type, payload, jti, txn, iat, event_at, created_at, state, due_at, \
         failures, reason, settled_at"
    };
}
pub(super) use shown;

/// A delivery, as operators see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryView {
    /// Its number.
    pub id: i64,
    /// Who is told.
    #[schema(value_type = String)]
    pub client_id: ClientId,
    /// Of whose account: the identity provider; empty when it is about the stream itself.
    pub idp: String,
    /// The subject there, or the stream's id.
    pub subject: String,
    /// The kind of change.
    pub kind: String,
    /// The type of event.
    #[schema(value_type = String)]
    pub event_type: EventType,
    /// What the token says of it.
    #[schema(value_type = Object)]
    pub payload: serde_json::Value,
    /// The token's id, the same at every attempt.
    pub jti: String,
    /// What all tokens of one event have in common.
    pub txn: String,
    /// The token's time, seconds since the epoch.
    pub iat: i64,
    /// The change time, milliseconds since the epoch.
    #[schema(value_type = i64)]
    pub event_at: Millis,
    /// When it was made.
    #[schema(value_type = i64)]
    pub created_at: Millis,
    /// `pending`, `delivered`, `exhausted`, `rejected` or `discarded`.
    pub state: String,
    /// When a pending one is due.
    #[schema(value_type = Option<i64>)]
    pub due_at: Option<Millis>,
    /// How often it failed.
    pub failures: i64,
    /// Why it is as it is.
    pub reason: Option<String>,
    /// When it ended.
    #[schema(value_type = Option<i64>)]
    pub settled_at: Option<Millis>,
}

/// An attempt, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttemptView {
    /// When it began, milliseconds since the epoch.
    #[schema(value_type = i64)]
    pub at: Millis,
    /// How long it took.
    pub duration_ms: i64,
    /// The answer's status, if there was an answer.
    pub status: Option<i64>,
    /// `delivered`, `failed`, `rejected` or `gone`.
    pub outcome: String,
    /// What went wrong.
    pub detail: Option<String>,
    /// The beginning of the answer, redacted.
    pub answer: Option<String>,
}

pub(super) fn view(row: &Row<'_>) -> Result<DeliveryView, StoreError> {
    let ended = Terminal::from_code(row.int(12)?);
    Ok(DeliveryView {
        id: row.int(0)?,
        client_id: client_id(row.text(1)?)?,
        idp: row.text(2)?.to_owned(),
        subject: row.text(3)?.to_owned(),
        kind: row.text(4)?.to_owned(),
        event_type: event_type(row.text(5)?)?,
        payload: serde_json::from_str(row.text(6)?).unwrap_or_default(),
        jti: row.text(7)?.to_owned(),
        txn: row.text(8)?.to_owned(),
        iat: row.int(9)?,
        event_at: Millis::new(row.int(10)?),
        created_at: Millis::new(row.int(11)?),
        state: ended.map_or("pending", Terminal::as_str).to_owned(),
        due_at: if ended.is_none() { Some(Millis::new(row.int(13)?)) } else { None },
        failures: row.int(14)?,
        reason: row.opt_text(15)?.map(str::to_owned),
        settled_at: row.opt_int(16)?.map(Millis::new),
    })
}

/// One delivery and its attempts.
pub(crate) struct ShowDelivery(pub(crate) i64);

impl Operation for ShowDelivery {
    const NAME: &'static str = "broker.show_delivery";
    type Output = Option<(DeliveryView, Vec<AttemptView>)>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let Some(shown) = tx.query_opt(&SHOW, &[self.0.into()], view).await? else { return Ok(None) };
        let attempts = tx
            .query(&ATTEMPTS, &[self.0.into()], |row| {
                Ok(AttemptView {
                    at: Millis::new(row.int(0)?),
                    duration_ms: row.int(1)?,
                    status: row.opt_int(2)?,
                    outcome: row.text(3)?.to_owned(),
                    detail: row.opt_text(4)?.map(str::to_owned),
                    answer: row.opt_text(5)?.map(str::to_owned),
                })
            })
            .await?;
        Ok(Some((shown, attempts)))
    }
}

/// What is outstanding of a relying party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backlog {
    pub(crate) client_id: ClientId,
    pub(crate) count: i64,
    pub(crate) oldest_at: Millis,
}

/// What is outstanding, by relying party. Reads every pending row: for a scan.
pub(crate) struct ReadBacklog;

impl Operation for ReadBacklog {
    const NAME: &'static str = "broker.backlog";
    type Output = Vec<Backlog>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        tx.query(&BACKLOG, &[], |row| {
            let oldest_at = Millis::new(row.int(2)?);
            Ok(Backlog { client_id: client_id(row.text(0)?)?, count: row.int(1)?, oldest_at })
        })
        .await
    }
}

/// Since when each relying party that fails does so.
pub(crate) struct ReadFailing;

impl Operation for ReadFailing {
    const NAME: &'static str = "broker.failing";
    type Output = Vec<(ClientId, Millis)>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        tx.query(&HEALTH, &[], |row| Ok((client_id(row.text(0)?)?, Millis::new(row.int(1)?)))).await
    }
}
